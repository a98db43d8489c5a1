// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/debuginfo"
	"lpatch/pkg/lpelf"
)

const splitC = `
#include <stdio.h>
static const int tab[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}; static int counter; int glob = 4, zero; extern int ext; static const char *names[] = {"a", "b"};
__thread int tl = 3; static __thread int tz; int kept[4] = {1}; static const double big[3] = {1.5, 2.5, 3.5};
int sw(int x) { switch (x) { case 1: return puts("one"); case 2: return puts("two"); case 3: return ext; case 4: return 77 + glob; case 5: return tab[ext & 7]; case 6: return tl + tz; } return 0; }
__attribute__((cold)) int coldf(int x) { if (x > 3) return puts(names[x & 1]); return counter++; }
static __attribute__((noinline)) int st(int x) { static int loc; loc += x; if (__builtin_expect(x == 9, 0)) { puts("cold bit"); coldf(loc); __builtin_abort(); } return loc * x; }
int tail(int x) { return st(x + 1); }
__attribute__((weak)) double fl(double x) { return x * 3.25 + 1.5 + big[ext & 1]; }
extern __typeof(tail) other __attribute__((alias("tail")));
int with(int x) { __asm__ volatile(".pushsection .mine,\"a\"\n.long 1\n.popsection\nnop" : "+r"(x)); return x; }
__attribute__((constructor)) static void ctor(void) { counter = 5; }
int go(int x) { static void *to[] = {&&one, &&two}; goto *to[x]; one: return 1; two: return zero; }
int many(int x) { int a[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}; return a[x & 7] + st(a[x & 3]); }
int main(void) { return tail(3) + sw(4); }
int (*const fp[])(int) = {tail, sw};
`

const splitCXX = `
#include <map>
#include <stdexcept>
#include <string>
struct A { virtual ~A(); virtual int f(int); std::string s; };
A::~A() {}
int A::f(int x) { static std::map<int, std::string> m; try { if (x > 3) throw std::runtime_error("big " + s); m[x] = s; } catch (std::exception &e) { return m.size() + e.what()[0]; } return x; }
template <class T> T tt(T a) { static int n; return a + n++; }
int use(int x) { return tt(x) + (int)tt(2.5); }
static std::string gl = "hello";
int cold(int x) { if (__builtin_expect(x == 77, 0)) { std::string z("aa"); z += gl; throw z; } return x; }
namespace { struct B : A { int f(int) override; }; int B::f(int x) { return A::f(x + 1); } }
A *make() { return new B; }
template <class T> __attribute__((noinline)) int thrown(T x) { std::string s("x"); try { if (x) throw x; return use(1); } catch (T e) { return 2; } }
int throws(int x) { return thrown(x) + thrown(x + 1L); }
`

// TestSplitSections checks that the processed assembly of a package yields the same sections, code and relocations as gcc
// with a section for each function and variable, and readable debug information.
func TestSplitSections(t *testing.T) {
	for name, c := range map[string]struct{ source, flags string }{
		"C":                {splitC, "-O2"},
		"C, hardened":      {splitC, "-O2 -fPIC -fstack-protector-strong -fcf-protection -D_FORTIFY_SOURCE=2"},
		"C, not optimised": {splitC, "-O0"},
		"C, one section":   {"int f(int *p) { int s = 0; for (int i = 0; i < *p; i++) { int k = f(p + i); { int z = f(&k); s += z; } } return s; }\nint g(int n) { return f(&n) * n; }\n", "-O2"},
		"C++":              {splitCXX, "-O2"},
		"C++, in order":    {splitCXX, "-O1 -fno-toplevel-reorder"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			source := filepath.Join(dir, "x.c")
			if strings.HasPrefix(name, "C++") {
				source += "c"
			}
			write(t, source, []byte(c.source))
			flags := append(strings.Fields(c.flags), "-g", source, "-o")
			runIn(t, dir, append(append([]string{"gcc", "-S"}, flags...), "x.s"))
			runIn(t, dir, append(append([]string{"gcc", "-c", "-ffunction-sections", "-fdata-sections"}, flags...), "want.o"))
			text, err := os.ReadFile(filepath.Join(dir, "x.s"))
			if err == nil {
				text, err = splitSections(text)
			}
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "split.s"), text)
			runIn(t, dir, []string{"as", "-o", "split.o", "split.s"})
			sameObject(t, filepath.Join(dir, "want.o"), filepath.Join(dir, "split.o"))
		})
	}
}

// sameObject compares the sections of code and data of two objects except strings, which gcc places in sections per function.
func sameObject(t *testing.T, want, got string) {
	t.Helper()
	a, err := lpelf.Open(want)
	if err != nil {
		t.Fatal(err)
	}
	b, err := lpelf.Open(got)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := debuginfo.Read(b); err != nil {
		t.Errorf("its debug information: %v", err)
	}
	for _, s := range a.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Size == 0 || strings.Contains(s.Name, ".str1.") || s.Name == ".eh_frame" {
			continue
		}
		o := b.Section(s.Name)
		switch {
		case o == nil:
			t.Errorf("%s is missing", s.Name)
		case o.Size != s.Size || o.Flags != s.Flags || o.Align != s.Align || !bytes.Equal(o.Data, s.Data) || len(o.Relocs) != len(s.Relocs):
			t.Errorf("%s differs", s.Name)
		}
	}
	symbols := map[string]*lpelf.Symbol{}
	for _, s := range b.Symbols {
		symbols[s.Name] = s
	}
	for _, s := range a.Symbols {
		if o := symbols[s.Name]; s.Type != elf.STT_SECTION && s.Name != "" && (o == nil || o.Size != s.Size || o.Bind != s.Bind || o.Type != s.Type) {
			t.Errorf("the symbol %s is not the same", s.Name)
		}
	}
}

// TestNotSplit checks that sources that change sections, or have no types, are compiled again.
func TestNotSplit(t *testing.T) {
	const head = "\t.section\t.debug_info,\"\",@progbits\n\t.text\n"
	for _, text := range []string{
		"\t.text\n\t.type\tf, @function\nf:\n\tret\n\t.size\tf, .-f\n",
		head + "#APP\n.section .x\n.long 1\n.previous\n#NO_APP\n",
		head + "#APP\n.pushsection .x\n#NO_APP\n",
		head + "\t.section\t.text.unlikely,\"axG\",@progbits,x,comdat\n",
		head + "\t.type\tf, @function\nf:\n\tret\n\t.type\tg, @function\ng:\n\tret\n",
		head + "\t.data\nx:\n\t.long\t1\n",
		head + "\t.section\t.text.mine,\"ax\",@progbits\n",
		head + "\t.section\t.lbss,\"awl\",@nobits\n",
		head + "\t.section\t.mine,\"axG\",@progbits,f,comdat\n",
		head + "\t.data\n\t.type\t.Lubsan_data0, @object\n\t.size\t.Lubsan_data0, 4\n.Lubsan_data0:\n\t.long\t1\n",
		head + "\t.local\t.LPBX0\n\t.comm\t.LPBX0,8,8\n\t.data\n\t.type\t.LPBX0, @object\n",
		head + "\t.type\tgr\u00f6\u00dfe, @function\ngr\u00f6\u00dfe:\n\tret\n",
		head + "\t.local\t\u00fc\n\t.comm\t\u00fc,4,4\n",
		head + "\t.type\t\"a b\", @function\n\"a b\":\n\tret\n",
		head + "#APP\nhere:.section .x\n#NO_APP\n",
		head + "#APP\n.SECTION .x\n#NO_APP\n",
		head + "#APP\n/* */.Data\n#NO_APP\n",
		head + "#APP\n.include \"x.s\"\n#NO_APP\n",
		head + "#APP\n.pushsection .x; .popsection; .section .y\n#NO_APP\n",
		head + "#APP\n.macro m\n.endm\n#NO_APP\n",
	} {
		if out, err := splitSections([]byte(text)); err == nil {
			t.Errorf("%q became %q", text, out)
		}
	}
}

// TestSplitFlags checks the flags of a section to which gcc returns without repeating them.
func TestSplitFlags(t *testing.T) {
	const head = "\t.section\t.debug_info,\"\",@progbits\n\t.text\n"
	for text, want := range map[string]string{
		"\t.section\t.gcc_except_table\n\t.align 4\n.LLSDA0:\n\t.byte\t0xff\n":                                                                   "\t.section\t.gcc_except_table,\"a\",@progbits\n",
		"\t.section\t.init_array,\"aw\"\n\t.weak\tf\n\t.text\n\t.section\t.init_array\n\t.quad\tf\n":                                             "\t.section\t.init_array,\"aw\"\n\t.quad\tf\n",
		"\t.section\t.rodata._Z1fv.str1.8,\"aMS\",@progbits,1\n.LC0:\n\t.string\t\"a\"\n":                                                        ".LC0:\n",
		"\t.type\tf, @function\nf:\n\tret\n\t.size\tf, .-f\n\t.section\t.text.f,\"ax\",@progbits\n":                                              "f:\n",
		"\t.section\t.text._Z1fv,\"axG\",@progbits,_Z1fv,comdat\n\tret\n\t.section\t.rodata.str1.1,\"aMS\",@progbits,1\n\t.string\t\"\u00fc\"\n": "\u00fc",
	} {
		if out, err := splitSections([]byte(head + text)); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%q became %q, %v", text, out, err)
		}
	}
}

// TestAsFlags checks that the second run of an assembler only writes its object, and does not take place with unknown
// options.
func TestAsFlags(t *testing.T) {
	for args, want := range map[string]string{
		"--64 --gdwarf-5 -o x.o x.s":                                   "--64 --gdwarf-5",
		"-I . -Iinc --MD dep.d --MD=dep.d -o x.o -":                    "-I . -Iinc",
		"--noexecstack -mrelax-relocations=no -adhln=list -ox.o":       "--noexecstack -mrelax-relocations=no",
		"-a --listing-lhs-width=2 --statistics --debug-prefix-map a=b": "--debug-prefix-map a=b",
		"--compress-debug-sections --compress-debug-sections=zlib":     "",
		"--MD":             "refused",
		"-R --64":          "refused",
		"--stat":           "refused",
		"-M":               "refused",
		"--sectname-subst": "refused",
	} {
		got, ok := asFlags(strings.Fields(args))
		if ok != (want != "refused") || ok && strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v", args, got, ok)
		}
	}
}

func TestDescribesTypes(t *testing.T) {
	for flags, want := range map[string]bool{"-O2": false, "-O2 -g": true, "-g1": false, "-g3 -gz": true, "-g -g0": false, "-g0 -g": true, "-ggdb": true, "-gdwarf-5": true, "-g1 -gdwarf": true, "-gno-record-gcc-switches": false} {
		if describesTypes(strings.Fields(flags)) != want {
			t.Errorf("%s: not %v", flags, want)
		}
	}
}

// TestSplitOnce checks that gcc is called once if its assembly can be processed, and again otherwise. The producer in the
// debug information shows the flags with which an object was compiled.
func TestSplitOnce(t *testing.T) {
	for flags, once := range map[string]bool{"-g": true, "-g -pipe": true, "-g -save-temps": true, "-g -gz": true, "-g -Wa,-adhln=list": true, "-g -Wa,--MD,dep": true, "-g -Wa,-R": false, "-O2": false, "-g1": false, "-g -gdwarf-4": false} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "x.c"), []byte("int g(int);\nint f(int x) { int y = g(x); return y * g(y); }\nint h(int x) { return f(x) + 1; }\n"))
		s := newShims(t, dir)
		s.twice = true
		deps := map[string]string{}
		for _, name := range []string{"plain", "twice"} {
			cmd := exec.Command("sh", "-ec", "gcc -O2 "+flags+" -c x.c && mv x.o "+name)
			if cmd.Dir = dir; name == "twice" {
				cmd.Env = append(os.Environ(), s.env()...)
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", flags, err, out)
			}
			dep, _ := os.ReadFile(filepath.Join(dir, "dep")) // only one of them writes it
			deps[name], _, _ = strings.Cut(string(dep), ":")
		}
		if deps["plain"] != deps["twice"] {
			t.Errorf("%s: the build's dependencies are of %s", flags, deps["twice"])
		}
		plain, err := os.ReadFile(filepath.Join(dir, "plain"))
		got, gotErr := os.ReadFile(filepath.Join(dir, "twice"))
		object, objectErr := os.ReadFile(filepath.Join(s.objects, "x.o"))
		if err := errors.Join(err, gotErr, objectErr); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(plain, got) {
			t.Errorf("%s: the build's object is another one", flags)
		}
		if !bytes.Contains(object, []byte(".text.h")) || bytes.Contains(object, []byte("-ffunction-sections")) == once {
			t.Errorf("%s: not compiled as it should be", flags)
		}
	}
}
