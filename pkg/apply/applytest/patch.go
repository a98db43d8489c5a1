// Package applytest makes patch files for tests that need no compiler: they change nothing that could run, but lpctl and
// a fake kernel take them for patches.
package applytest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"

	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

// page is the alignment of segments.
const page = 0x1000

// Spec describes a patch of one function and one value of the program at path.
func Spec(name, path string) (*patch.Spec, error) {
	f, err := lpelf.Open(path)
	if err != nil {
		return nil, err
	}
	image := patch.Image{
		Path: path, Soname: f.Soname(), BuildID: f.BuildID(), SHA256: f.LoadSHA256(), Fixed: f.Type == elf.ET_EXEC, Near: true,
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
	return &patch.Spec{
		Format: patch.FormatVersion, Name: name, Description: "a patch for tests", Tool: "applytest",
		Images: []patch.Image{image},
		Sites: []patch.Site{
			{Kind: patch.SiteJump, Symbol: "main", Vaddr: text, Old: make([]byte, 5), Target: 0},
			{Kind: patch.SiteBytes, Symbol: "limit", Vaddr: text + 64, Old: []byte{1}, New: []byte{2}},
		},
		Functions: []patch.Function{{Symbol: "main", Bodies: []patch.Range{{Start: text, End: text + 32}}, Why: "changed"}},
		Fixups:    []patch.Fixup{{Kind: patch.FixupPC32, Place: 16, Addend: -4}},
	}, nil
}

// Write makes a patch file with that descriptor and some code.
func Write(path string, spec *patch.Spec) error {
	text, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	// The code is: endbr64; xor eax, eax; ret.
	code := []byte{0xf3, 0x0f, 0x1e, 0xfa, 0x31, 0xc0, 0xc3}
	names := "\x00.lpatch\x00.text\x00.shstrtab\x00"
	const codeAt = page
	specAt := uint64(codeAt + len(code))
	namesAt := specAt + uint64(len(text))
	tableAt := (namesAt + uint64(len(names)) + 7) &^ 7

	b := make([]byte, codeAt)
	b = append(append(append(b, code...), text...), names...)
	b = append(b, make([]byte, tableAt-uint64(len(b)))...)
	var out bytes.Buffer
	put(&out, []elf.Section64{
		{},
		{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: specAt, Size: uint64(len(text)), Addralign: 1},
		{Name: 9, Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC | elf.SHF_EXECINSTR), Off: codeAt, Size: uint64(len(code)), Addralign: 16},
		{Name: 15, Type: uint32(elf.SHT_STRTAB), Off: namesAt, Size: uint64(len(names)), Addralign: 1},
	})
	b = append(b, out.Bytes()...)
	out.Reset()
	put(&out, elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1}, Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: 1,
		Phoff: 64, Shoff: tableAt, Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64, Shnum: 4, Shstrndx: 3,
	})
	put(&out, elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Off: codeAt, Filesz: uint64(len(code)),
		Memsz: uint64(len(code)), Align: page,
	})
	copy(b, out.Bytes())
	return os.WriteFile(path, b, 0o644)
}

func put(b *bytes.Buffer, v any) {
	if err := binary.Write(b, binary.LittleEndian, v); err != nil {
		panic(fmt.Sprintf("applytest: %v", err)) // all types have a fixed size
	}
}
