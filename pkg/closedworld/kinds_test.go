// SPDX-License-Identifier: GPL-2.0

package closedworld

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

const cxxC = `#include <cstdio>
#include <stdexcept>
#include <string>
#include <map>
struct B { virtual ~B() {} virtual int f(int a) { return a + 1; } };
struct D : B { int f(int a) override { if (a > 10) throw std::runtime_error("big"); return a * 2; } };
static std::map<std::string, int> table = {{"a", 1}, {"b", 2}};
thread_local int tl = 5;
template<class T> T twice(T a) { static T n; n += a; return n + a; }
int safe(B *b, int a) { try { return b->f(a) + tl++; } catch (const std::exception &e) { std::puts(e.what()); return -1; } }
int run(int a) { D d; auto l = [a](int x) { return x + a; }; return safe(&d, a) + twice(l(3)) + (int)twice(2.5) + table["a"]; }
#ifndef LIB
int main(int c, char **) { return run(c); }
#endif
`

// kinds lists ways to build program or library T from C in a.c and C++ in b.cc.
var kinds = []string{
	"gcc -O2 $F a.c $K -o T", "gcc -O0 $F a.c $K -o T", "gcc -O2 a.c $K -o T", "gcc -O2 -g $F a.c $K -static -o T", "gcc -O2 $F -no-pie -fno-pie a.c $K -o T",
	"gcc -O2 $F -fPIC -shared a.c $K -o T", "gcc -O2 $F -fPIC -shared -Wl,-Bsymbolic -mtls-dialect=gnu2 a.c $K -o T", "gcc -O2 $F -fuse-ld=gold a.c $K -o T", "gcc -O2 $F -fuse-ld=lld a.c $K -o T",
	"gcc -O2 $F -fuse-ld=lld -no-pie -fno-pie a.c $K -o T", "gcc -O2 $F -fuse-ld=lld -fPIC -shared a.c $K -o T", "gcc -O2 $F -Wl,--gc-sections -fcf-protection a.c $K -o T",
	"gcc -O2 $F -Wl,-z,pack-relative-relocs a.c $K -o T", "gcc -O2 $F -static-pie -fPIE a.c $K -o T", "gcc -O2 -flto a.c $K -o T",
	"g++ -O2 $F b.cc $K -o T", "g++ -O0 $F b.cc $K -o T", "g++ -O2 $F -DLIB -fPIC -shared b.cc $K -o T", "g++ -O2 $F -fuse-ld=lld b.cc $K -o T", "g++ -O2 -fuse-ld=gold b.cc $K -o T", "g++ -O2 $F -static b.cc $K -o T",
	"clang-16 -O2 $F a.c $K -o T", "clang++-16 -O2 $F b.cc $K -o T", "clang-16 -O0 $F -fuse-ld=lld a.c $K -o T", "clang++-16 -O1 $F -fuse-ld=lld -DLIB -fPIC -shared b.cc $K -o T",
}

func isThere(tool string) bool {
	_, err := exec.LookPath(tool)
	return err == nil
}

// TestKinds checks, for images built in various ways that differ in one function and in addresses, that there is no finding
// if the patch contains the function, and that otherwise only this function is reported. It uses a third of the ways;
// PATCHES=all uses all.
func TestKinds(t *testing.T) {
	filetest.Slow(t)
	const before = "int moved(int a) { __asm__ volatile(\"nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop\"); return a; }\nint movedtoo[40] = {1};\n"
	files := map[string]string{"a.c": mainC, "b.cc": cxxC}
	changed := map[string]string{
		"a.c":  before + edited(mainC, "a > 10 ?", "a > 100000 ? puts(\"a new string\") :  a > 10 ?"),
		"b.cc": before + edited(cxxC, "a > 10)", "a > 100000) throw \"s\"; if (a > 10)"),
	}
	for i, build := range kinds {
		if i%3 != 0 && os.Getenv("PATCHES") != "all" {
			continue
		}
		t.Run(build, func(t *testing.T) {
			if tool := strings.Fields(build)[0]; !isThere(tool) {
				t.Skipf("no %s", tool)
			}
			build := strings.NewReplacer("$F", "-ffunction-sections -fdata-sections", "$K", keep).Replace(build)
			old, new := makeImage(t, files, nil, build), makeImage(t, files, changed, build)
			for _, has := range []bool{true, false} {
				r := Compare(old, new, Carried{Has: func(name, _ string) bool {
					return has && strings.Contains(name, "helper") || strings.Contains(name, "moved") || has && strings.Contains(name, "fEi") || has && (strings.Contains(name, "safe") || name == "_Z3runi")
				}})
				for _, f := range r.Findings {
					if has || !strings.Contains(f.Symbol, "helper") && !strings.Contains(f.Symbol, "_ZN1D1fEi") && !strings.Contains(f.Symbol, "_ZN1B1fEi") && !strings.Contains(f.Symbol, "safe") && f.Symbol != "_Z3runi" {
						t.Errorf("with it %v: %s", has, findingText(f))
					}
				}
				if !has && len(r.Findings) == 0 {
					t.Error("the change was not found")
				}
			}
		})
	}
}
