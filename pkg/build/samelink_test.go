// SPDX-License-Identifier: GPL-2.0

package build

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/lpelf"
)

// TestSameLink checks that a link with relocations counts as the same if only .bss has moved, with all references to it.
func TestSameLink(t *testing.T) {
	const source = `static int other, more; extern char odd[]; int late; extern int ext; int *kept = &late, *local = &other;
int value(void) { return 1; } int again(int x) { late = x; other += x; more++; return value() + more + ext; }
int *at(void) { return &other; } int number(void) { return 0x44444; } int main(void) { return again(number()) + *kept + *local + odd[1]; }
char odd[9] __attribute__((section(".data.z"))) = "odd";
`
	dir := t.TempDir()
	link := func(name, source string, flags ...string) string {
		t.Helper()
		write(t, filepath.Join(dir, name+".c"), []byte(source))
		runIn(t, dir, append([]string{"gcc", "-O2", "-w", "-fno-toplevel-reorder", "-o", name, name + ".c"}, flags...))
		return filepath.Join(dir, name)
	}
	link("libe.so", "int ext;\n", "-fPIC", "-shared")
	for _, kind := range []string{"-fPIC -shared", "-fPIE -pie", "-fPIC -pie", "-no-pie", "-O0 -fPIC -no-pie", "-fPIE -pie -rdynamic"} {
		t.Run(kind, func(t *testing.T) {
			flags := append(strings.Fields(kind), "-L.", "-l:libe.so")
			relocs := append(slices.Clone(flags), "-Wl,--emit-relocs")
			f, again, source := movingBSS(t, link, source, flags, relocs)
			if err := checkSameLink(f, again.Path); err != nil {
				t.Error(err)
			}
			was, is := f.Section(".bss").Addr, again.Section(".bss").Addr
			first, err := lpelf.Open(link("first", strings.Replace(source, "0x44444", fmt.Sprint(was+4), 1), flags...))
			if err != nil {
				t.Fatal(err)
			}
			if err := checkSameLink(first, link("second", strings.Replace(source, "0x44444", fmt.Sprint(is+4), 1), relocs...)); err == nil {
				t.Errorf("%#x is taken for %#x", is+4, was+4)
			}
			for old, new := range map[string]string{"return 1": "return 5", "late = x": "late = x + 4", "return &other": "return &more", `"odd"`: `"sdd"`, "other, more": "other, more, bigger[8]", "= &other;": "= &more;"} {
				if err := checkSameLink(f, link("other", strings.Replace(source, old, new, 1), relocs...)); err == nil {
					t.Errorf("%s is taken for %s", new, old)
				}
			}
			for _, more := range []string{"-Wl,-e,value", "-Wl,-z,execstack", "-Wl,-z,norelro"} {
				if err := checkSameLink(f, link("other", source, append(relocs, more)...)); err == nil {
					t.Errorf("%s is taken for nothing", more)
				}
			}
		})
	}
}

// movingBSS links a source so that .bss moves if relocations are kept. The required size depends on the linker.
func movingBSS(t *testing.T, link func(name, source string, flags ...string) string, source string, flags, relocs []string) (f, again *lpelf.File, moving string) {
	t.Helper()
	for n := range 2 {
		moving = strings.Replace(source, "odd[9]", fmt.Sprintf("odd[%d]", 9+n), 1)
		var err, againErr error
		f, err = lpelf.Open(link("plain", moving, flags...))
		again, againErr = lpelf.Open(link("again", moving, relocs...))
		if err := errors.Join(err, againErr); err != nil {
			t.Fatal(err)
		}
		if again.Section(".bss").Addr != f.Section(".bss").Addr {
			return f, again, moving
		}
	}
	t.Skip("this linker does not move .bss")
	return nil, nil, ""
}

// TestSameLinkOfLLD: lld puts unwind tables elsewhere when it keeps relocations. What they say counts.
func TestSameLinkOfLLD(t *testing.T) {
	const source = "int g(int); int f(int a) { try { return g(a); } catch (int x) { return x; } catch (long) { return 1; } }\nint g(int a) { if (a > 2) throw 5; return a; }\nint main(int c, char **) { return f(c); }\n"
	dir := t.TempDir()
	link := func(name, source string, flags ...string) string {
		t.Helper()
		write(t, filepath.Join(dir, name+".cc"), []byte(source))
		runIn(t, dir, append([]string{"g++", "-O2", "-fno-inline", "-fuse-ld=lld", "-o", name, name + ".cc"}, flags...))
		return filepath.Join(dir, name)
	}
	if _, err := exec.LookPath("ld.lld"); err != nil {
		t.Skip("no ld.lld")
	}
	f, err := lpelf.Open(link("plain", source))
	if err != nil {
		t.Fatal(err)
	}
	if err := checkSameLink(f, link("again", source, "-Wl,--emit-relocs")); err != nil {
		t.Error(err)
	}
	if err := checkSameLink(f, link("other", strings.Replace(source, "catch (long)", "catch (char)", 1), "-Wl,--emit-relocs")); err == nil {
		t.Error("another type is taken for the same")
	}
}
