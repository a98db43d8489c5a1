// SPDX-License-Identifier: GPL-2.0

package closedworld

import (
	"debug/elf"
	"slices"

	"lpatch/pkg/lpelf"
)

// stack is the protection of the stack that a program asks for.
func (im *Image) stack() elf.ProgFlag {
	if p := im.header(elf.PT_GNU_STACK); p != nil {
		return p.Flags
	}
	return elf.PF_X
}

// header is the first program header of a type, or nil.
func (im *Image) header(typ elf.ProgType) *lpelf.Prog {
	if i := slices.IndexFunc(im.Progs, func(p lpelf.Prog) bool { return p.Type == typ }); i >= 0 {
		return &im.Progs[i]
	}
	return nil
}

// protection is how the memory of a section may be used when the program runs.
func (im *Image) protection(s *lpelf.Section) elf.ProgFlag {
	for _, p := range im.Progs {
		if p.Type != elf.PT_LOAD || s.Addr < p.Vaddr || s.Addr+s.Size > p.Vaddr+p.Memsz {
			continue
		}
		flags := p.Flags
		if im.isRelro(s) {
			flags &^= elf.PF_W
		}
		return flags
	}
	return 0
}

// isRelro tells a section that may not be written to when the dynamic linker is done with it.
func (im *Image) isRelro(s *lpelf.Section) bool {
	p := im.header(elf.PT_GNU_RELRO)
	return p != nil && s.Addr >= p.Vaddr && s.Addr+s.Size <= p.Vaddr+p.Memsz
}

// compareSegments compares what program headers say, other than of where things are.
func (c *comparer) compareSegments() {
	for _, n := range c.new.sections {
		o := c.old.Section(n.Name)
		if o == nil || o.Size == 0 || o.Flags&elf.SHF_ALLOC == 0 || n.Name == ".got.plt" { // GNU ld protects that once it has three words
			continue
		}
		if was, is := c.old.protection(o), c.new.protection(n); was != is {
			c.find("segment", n, nil, "its memory is %v, and was %v", is, was)
		}
	}
	if o, n := c.old.Type, c.new.Type; o != n {
		c.find("segment", nil, nil, "the file is %v, and was %v", n, o)
	}
	o, n := c.old.header(elf.PT_TLS), c.new.header(elf.PT_TLS)
	brings := slices.ContainsFunc(c.new.pieces, func(p *piece) bool { return p.sec.Flags&elf.SHF_TLS != 0 && c.has(p) })
	if o != nil && n != nil && n.Align > o.Align && !brings {
		c.find("segment", nil, nil, "thread-local variables are aligned to %d bytes, and were to %d", n.Align, o.Align)
	}
}
