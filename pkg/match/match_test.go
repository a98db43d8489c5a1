// SPDX-License-Identifier: GPL-2.0

package match

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// program contains the constructs that the search has to handle: a static function, one that is called through a table, a
// switch, a thread-local variable and an import.
const program = `
#include <stdio.h>
static __thread int calls;
static int table[16];
int limit = 12;
__attribute__((noinline)) static int fill(int n) { for (int i = 0; i < 16; i++) table[i] += i * n + limit; return table[n & 15] ^ n << 3; }
__attribute__((noinline)) int choose(int n)
{
	calls++;
	switch (n) {
	case 0: return fill(7) + 1;
	case 1: return puts("one") * 3;
	case 2: return limit * 5 - n;
	case 3: return fill(limit) / 9;
	case 4: return calls * 11;
	}
	return n * 77 + calls;
}
static int (*const ops[])(int) = { choose, fill };
int main(int argc, char **argv)
{
	int sum = argc * 21;
	for (char *p = argv[0]; *p; p++) sum = (sum ^ *p) * 31 + (sum >> 7);
	return ops[argc & 1](sum) + ops[sum & 1](argc) * 5;
}
`

// other has a function of the same name with different code.
const other = `
int limit;
__attribute__((noinline)) int choose(int n) { for (int i = 0; i < n; i++) limit ^= limit * 31 + i; return limit - n; }
`

// TestLocate locates an object in the program made from it, with and without symbols, and in no other program.
func TestLocate(t *testing.T) {
	for _, cc := range []string{"gcc", "clang-14"} {
		for _, mode := range [][]string{{"-fPIE", "-pie"}, {"-fno-pie", "-no-pie"}} {
			t.Run(cc+mode[0], func(t *testing.T) {
				if _, err := exec.LookPath(cc); err != nil {
					t.Skipf("%s is not installed", cc)
				}
				locate(t, build(t, cc, mode...))
			})
		}
	}
}

// build compiles x.o and other.o, and links x.o to prog and stripped.
func build(t *testing.T, cc string, mode ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{"x.c": program, "other.c": other} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{cc, "-O2", mode[0], "-ffunction-sections", "-fdata-sections", "-c", "x.c", "other.c"},
		{cc, "-O2", mode[1], "-o", "prog", "x.o"},
		{"strip", "-o", "stripped", "prog"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	return dir
}

func locate(t *testing.T, dir string) {
	obj, stranger := object(t, dir, "x.o"), object(t, dir, "other.o")
	named, stripped := open(t, dir, "prog"), open(t, dir, "stripped")
	if found, of := stripped.Recover([]*diff.Object{obj, stranger}); found != of || found < 3 {
		t.Errorf("stripped: found %d functions of %d", found, of)
	}
	if !stripped.Found(obj) || stripped.Found(stranger) {
		t.Errorf("stripped: found %v, the other one %v", stripped.Found(obj), stripped.Found(stranger))
	}
	for name, im := range map[string]*Target{"prog": named, "stripped": stripped} {
		loc, err := Locate(im, obj, obj.Functions())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, f := range obj.Functions() {
			at, ok, err := loc.Address(f)
			if want := address(t, named, f.Name); err != nil || !ok || at != want {
				t.Errorf("%s: %s is at %#x (%v, %v), not %#x", name, f.Name, at, ok, err, want)
			}
		}
		var refusals diff.Refusals
		if _, err := Locate(im, stranger, stranger.Functions()); !errors.Is(err, ErrNotLinked) && !errors.As(err, &refusals) {
			t.Errorf("%s: another object: %v", name, err)
		}
	}
}

// TestLocateChanged checks that a function is not matched if one byte of its code differs.
func TestLocateChanged(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed")
	}
	dir := build(t, "gcc", "-fPIE", "-pie")
	obj, im := object(t, dir, "x.o"), open(t, dir, "prog")
	f := obj.Lookup("choose")
	code := im.Code(address(t, im, f.Name))[:f.Size]
	at := bytes.IndexByte(code, 77) // in n * 77
	if at < 0 {
		t.Skip("the compiler has no such constant")
	}
	code[at]++
	var refusals diff.Refusals
	if _, err := Locate(im, obj, []*lpelf.Symbol{f}); !errors.As(err, &refusals) || refusals[0].Code != "target-differs" {
		t.Errorf("%v", err)
	}
}

func object(t *testing.T, dir, name string) *diff.Object {
	t.Helper()
	f, err := lpelf.Open(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	o, err := diff.NewObject(name, f)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func open(t *testing.T, dir, name string) *Target {
	t.Helper()
	im, err := Open(filepath.Join(dir, name), "")
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// address returns the address in the symbol table.
func address(t *testing.T, im *Target, name string) uint64 {
	t.Helper()
	for _, s := range im.Symbols {
		if s.Name == name && s.IsFunc() {
			return s.Value
		}
	}
	t.Fatalf("no symbol %s", name)
	return 0
}
