// SPDX-License-Identifier: GPL-2.0

// Package lpelf reads untrusted x86-64 ELF files: object files, archives, programs and shared objects. It wraps debug/elf,
// which may panic on invalid input, checks every offset against the size of the file, and associates relocations with their
// sections. It does not access the running system.
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

// maxFile is the maximum size of a file in bytes. The largest known debug build has a tenth of this size.
const maxFile = 2 << 30

// maxAlign is the maximum alignment of a section in bytes. Programs that use huge pages request 2 MiB (node).
const maxAlign = 2 << 20

// archs maps the supported machines to their implementation.
var archs = map[elf.Machine]arch.Arch{elf.EM_X86_64: x86.Arch{}}

// ErrNotELF is wrapped by errors of Parse for a file that is not an ELF file.
var ErrNotELF = errors.New("not an ELF file")

// File is a parsed ELF file.
type File struct {
	Path       string // for messages
	Data       []byte
	Type       elf.Type
	Arch       arch.Arch  // architecture of the file
	Sections   []*Section // indexed by section number
	Progs      []Prog
	Symbols    []*Symbol // .symtab including the null entry, so that relocations can be used as an index; empty if stripped
	DynSymbols []*Symbol // .dynsym including the null entry
}

// Section is a section with its content and relocations.
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
	Relocs []Reloc // object files only, sorted by offset
}

// Prog is a program header.
type Prog struct {
	Type   elf.ProgType
	Flags  elf.ProgFlag
	Off    uint64
	Vaddr  uint64
	Filesz uint64
	Memsz  uint64
	Align  uint64
}

// Symbol is a symbol table entry.
type Symbol struct {
	Name    string
	Version string // version of a dynamic symbol, or the part after "@" of a name in .symtab
	Hidden  bool   // a dynamic symbol with a version that is not the default ("name@VERSION"): only references to exactly this version resolve to it
	Type    elf.SymType
	Bind    elf.SymBind
	Vis     elf.SymVis
	Section elf.SectionIndex
	Value   uint64
	Size    uint64
	File    string // name of the STT_FILE symbol that precedes a local symbol
	Block   int    // ordinal of that STT_FILE symbol, starting with 1; 0 if there is none
	Linked  string // name in the file, if Name was changed to a unique one; else ""
}

// Defined reports whether the symbol is defined in this file.
func (s *Symbol) Defined() bool {
	return s.Section != elf.SHN_UNDEF && s.Section != elf.SHN_COMMON
}

// IsFunc reports whether the symbol is a function.
func (s *Symbol) IsFunc() bool { return s.Type == elf.STT_FUNC || s.Type == elf.STT_GNU_IFUNC }

// IsText reports whether the section contains code.
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

// Parse parses data, which the returned File retains. name is used in messages. Parse never panics.
func Parse(name string, data []byte) (f *File, err error) {
	defer func() {
		if r := recover(); r != nil {
			f, err = nil, fmt.Errorf("%s: damaged ELF file: %v", name, r)
		}
	}()
	if len(data) < 4 || string(data[:4]) != elf.ELFMAG {
		return nil, notELF(name, data)
	}
	// check this first: the tables of another class are at other offsets, and the file would appear to be damaged
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

// checkTables returns a specific error for a truncated file. debug/elf only reports EOF, after allocating as much memory as
// the header requests.
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

// addSections rejects sections that overlap in the file. No tool generates them, and they would allow the total size of all
// sections to exceed the size of the file.
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

// Section returns the first section called name, or nil.
func (f *File) Section(name string) *Section {
	for _, s := range f.Sections {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// SectionOf returns the section of a defined symbol. It is nil for undefined, absolute and common symbols.
func (f *File) SectionOf(s *Symbol) *Section {
	if s.Section == elf.SHN_UNDEF || int(s.Section) >= len(f.Sections) {
		return nil
	}
	return f.Sections[s.Section]
}
