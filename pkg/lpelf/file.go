// SPDX-License-Identifier: GPL-2.0

// Package lpelf reads x86-64 ELF files that nobody vouches for: objects, archives, programs and shared objects.
// It wraps debug/elf, which may panic on bad input, checks every offset against the file, and keeps relocations and
// section data together. Nothing here looks at the running system.
package lpelf

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os"

	"lpatch/pkg/arch"
	"lpatch/pkg/arch/x86"
)

// maxFile bounds what is read into memory; the largest debug build known to us is a tenth of it.
const maxFile = 2 << 30

// maxAlign bounds the alignment of a section: programs that want huge pages ask for 2 MiB (node does).
const maxAlign = 2 << 20

// archs are the processors that files may be for.
var archs = map[elf.Machine]arch.Arch{elf.EM_X86_64: x86.Arch{}}

// ErrNotELF is wrapped by the errors of Parse for a file that is not an ELF file at all.
var ErrNotELF = errors.New("not an ELF file")

// File is a parsed ELF file.
type File struct {
	Path       string // for messages
	Data       []byte
	Type       elf.Type
	Arch       arch.Arch  // the processor that it is for
	Sections   []*Section // index as in the file
	Progs      []Prog
	Symbols    []*Symbol // .symtab with its null entry, so that a relocation's index fits; empty if stripped
	DynSymbols []*Symbol // .dynsym with its null entry
}

// Section is one section with its bytes and relocations.
type Section struct {
	Index  int
	Name   string
	Type   elf.SectionType
	Flags  elf.SectionFlag
	Addr   uint64
	Offset uint64
	Size   uint64
	Align  uint64
	Entry  uint64 // sh_entsize
	Link   uint32
	Info   uint32
	Data   []byte  // nil for SHT_NOBITS
	Relocs []Reloc // objects only, sorted by offset
}

// Prog is one program header.
type Prog struct {
	Type   elf.ProgType
	Flags  elf.ProgFlag
	Off    uint64
	Vaddr  uint64
	Filesz uint64
	Memsz  uint64
	Align  uint64
}

// Symbol is one symbol table entry.
type Symbol struct {
	Name    string
	Version string // of a dynamic symbol, or the part behind "@" of a .symtab name
	Hidden  bool   // a dynamic symbol of a version that only references to this very version mean ("name@VERSION")
	Type    elf.SymType
	Bind    elf.SymBind
	Vis     elf.SymVis
	Section elf.SectionIndex
	Value   uint64
	Size    uint64
	File    string // the STT_FILE symbol that precedes a local symbol
	Block   int    // number of that STT_FILE symbol in the table, 0 if there is none
	Linked  string // the name in the file itself, where Name is another one that tells it from others; else ""
}

// Defined tells whether the symbol has a place in this file.
func (s *Symbol) Defined() bool {
	return s.Section != elf.SHN_UNDEF && s.Section != elf.SHN_COMMON
}

// IsFunc tells whether the symbol is a function.
func (s *Symbol) IsFunc() bool { return s.Type == elf.STT_FUNC || s.Type == elf.STT_GNU_IFUNC }

// IsText tells whether the section holds code.
func (s *Section) IsText() bool {
	return s.Flags&elf.SHF_EXECINSTR != 0 && s.Type == elf.SHT_PROGBITS
}

// Open reads and parses the ELF file at path.
func Open(path string) (*File, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	switch {
	case st.IsDir():
		return nil, fmt.Errorf("%s: a directory; name the file in it that is meant", path)
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a regular file", path)
	case st.Size() > maxFile:
		return nil, fmt.Errorf("%s: %d bytes is more than lpctl reads (%d)", path, st.Size(), int64(maxFile))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse parses data, which it keeps; name is used in messages. It never panics.
func Parse(name string, data []byte) (f *File, err error) {
	defer func() {
		if r := recover(); r != nil {
			f, err = nil, fmt.Errorf("%s: damaged ELF file: %v", name, r)
		}
	}()
	if len(data) < 4 || string(data[:4]) != elf.ELFMAG {
		return nil, notELF(name, data)
	}
	// Before anything else is read: the tables of another class are elsewhere, which would look like a damaged file.
	if what := Foreign(data); what != "" {
		return nil, fmt.Errorf("%s: %s; lpatch patches 64-bit x86-64 only", name, what)
	}
	if err := checkTables(name, data); err != nil {
		return nil, err
	}
	names := newNames(len(data))
	if err := checkSectionNames(data, names); err != nil {
		return nil, fmt.Errorf("%s: damaged ELF file: %w", name, err)
	}
	ef, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: damaged ELF file: %w", name, err)
	}
	f = &File{Path: name, Data: data, Type: ef.Type, Arch: archs[ef.Machine]}
	if f.Arch == nil {
		return nil, fmt.Errorf("%s: damaged ELF file: it is for the machine %v", name, ef.Machine)
	}
	for _, p := range ef.Progs {
		if err := f.addProg(p); err != nil {
			return nil, err
		}
	}
	if err := f.addSections(ef.Sections); err != nil {
		return nil, err
	}
	if err := f.checkSymbolTables(names); err != nil {
		return nil, fmt.Errorf("%s: damaged ELF file: %w", name, err)
	}
	if err := f.readSymbols(ef); err != nil {
		return nil, err
	}
	if f.Type == elf.ET_REL {
		err = f.readRelocs()
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// checkTables gives a truncated file its own message: debug/elf only says EOF, after it has asked for as much memory as the
// header says.
func checkTables(name string, data []byte) error {
	if len(data) < 64 {
		return fmt.Errorf("%s: truncated: %d bytes do not hold an ELF header; get the file again", name, len(data))
	}
	h := data[:64]
	for _, t := range []struct {
		what         string
		off          uint64
		number, size uint16
	}{
		{"program", le64(h[0x20:]), le16(h[0x38:]), le16(h[0x36:])},
		{"section", le64(h[0x28:]), le16(h[0x3c:]), le16(h[0x3a:])},
	} {
		if end := t.off + uint64(t.number)*uint64(t.size); t.off > uint64(len(data)) || end > uint64(len(data)) {
			return fmt.Errorf("%s: truncated: the %s table ends at %#x, beyond the file's %#x bytes; get the file again", name, t.what, end, len(data))
		}
	}
	return nil
}

func (f *File) addProg(p *elf.Prog) error {
	end := p.Off + p.Filesz
	if p.Type == elf.PT_LOAD && (end < p.Off || end > uint64(len(f.Data)) || p.Filesz > p.Memsz || p.Vaddr+p.Memsz < p.Vaddr) {
		return fmt.Errorf("%s: truncated: a loadable segment ends at %#x, beyond the file's %#x bytes; get the file again", f.Path, end, len(f.Data))
	}
	f.Progs = append(f.Progs, Prog{Type: p.Type, Flags: p.Flags, Off: p.Off, Vaddr: p.Vaddr, Filesz: p.Filesz, Memsz: p.Memsz, Align: p.Align})
	return nil
}

// addSections refuses sections that share bytes of the file: no tool makes any, and what is read of each of them would not
// be bounded by the file's size.
func (f *File) addSections(list []*elf.Section) error {
	left := uint64(len(f.Data))
	for i, s := range list {
		if err := f.addSection(i, s); err != nil {
			return err
		}
		size := uint64(len(f.Sections[i].Data))
		if size > left {
			return fmt.Errorf("%s: damaged ELF file: section %s shares bytes with another", f.Path, s.Name)
		}
		left -= size
	}
	return nil
}

func (f *File) addSection(i int, s *elf.Section) error {
	sec := &Section{
		Index: i, Name: s.Name, Type: s.Type, Flags: s.Flags, Addr: s.Addr, Offset: s.Offset,
		Size: s.FileSize, Align: max(s.Addralign, 1), Entry: s.Entsize, Link: s.Link, Info: s.Info,
	}
	if s.Type != elf.SHT_NOBITS && s.Type != elf.SHT_NULL {
		end := s.Offset + s.FileSize
		if end < s.Offset || end > uint64(len(f.Data)) {
			return fmt.Errorf("%s: truncated: section %s ends at %#x, beyond the file's %#x bytes; get the file again", f.Path, s.Name, end, len(f.Data))
		}
		sec.Data = f.Data[s.Offset:end:end]
	}
	if sec.Align&(sec.Align-1) != 0 || sec.Align > maxAlign {
		return fmt.Errorf("%s: section %s: alignment %d is not possible; the file is damaged", f.Path, s.Name, sec.Align)
	}
	f.Sections = append(f.Sections, sec)
	return nil
}

// Section returns the first section of that name, or nil.
func (f *File) Section(name string) *Section {
	for _, s := range f.Sections {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// SectionOf returns the section that a defined symbol lies in, or nil (undefined, absolute, common).
func (f *File) SectionOf(s *Symbol) *Section {
	if s.Section == elf.SHN_UNDEF || int(s.Section) >= len(f.Sections) {
		return nil
	}
	return f.Sections[s.Section]
}
