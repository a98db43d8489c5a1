// SPDX-License-Identifier: GPL-2.0

// Package applytest creates patch files for tests without a compiler. They contain no useful code, but lpctl and a fake
// kernel accept them.
package applytest

import (
	"debug/elf"
	"os"
	"path/filepath"
	"slices"

	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

// page is the alignment of segments in bytes.
const page = 0x1000

// Spec returns the descriptor of a patch for one function and one value of the program at path.
func Spec(name, path string) (*patch.Spec, error) {
	f, err := lpelf.Open(path)
	if err != nil {
		return nil, err
	}
	image := patch.Image{
		Name: filepath.Base(path), Soname: f.Soname(), BuildID: f.BuildID(), SHA256: f.LoadSHA256(), Fixed: f.Type == elf.ET_EXEC, Near: true,
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		image.SpanEnd = max(image.SpanEnd, (p.Vaddr+p.Memsz+page-1)&^(page-1))
		if p.Flags&elf.PF_X != 0 {
			image.TextOffset, image.TextVaddr = p.Off&^(page-1), p.Vaddr&^(page-1)
			image.TextSize = (p.Vaddr+p.Memsz+page-1)&^(page-1) - image.TextVaddr
		}
	}
	text := image.TextVaddr
	code := slices.Clone(f.BytesAt(text)[:65])
	return &patch.Spec{
		Format: patch.FormatVersion, Name: name, Description: "a patch for tests", Tool: "applytest",
		Images: []patch.Image{image},
		Sites: []patch.Site{
			{Kind: patch.SiteJump, Symbol: "main", Vaddr: text, Old: code[:5], Target: page},
			{Kind: patch.SiteBytes, Symbol: "limit", Vaddr: text + 64, Old: code[64:], New: []byte{code[64] + 1}},
		},
		Functions: []patch.Function{{Symbol: "main", Bodies: []patch.Range{{Start: text, End: text + 32}}, Why: "changed"}},
		Fixups:    []patch.Fixup{{Kind: patch.FixupPC32, Place: 2 * page, Addend: -4}},
	}, nil
}

// Mitigation returns the descriptor of a mitigation of the same function.
func Mitigation(name, path string) (*patch.Spec, error) {
	s, err := Spec(name, path)
	if err != nil {
		return nil, err
	}
	s.Sites, s.Fixups = s.Sites[:1], nil
	s.Relies = []patch.Reliance{{Symbol: "main", Start: s.Functions[0].Bodies[0].Start}}
	s.Mitigation = &patch.Mitigation{Action: "return 0", Hits: 2 * page}
	return s, nil
}

// Write writes a patch file with this descriptor and some code.
func Write(path string, spec *patch.Spec) error {
	code := []byte{0xf3, 0x0f, 0x1e, 0xfa, 0x31, 0xc0, 0xc3} // endbr64; xor eax, eax; ret
	data := patch.Section{Name: ".rodata", Flags: elf.SHF_ALLOC, Addr: 2 * page, Align: 16, Data: []byte("nobody calls this")}
	if spec.Mitigation != nil {
		data.Name, data.Flags = ".data", elf.SHF_ALLOC|elf.SHF_WRITE
	}
	file, err := patch.Encode(&patch.Content{
		Spec:     spec,
		Sections: []patch.Section{{Name: ".text", Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Addr: page, Align: 16, Data: code}, data},
		Symbols:  []patch.Symbol{{Name: "main", Addr: page, Size: uint64(len(code)), Func: true}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(path, file, 0o644)
}
