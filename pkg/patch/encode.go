// SPDX-License-Identifier: GPL-2.0

package patch

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sort"

	"lpatch/pkg/arch"
)

const (
	ehdrSize   = 64
	phdrSize   = 56
	shdrSize   = 64
	symSize    = 24
	maxHeaders = 8
	noteSize   = 16 + buildIDSize
	// buildIDSize is the length of a patch's own build-id, that of a SHA-1, which all tools expect.
	buildIDSize = 20

	// SpecSection holds the descriptor.
	SpecSection = ".lpatch"
)

// HeaderSize is the number of bytes at address 0 of a patch that its ELF header, program headers and build-id note
// take; the first section starts behind them.
const HeaderSize = (ehdrSize + maxHeaders*phdrSize + noteSize + 15) &^ 15

const noteOffset = ehdrSize + maxHeaders*phdrSize

// Section is a part of the loadable content of a patch. Address and file offset are the same number.
type Section struct {
	Name  string
	Flags elf.SectionFlag // SHF_ALLOC and, if so, SHF_EXECINSTR or SHF_WRITE
	Addr  uint64
	Align uint64
	Data  []byte
}

// Symbol is an entry of a patch's symbol table, for debuggers and profilers.
type Symbol struct {
	Name  string
	Addr  uint64
	Size  uint64
	Func  bool
	Local bool
	File  string // the source of a local symbol, "" for what the linker made
}

// Content is what a patch file is made from.
type Content struct {
	Spec     *Spec
	Sections []Section // ascending addresses, above HeaderSize; those of one protection share pages and are neighbours
	Symbols  []Symbol
}

// Encode makes the file. The same content gives the same bytes.
func Encode(c *Content) ([]byte, error) {
	desc, err := json.MarshalIndent(c.Spec, "", " ")
	if err != nil {
		return nil, fmt.Errorf("descriptor: %w", err)
	}
	e := encoder{content: c}
	e.place()
	e.symbols()
	e.add(shdr{name: SpecSection, typ: elf.SHT_PROGBITS, align: 1}, append(desc, '\n'))
	e.names()
	e.header()
	e.buildID()
	if _, err := Read(e.out); err != nil {
		return nil, fmt.Errorf("internal error: the patch made is not valid: %w", err)
	}
	return e.out, nil
}

type shdr struct {
	name    string
	typ     elf.SectionType
	flags   elf.SectionFlag
	addr    uint64
	off     uint64
	size    uint64
	link    uint32
	info    uint32
	align   uint64
	entsize uint64
}

type encoder struct {
	content *Content
	out     []byte
	heads   []shdr
}

// add appends a section that is not loaded.
func (e *encoder) add(h shdr, data []byte) {
	for uint64(len(e.out))%h.align != 0 {
		e.out = append(e.out, 0)
	}
	h.off, h.size = uint64(len(e.out)), uint64(len(data))
	e.out = append(e.out, data...)
	e.heads = append(e.heads, h)
}

// place writes the loadable sections at their addresses and fills the last page with zeros: the whole page is mapped.
func (e *encoder) place() {
	e.out = make([]byte, HeaderSize)
	e.heads = []shdr{{}, {name: ".note.gnu.build-id", typ: elf.SHT_NOTE, flags: elf.SHF_ALLOC, addr: noteOffset, off: noteOffset, size: noteSize, align: 4}}
	for _, s := range e.content.Sections {
		for uint64(len(e.out)) < s.Addr {
			e.out = append(e.out, 0)
		}
		e.heads = append(e.heads, shdr{name: s.Name, typ: elf.SHT_PROGBITS, flags: s.Flags, addr: s.Addr, off: s.Addr, size: uint64(len(s.Data)), align: s.Align})
		e.out = append(e.out, s.Data...)
	}
	for len(e.out)%arch.PageSize != 0 {
		e.out = append(e.out, 0)
	}
}

// symbols writes .symtab and .strtab, local symbols first (gABI "Symbol Table").
func (e *encoder) symbols() {
	syms := append([]Symbol{}, e.content.Symbols...)
	sort.SliceStable(syms, func(i, j int) bool {
		a, b := &syms[i], &syms[j]
		return a.Local && !b.Local || a.Local && b.Local && a.File < b.File
	})
	tab := make([]byte, symSize)
	str := []byte{0}
	locals, file := uint32(1), ""
	for _, s := range syms {
		if s.Local && s.File != file {
			file = s.File
			tab = append(tab, fileSymbol(uint32(len(str)))...)
			str = append(append(str, file...), 0)
			locals++
		}
		ent := make([]byte, symSize)
		binary.LittleEndian.PutUint32(ent, uint32(len(str)))
		str = append(append(str, s.Name...), 0)
		bind, typ := elf.STB_GLOBAL, elf.STT_OBJECT
		if s.Local {
			bind = elf.STB_LOCAL
			locals++
		}
		if s.Func {
			typ = elf.STT_FUNC
		}
		ent[4] = elf.ST_INFO(bind, typ)
		binary.LittleEndian.PutUint16(ent[6:], e.sectionAt(s.Addr))
		binary.LittleEndian.PutUint64(ent[8:], s.Addr)
		binary.LittleEndian.PutUint64(ent[16:], s.Size)
		tab = append(tab, ent...)
	}
	e.add(shdr{name: ".symtab", typ: elf.SHT_SYMTAB, link: uint32(len(e.heads) + 1), info: locals, align: 8, entsize: symSize}, tab)
	e.add(shdr{name: ".strtab", typ: elf.SHT_STRTAB, align: 1}, str)
}

// fileSymbol is the entry in front of the local symbols of a source (gABI, STT_FILE).
func fileSymbol(name uint32) []byte {
	ent := make([]byte, symSize)
	binary.LittleEndian.PutUint32(ent, name)
	ent[4] = elf.ST_INFO(elf.STB_LOCAL, elf.STT_FILE)
	binary.LittleEndian.PutUint16(ent[6:], uint16(elf.SHN_ABS))
	return ent
}

func (e *encoder) sectionAt(addr uint64) uint16 {
	for i, h := range e.heads {
		if h.flags&elf.SHF_ALLOC != 0 && addr >= h.addr && addr-h.addr < max(h.size, 1) {
			return uint16(i)
		}
	}
	return uint16(elf.SHN_ABS)
}

// names writes .shstrtab and the section headers.
func (e *encoder) names() {
	str := []byte{0}
	var offs []uint32
	for _, h := range append(e.heads, shdr{name: ".shstrtab"}) {
		if h.name == "" {
			offs = append(offs, 0)
			continue
		}
		offs = append(offs, uint32(len(str)))
		str = append(append(str, h.name...), 0)
	}
	e.add(shdr{name: ".shstrtab", typ: elf.SHT_STRTAB, align: 1}, str)
	for len(e.out)%8 != 0 {
		e.out = append(e.out, 0)
	}
	binary.LittleEndian.PutUint64(e.out[0x28:], uint64(len(e.out)))
	for i, h := range e.heads {
		b := make([]byte, 0, shdrSize)
		b = binary.LittleEndian.AppendUint32(b, offs[i])
		b = binary.LittleEndian.AppendUint32(b, uint32(h.typ))
		for _, v := range []uint64{uint64(h.flags), h.addr, h.off, h.size} {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
		b = binary.LittleEndian.AppendUint32(b, h.link)
		b = binary.LittleEndian.AppendUint32(b, h.info)
		b = binary.LittleEndian.AppendUint64(b, h.align)
		b = binary.LittleEndian.AppendUint64(b, h.entsize)
		e.out = append(e.out, b...)
	}
}

// header fills the ELF header and the program headers; e_shoff is there already.
func (e *encoder) header() {
	phdrs := e.programHeaders()
	h := e.out
	copy(h, elf.ELFMAG)
	h[elf.EI_CLASS], h[elf.EI_DATA], h[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	le := binary.LittleEndian
	le.PutUint16(h[0x10:], uint16(elf.ET_DYN))
	le.PutUint16(h[0x12:], uint16(elf.EM_X86_64))
	le.PutUint32(h[0x14:], uint32(elf.EV_CURRENT))
	le.PutUint64(h[0x20:], ehdrSize)
	le.PutUint16(h[0x34:], ehdrSize)
	le.PutUint16(h[0x36:], phdrSize)
	le.PutUint16(h[0x38:], uint16(len(phdrs)))
	le.PutUint16(h[0x3a:], shdrSize)
	le.PutUint16(h[0x3c:], uint16(len(e.heads)))
	le.PutUint16(h[0x3e:], uint16(len(e.heads)-1))
	pos := ehdrSize
	for _, p := range phdrs {
		le.PutUint32(h[pos:], uint32(p.Type))
		le.PutUint32(h[pos+4:], uint32(p.Flags))
		for i, v := range []uint64{p.Off, p.Vaddr, p.Paddr, p.Filesz, p.Memsz, p.Align} {
			le.PutUint64(h[pos+8+8*i:], v)
		}
		pos += phdrSize
	}
}

// programHeaders makes one PT_LOAD per protection, and what debuggers look for.
func (e *encoder) programHeaders() []elf.ProgHeader {
	var loads, rest []elf.ProgHeader
	flags := func(f elf.SectionFlag) elf.ProgFlag {
		out := elf.PF_R
		if f&elf.SHF_EXECINSTR != 0 {
			out |= elf.PF_X
		}
		if f&elf.SHF_WRITE != 0 {
			out |= elf.PF_W
		}
		return out
	}
	loads = append(loads, elf.ProgHeader{Type: elf.PT_LOAD, Flags: elf.PF_R, Filesz: HeaderSize, Memsz: HeaderSize, Align: arch.PageSize})
	for _, h := range e.heads[2:] {
		if h.flags&elf.SHF_ALLOC == 0 {
			continue
		}
		last := &loads[len(loads)-1]
		if flags(h.flags) != last.Flags {
			loads = append(loads, elf.ProgHeader{Type: elf.PT_LOAD, Flags: flags(h.flags), Off: h.addr, Vaddr: h.addr, Paddr: h.addr, Align: arch.PageSize})
			last = &loads[len(loads)-1]
		}
		last.Filesz = h.addr + h.size - last.Vaddr
		last.Memsz = last.Filesz
		if h.name == ".eh_frame_hdr" {
			rest = append(rest, elf.ProgHeader{Type: elf.PT_GNU_EH_FRAME, Flags: elf.PF_R, Off: h.addr, Vaddr: h.addr, Paddr: h.addr, Filesz: h.size, Memsz: h.size, Align: 4})
		}
	}
	rest = append(rest,
		elf.ProgHeader{Type: elf.PT_NOTE, Flags: elf.PF_R, Off: noteOffset, Vaddr: noteOffset, Paddr: noteOffset, Filesz: noteSize, Memsz: noteSize, Align: 4},
		elf.ProgHeader{Type: elf.PT_GNU_STACK, Flags: elf.PF_R | elf.PF_W, Align: 16})
	return append(loads, rest...)
}

// buildID derives the note from all other bytes of the file.
func (e *encoder) buildID() {
	n := e.out[noteOffset:]
	binary.LittleEndian.PutUint32(n, 4)
	binary.LittleEndian.PutUint32(n[4:], buildIDSize)
	binary.LittleEndian.PutUint32(n[8:], 3) // NT_GNU_BUILD_ID
	copy(n[12:], "GNU\x00")
	sum := sha256.Sum256(bytes.Clone(e.out))
	copy(n[16:16+buildIDSize], sum[:])
}
