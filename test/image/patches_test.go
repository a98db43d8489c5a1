// SPDX-License-Identifier: GPL-2.0

package image

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lpatch/pkg/apply"
	"lpatch/pkg/boot"
	"lpatch/pkg/patch"
	"lpatch/pkg/testutil/applytest"
)

// fix is a patch of one function of a stock file. It is made by hand, not by lpctl build: such files have no symbols but
// those that they export, and their objects are not at hand.
type fix struct {
	name   string
	path   string // the file, in the system
	symbol string
	code   []byte // what the function is to be
	boots  int    // that may fail with it
}

// Functions. returnsPatched returns a string: lea rax, [rip + 1]; ret; and the string. returns2 returns a number: mov eax, 2; ret.
var (
	returnsPatched = append([]byte{0x48, 0x8d, 0x05, 1, 0, 0, 0, 0xc3}, "patched\x00"...)
	returns2       = []byte{0xb8, 2, 0, 0, 0, 0xc3}
)

// exits is a function that ends the process, and if that is process 1 the system: mov eax, exit_group; mov edi, 1; syscall.
var exits = []byte{0xb8, 231, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x0f, 0x05}

// build makes the patch file.
func (f fix) build(t *testing.T, root string) []byte {
	t.Helper()
	path := filepath.Join(root, f.path)
	spec, err := applytest.Spec(f.name, path)
	if err != nil {
		t.Fatal(err)
	}
	const text = 4096
	start, stock := f.stock(t, path)
	spec.Sites = []patch.Site{{Kind: patch.SiteJump, Symbol: f.symbol, Vaddr: start, Old: stock[:5], Target: text}}
	spec.Functions = []patch.Function{{
		Symbol: f.symbol, Bodies: []patch.Range{{Start: start, End: start + uint64(len(stock))}}, Why: "changed",
	}}
	spec.Fixups = nil
	data, err := patch.Encode(&patch.Content{
		Spec:     spec,
		Sections: []patch.Section{{Name: ".text", Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Addr: text, Align: 16, Data: f.code}},
		Symbols:  []patch.Symbol{{Name: f.symbol, Addr: text, Size: uint64(len(f.code)), Func: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// stock returns where the function is in the file, and its code.
func (f fix) stock(t *testing.T, path string) (vaddr uint64, code []byte) {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	symbols, err := file.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(symbols, func(s elf.Symbol) bool { return s.Name == f.symbol && s.Section != elf.SHN_UNDEF })
	if i < 0 {
		t.Fatalf("%s exports no %s", path, f.symbol)
	}
	s := symbols[i]
	section := file.Sections[s.Section]
	code = make([]byte, s.Size)
	if _, err := section.ReadAt(code, int64(s.Value-section.Addr)); err != nil {
		t.Fatal(err)
	}
	return s.Value, code
}

// keep makes the boot entry, as "lpctl boot add" does, but for the kernel.
func (f fix) keep(t *testing.T, root string) {
	t.Helper()
	data := f.build(t, root)
	file, err := patch.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	r := boot.Registry{Root: root}
	images, err := apply.FindImages(r, file.Spec, []string{"/" + f.path})
	if err != nil {
		t.Fatal(err)
	}
	e := &boot.Entry{Name: f.name, Images: images, OnFailure: boot.Run, Boots: f.boots, Added: time.Now().UTC().Truncate(time.Second)}
	if err := r.Add(e, data); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
