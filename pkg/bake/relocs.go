// SPDX-License-Identifier: GPL-2.0

package bake

import (
	"debug/elf"

	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

const relaSize = 24

// collectRelative records the words of the patch that contain addresses, unless the load address of the file is fixed.
func (b *baker) collectRelative() {
	if b.fixed() {
		return
	}
	for _, x := range b.patch.Spec.Fixups {
		if x.Kind == patch.FixupAbs64 && (x.Image == patch.SelfImage || x.Image == b.image) {
			b.relative = append(b.relative, x.Place)
		}
	}
}

// collectRelocations reserves space for the relocations of the patch followed by those of the file, because the first
// DT_RELACOUNT relocations are relative ones.
func (b *baker) collectRelocations() error {
	if len(b.relative) == 0 {
		return nil
	}
	start, _ := b.file.Dynamic(elf.DT_RELA)
	size, _ := b.file.Dynamic(elf.DT_RELASZ)
	old := b.file.BytesAt(start)
	if uint64(len(old)) < size || size%relaSize != 0 {
		return refuse("%s: its table of relocations is not in the file; the file is damaged", b.name)
	}
	if jump, ok := b.file.Dynamic(elf.DT_JMPREL); ok && jump >= start && jump < start+size {
		return refuse("the relocations of %s for its PLT are a part of the others, as no linker of today makes them", b.name)
	}
	t := &section{name: ".rela.dyn", typ: elf.SHT_RELA, flags: elf.SHF_ALLOC, align: 8, entsize: relaSize}
	t.data = append(make([]byte, relaSize*len(b.relative)), old[:size]...)
	for _, s := range b.file.Sections {
		if s.Type == elf.SHT_RELA && s.Addr == start && size > 0 {
			t.replaces, t.link, t.info = s, s.Link, s.Info
		}
	}
	b.tables = append(b.tables, t)
	return nil
}

// relocate writes the relocation table and updates the dynamic section.
func (b *baker) relocate() error {
	if len(b.relative) == 0 {
		return nil
	}
	t := b.table(".rela.dyn")
	for i, place := range b.relative {
		e := t.data[relaSize*i:]
		le.PutUint64(e, b.base+place)
		le.PutUint64(e[8:], uint64(elf.R_X86_64_RELATIVE))
		le.PutUint64(e[16:], le.Uint64(b.memory[place:]))
	}
	count, counted := b.file.Dynamic(elf.DT_RELACOUNT)
	entries := []dynamicEntry{
		{elf.DT_RELA, t.addr}, {elf.DT_RELASZ, uint64(len(t.data))}, {elf.DT_RELAENT, relaSize},
	}
	if counted {
		entries = append(entries, dynamicEntry{elf.DT_RELACOUNT, count + uint64(len(b.relative))})
	}
	for _, e := range entries {
		if !e.set(b.file) {
			return refuse("%s has no relocations and no room in its dynamic section to name some; use boot add", b.name)
		}
	}
	return nil
}

type dynamicEntry struct {
	tag   elf.DynTag
	value uint64
}

// set updates the dynamic entry with this tag, or uses a spare entry at the end. The last entry must remain DT_NULL.
func (e dynamicEntry) set(f *lpelf.File) bool {
	for _, p := range f.Progs {
		if p.Type != elf.PT_DYNAMIC || p.Off+p.Filesz < p.Off || p.Off+p.Filesz > uint64(len(f.Data)) {
			continue
		}
		for d := f.Data[p.Off : p.Off+p.Filesz]; len(d) >= 16; d = d[16:] {
			tag := elf.DynTag(le.Uint64(d))
			if tag == e.tag || tag == elf.DT_NULL && len(d) >= 32 {
				le.PutUint64(d, uint64(e.tag))
				le.PutUint64(d[8:], e.value)
				return true
			}
		}
	}
	return false
}
