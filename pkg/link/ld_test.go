// SPDX-License-Identifier: GPL-2.0

package link

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/match"
	"lpatch/pkg/patch"
	"lpatch/pkg/testutil/filetest"
)

// ldSource is compiled without and with -DNEW. It has no mergeable strings and constants, whose location ld chooses.
const ldSource = `
#include <stdio.h>
int shared_value = 5;
static int state = 3;
static const char one[] = "one";
static long table[16];
extern int puts(const char *);
__attribute__((noinline)) int helper(int x) { table[x & 15]++; return x * state; }
#ifdef NEW
static int fresh = 9;
static int fresh_zero[3];
static __attribute__((noinline)) int added(int x) { fresh_zero[x % 3] += fresh++; return fresh_zero[0]; }
static int (*const ops[])(int) = { helper, added, 0 };
#endif
__attribute__((noinline)) int changed(int x, int *p)
{
	switch (x) {
	case 0: return helper(2);
#if defined(__PIE__) || !defined(__PIC__) /* ld -pie makes no call to a number */
	case 1: return puts(one);
#endif
	case 2: state++; return state;
	case 3: return x * 77;
	case 4: table[3] = 1; return *p / 3;
	case 5: shared_value = 12345; return 3;
#ifdef NEW
	case 6: return added(*p);
	case 7: fresh = 100; return ops[x & 1](x);
#endif
	}
	return -1;
}
int main(int argc, char **argv) { return changed(argc, &argc); }
`

// TestAgainstLd links the same object with GNU ld at the same addresses and compares every byte of the patch.
func TestAgainstLd(t *testing.T) {
	filetest.Slow(t)
	for _, cc := range []string{"gcc", "clang-14"} {
		for _, mode := range [][]string{{"-fPIE", "-pie"}, {"-fno-pie", "-no-pie"}, {"-fPIC", "-pie"}} {
			for _, opt := range []string{"-O2", "-O3"} {
				t.Run(cc+mode[0]+opt, func(t *testing.T) {
					if _, err := exec.LookPath(cc); err != nil {
						t.Skipf("%s is not installed", cc)
					}
					compareWithLd(t, cc, opt, mode)
				})
			}
		}
	}
}

func compareWithLd(t *testing.T, cc, opt string, mode []string) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.c"), []byte(ldSource), 0o644); err != nil {
		t.Fatal(err)
	}
	command := func(name string, args ...string) {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	flags := []string{opt, "-g", mode[0]}
	command(cc, append(flags, mode[1], "-o", "prog", "x.c")...)
	flags = append(flags, "-ffunction-sections", "-fdata-sections", "-c", "x.c", "-o")
	command(cc, append(flags, "old.o")...)
	command(cc, append(flags, "new.o", "-DNEW")...)
	im, in := locateIn(t, dir)
	l, content := linkKeeping(t, im, in)
	// a position-dependent program is linked and loaded in the lowest 2 GiB
	imageBase, patchBase := uint64(0x555555554000), uint64(0x555556554000)
	if im.Fixed() {
		imageBase, patchBase = 0, 0x10000000
	}
	applyFixups(t, content, imageBase, patchBase)
	writeScript(t, dir, l, imageBase, patchBase)
	pie := "-no-pie"
	if mode[0] == "-fPIC" {
		pie = "-pie" // otherwise ld relaxes loads from the GOT to absolute addresses
	}
	command("ld", pie, "-e", "0", "-z", "max-page-size=4096", "--no-check-sections", "-T", "script", "-o", "oracle", "new.o")
	oracle, err := lpelf.Open(filepath.Join(dir, "oracle"))
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, c := range l.chunks {
		if c.sec == nil || c.sec.Type == elf.SHT_NOBITS {
			continue
		}
		want := oracle.BytesAt(patchBase + c.vaddr)
		got := sectionBytes(content, c.vaddr, len(c.data))
		if len(want) < len(got) || !bytes.Equal(want[:len(got)], got) {
			t.Errorf("%s:\nld  % x\nown % x", c.name, want[:min(len(got), len(want))], got)
		}
		compared += len(got)
	}
	if compared < 100 {
		t.Errorf("only %d bytes compared", compared)
	}
}

// locateIn compares the objects in a directory and locates the old one in the program.
func locateIn(t *testing.T, dir string) (*match.Target, *Input) {
	t.Helper()
	object := func(name string) *diff.Object {
		f, err := lpelf.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		o, err := diff.NewObject("x.o", f)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	im, err := match.Open(filepath.Join(dir, "prog"), "")
	if err != nil {
		t.Fatal(err)
	}
	res := diff.Compare(object("old.o"), object("new.o"), diff.Options{})
	if len(res.Changed) != 1 || len(res.Refusals) > 0 {
		t.Fatalf("changed %v, refusals %v", res.Changed, res.Refusals)
	}
	loc, err := match.Locate(im, res.Old, []*lpelf.Symbol{res.Changed[0].Old})
	if err != nil {
		t.Fatal(err)
	}
	return im, &Input{Diff: res, Loc: loc}
}

// linkKeeping is like Link, but also returns the linker for inspection.
func linkKeeping(t *testing.T, im *match.Target, in *Input) (*linker, *patch.Content) {
	t.Helper()
	l := newLinker(im, []*Input{in})
	content, err := l.link(patch.Spec{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return l, content
}

// applyFixups applies fixups like the kernel module.
func applyFixups(t *testing.T, content *patch.Content, imageBase, patchBase uint64) {
	t.Helper()
	for _, x := range content.Spec.Fixups {
		base := imageBase
		if x.Image == patch.SelfImage {
			base = patchBase
		}
		v := base + uint64(x.Addend)
		field := sectionBytes(content, x.Place, 4)
		switch x.Kind {
		case patch.FixupAbs64:
			binary.LittleEndian.PutUint64(sectionBytes(content, x.Place, 8), v)
		case patch.FixupAbs32:
			binary.LittleEndian.PutUint32(field, uint32(v))
		case patch.FixupPC32:
			binary.LittleEndian.PutUint32(field, uint32(v-(patchBase+x.Place)))
		}
	}
}

// sectionBytes returns n bytes of the content at an address.
func sectionBytes(content *patch.Content, addr uint64, n int) []byte {
	for _, s := range content.Sections {
		if addr >= s.Addr && addr+uint64(n) <= s.Addr+uint64(len(s.Data)) {
			return s.Data[addr-s.Addr:][:n]
		}
	}
	return nil
}

// writeScript writes a linker script with all addresses: sections of the patch in the patch, all other sections of the object
// as in the image, and imports at their PLT entries.
func writeScript(t *testing.T, dir string, l *linker, imageBase, patchBase uint64) {
	t.Helper()
	var b strings.Builder
	obj := l.inputs[0].Diff.New
	for name, slots := range l.im.Slots.GOT {
		if plt := l.im.Slots.PLTOf[slots[0].Vaddr]; plt != 0 {
			fmt.Fprintf(&b, "%s = %#x;\n", name, imageBase+plt)
		}
	}
	b.WriteString("SECTIONS {\n")
	for i, s := range obj.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Size == 0 || strings.HasPrefix(s.Name, ".eh_frame") || strings.HasPrefix(s.Name, ".note") {
			continue
		}
		addr := uint64(0)
		if c := l.bySection[s]; c != nil {
			addr = patchBase + c.vaddr
		} else if syms := obj.SymbolsIn(s); len(syms) > 0 {
			if d, found, ok := l.existing(l.inputs[0], syms[0]); found && ok {
				addr = imageBase + d.vaddr
			}
		}
		if addr != 0 {
			fmt.Fprintf(&b, ".s%d %#x : { *(%s) }\n", i, addr, s.Name)
		}
	}
	b.WriteString("/DISCARD/ : { *(.eh_frame* .note* .comment .debug*) }\n}\n")
	if err := os.WriteFile(filepath.Join(dir, "script"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
