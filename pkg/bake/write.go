// SPDX-License-Identifier: GPL-2.0

package bake

import (
	"debug/elf"
	"slices"

	"lpatch/pkg/arch"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

const (
	phdrSize = 56
	shdrSize = 64
	symSize  = 24
)

// section is a section to be added.
type section struct {
	name     string
	typ      elf.SectionType
	flags    elf.SectionFlag
	addr     uint64
	off      uint64
	align    uint64
	entsize  uint64
	link     uint32
	info     uint32
	data     []byte
	replaces *lpelf.Section // section that it supersedes, which remains under another name because symbols and code may refer to it
}

func (b *baker) table(name string) *section {
	for _, t := range b.tables {
		if t.name == name {
			return t
		}
	}
	return nil
}

// loads returns the segments to add. The tables precede the patch, in the same segment as its first read-only part.
func (b *baker) loads() []part {
	out := []part{{start: b.start, end: b.base, flags: elf.PF_R}}
	for _, p := range b.parts {
		p.start, p.end = p.start+b.base, p.end+b.base
		if last := &out[len(out)-1]; last.flags == p.flags && last.end == p.start {
			last.end = p.end
			continue
		}
		out = append(out, p)
	}
	return out
}

// headersSize returns the size of the program headers in bytes. The start of the patch does not influence the number of
// segments.
func (b *baker) headersSize() uint64 {
	return phdrSize * uint64(len(b.file.Progs)+len(b.loads()))
}

// fileOffset returns the file offset of an address in the added content.
func (b *baker) fileOffset(addr uint64) uint64 { return b.off + addr - b.start }

// write assembles the file: the old content, the added content, the rewritten tables, and the section headers.
func (b *baker) write() ([]byte, error) {
	end := b.base + uint64(len(b.memory))
	out := make([]byte, b.fileOffset(end))
	copy(out, b.file.Data[:b.cut])
	for _, t := range b.tables {
		t.off = b.fileOffset(t.addr)
		copy(out[t.off:], t.data)
	}
	copy(out[b.fileOffset(b.base):], b.memory)
	b.programHeaders(out)

	heads := b.sectionHeaders()
	w := &tail{out: out, heads: heads, file: b.file}
	for _, t := range b.tables {
		w.add(t)
		if t.replaces != nil {
			w.retire(t.replaces)
		}
	}
	first := len(w.heads)
	for _, p := range b.parts {
		w.add(partSection(p, b.base, b.fileOffset(b.base)))
	}
	if err := b.symtab.write(w, b, first); err != nil {
		return nil, err
	}
	return w.finish(), nil
}

// partSection returns the section for a part of the patch.
func partSection(p part, base, off uint64) *section {
	s := &section{
		name: p.name, typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC, addr: base + p.start, off: off + p.start, align: arch.PageSize,
		data: make([]byte, p.end-p.start),
	}
	if p.flags&elf.PF_W != 0 {
		s.flags |= elf.SHF_WRITE
	}
	if p.flags&elf.PF_X != 0 {
		s.flags |= elf.SHF_EXECINSTR
	}
	return s
}

// programHeaders writes the program headers at their new location, with the new segments after the last PT_LOAD.
func (b *baker) programHeaders(out []byte) {
	var table [][]byte
	last := 0
	at := le.Uint64(out[0x20:])
	loads := b.loads()
	size := b.headersSize()
	for i, p := range b.file.Progs {
		h := slices.Clone(b.file.Data[at+phdrSize*uint64(i):][:phdrSize])
		switch p.Type {
		case elf.PT_PHDR:
			setRange(h, b.off, b.start, size)
		case elf.PT_GNU_EH_FRAME:
			if hdr := b.table(".eh_frame_hdr"); hdr != nil {
				setRange(h, hdr.off, hdr.addr, uint64(len(hdr.data)))
			}
		case elf.PT_LOAD:
			last = i + 1
		}
		table = append(table, h)
	}
	for i, l := range loads {
		h := make([]byte, phdrSize)
		le.PutUint32(h, uint32(elf.PT_LOAD))
		le.PutUint32(h[4:], uint32(l.flags))
		setRange(h, b.fileOffset(l.start), l.start, l.end-l.start)
		le.PutUint64(h[48:], arch.PageSize)
		table = slices.Insert(table, last+i, h)
	}
	copy(out[b.off:], slices.Concat(table...))
	le.PutUint64(out[0x20:], b.off)
	le.PutUint16(out[0x38:], uint16(len(table)))
}

// setRange sets the location and size in a program header.
func setRange(h []byte, off, addr, size uint64) {
	for i, v := range []uint64{off, addr, addr, size, size} {
		le.PutUint64(h[8+8*i:], v)
	}
}

func (b *baker) sectionHeaders() [][]byte {
	at := le.Uint64(b.file.Data[0x28:])
	var heads [][]byte
	for i := range b.file.Sections {
		heads = append(heads, slices.Clone(b.file.Data[at+shdrSize*uint64(i):][:shdrSize]))
	}
	return heads
}

// tail is the part of the file after the loaded content: tables that are not loaded, and the section headers.
type tail struct {
	out   []byte
	heads [][]byte
	names []string // names of added and renamed sections by index
	file  *lpelf.File
}

// add adds the header of a section whose content is in the file already.
func (w *tail) add(s *section) {
	h := make([]byte, shdrSize)
	le.PutUint32(h[4:], uint32(s.typ))
	for i, v := range []uint64{uint64(s.flags), s.addr, s.off, uint64(len(s.data))} {
		le.PutUint64(h[8+8*i:], v)
	}
	le.PutUint32(h[40:], s.link)
	le.PutUint32(h[44:], s.info)
	le.PutUint64(h[48:], s.align)
	le.PutUint64(h[56:], s.entsize)
	w.heads = append(w.heads, h)
	w.name(len(w.heads)-1, s.name)
}

// name sets the name of a section that is not in the string table yet.
func (w *tail) name(index int, name string) {
	for len(w.names) <= index {
		w.names = append(w.names, "")
	}
	w.names[index] = name
}

// retire renames a section that has been superseded, so that no tool uses it.
func (w *tail) retire(s *lpelf.Section) {
	le.PutUint32(w.heads[s.Index][4:], uint32(elf.SHT_PROGBITS))
	le.PutUint64(w.heads[s.Index][56:], 0)
	w.name(s.Index, ".old"+s.Name)
}

// put writes the content and the header of a section that is not loaded.
func (w *tail) put(index int, data []byte) {
	w.out = append(w.out, make([]byte, arch.AlignUp(uint64(len(w.out)), 8)-uint64(len(w.out)))...)
	le.PutUint64(w.heads[index][24:], uint64(len(w.out)))
	le.PutUint64(w.heads[index][32:], uint64(len(data)))
	w.out = append(w.out, data...)
}

// finish writes the section names and the section headers.
func (w *tail) finish() []byte {
	index := int(le.Uint16(w.out[0x3e:]))
	names := slices.Clone(w.file.Sections[index].Data)
	for i, name := range w.names {
		if name != "" {
			le.PutUint32(w.heads[i], uint32(len(names)))
			names = append(append(names, name...), 0)
		}
	}
	w.put(index, names)
	w.out = append(w.out, make([]byte, arch.AlignUp(uint64(len(w.out)), 8)-uint64(len(w.out)))...)
	le.PutUint64(w.out[0x28:], uint64(len(w.out)))
	le.PutUint16(w.out[0x3c:], uint16(len(w.heads)))
	return append(w.out, slices.Concat(w.heads...)...)
}

// symtab is the symbol table of the file, extended by the symbols of the patch as local symbols after all others of this
// binding.
type symtab struct {
	table, names *lpelf.Section // nil for a stripped file
	shstrndx     int
}

func (b *baker) findSymtab() *symtab {
	s := &symtab{shstrndx: int(le.Uint16(b.file.Data[0x3e:]))}
	for _, sec := range b.file.Sections {
		if sec.Type == elf.SHT_SYMTAB && int(sec.Link) < len(b.file.Sections) {
			s.table, s.names = sec, b.file.Sections[sec.Link]
		}
	}
	return s
}

// tables returns the indexes of the sections that are rewritten.
func (s *symtab) tables() []int {
	if s.table == nil {
		return []int{s.shstrndx}
	}
	return []int{s.shstrndx, s.table.Index, s.names.Index}
}

// write writes the symbol table. The sections for the parts of the patch start at index first.
func (s *symtab) write(w *tail, b *baker, first int) error {
	if s.table != nil && (s.names.Index == s.shstrndx || uint64(s.table.Info)*symSize > uint64(len(s.table.Data))) {
		return refuse("%s: its symbol table is not one of GNU ld, LLVM or gold; strip it before", b.name)
	}
	old, names, locals := make([]byte, symSize), []byte{0}, uint32(1)
	if s.table != nil {
		old, names, locals = s.table.Data, slices.Clone(s.names.Data), s.table.Info
	}
	var added []byte
	add := func(name string, info byte, index int, addr, size uint64) {
		added = le.AppendUint32(added, uint32(len(names)))
		added = append(added, info, 0)
		added = le.AppendUint16(added, uint16(index))
		added = le.AppendUint64(le.AppendUint64(added, addr), size)
		names = append(append(names, name...), 0)
	}
	add(b.patch.Spec.Name+".lp", elf.ST_INFO(elf.STB_LOCAL, elf.STT_FILE), int(elf.SHN_ABS), 0, 0)
	for _, sym := range b.patch.Symbols() {
		i := slices.IndexFunc(b.parts, func(p part) bool { return sym.Addr >= p.start && sym.Addr < p.end })
		if i >= 0 {
			add(sym.Name, symbolInfo(sym), first+i, b.base+sym.Addr, sym.Size)
		}
	}
	table, strings := s.indexes(w, len(w.heads))
	w.put(table, slices.Concat(old[:locals*symSize], added, old[locals*symSize:]))
	le.PutUint32(w.heads[table][44:], locals+uint32(len(added)/symSize))
	w.put(strings, names)
	return nil
}

// indexes returns the section indexes of the symbol and string tables. A stripped file gets new ones.
func (s *symtab) indexes(w *tail, next int) (table, names int) {
	if s.table != nil {
		return s.table.Index, s.names.Index
	}
	w.add(&section{name: ".symtab", typ: elf.SHT_SYMTAB, align: 8, entsize: symSize, link: uint32(next + 1)})
	w.add(&section{name: ".strtab", typ: elf.SHT_STRTAB, align: 1})
	return next, next + 1
}

func symbolInfo(s patch.Symbol) byte {
	if s.Func {
		return elf.ST_INFO(elf.STB_LOCAL, elf.STT_FUNC)
	}
	return elf.ST_INFO(elf.STB_LOCAL, elf.STT_OBJECT)
}
