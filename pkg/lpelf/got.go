// SPDX-License-Identifier: GPL-2.0

package lpelf

import (
	"debug/elf"

	"lpatch/pkg/arch"
)

// Slot is a word that the dynamic linker fills, found through .rela.dyn and .rela.plt.
type Slot struct {
	Vaddr  uint64
	Type   arch.Reloc
	Symbol string
	// Version is the symbol's version ("GLIBC_2.14"), "" if it has none.
	Version string
	Addend  int64
}

// Slots are the places of a program or shared object that its dynamic linker fills.
type Slots struct {
	ByVaddr map[uint64]Slot
	// GOT holds, per symbol, the words whose value is the symbol's address (GLOB_DAT, then JUMP_SLOT).
	GOT map[string][]Slot
	// PLT maps the address of a PLT entry to the slot it jumps through; PLTOf is the reverse, by slot address.
	PLT   map[uint64]uint64
	PLTOf map[uint64]uint64
	// Copies are the symbols that have been copied into the image's .bss (COPY relocations).
	Copies map[string]uint64
}

// ReadSlots maps the GOT and PLT of a linked file.
func (f *File) ReadSlots() (*Slots, error) {
	s := &Slots{
		ByVaddr: map[uint64]Slot{}, GOT: map[string][]Slot{}, PLT: map[uint64]uint64{}, PLTOf: map[uint64]uint64{},
		Copies: map[string]uint64{},
	}
	for _, sec := range f.Sections {
		if sec.Type == SectionRelr && sec.Flags&elf.SHF_ALLOC != 0 {
			f.scanRelr(s, sec)
		}
		if sec.Type != elf.SHT_RELA || sec.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		relocs, err := f.parseRela(sec, f.DynSymbols)
		if err != nil {
			return nil, err
		}
		for _, r := range relocs {
			s.add(r)
		}
	}
	for _, sec := range f.Sections {
		if sec.Flags&elf.SHF_EXECINSTR == 0 || len(sec.Name) < 4 || sec.Name[:4] != ".plt" && sec.Name != ".iplt" {
			continue
		}
		s.scanPLT(f.Arch, sec)
	}
	return s, nil
}

// SectionRelr is SHT_RELR of the gABI: relative relocations without addends, packed (-z pack-relative-relocs).
const SectionRelr elf.SectionType = 19

// scanRelr adds the words of an SHT_RELR section (gABI "Relative Relocation Table"): an even entry is the address of one,
// an odd entry has a bit for each of the 63 behind the last. The addend is in the word, so those elsewhere are none.
func (f *File) scanRelr(s *Slots, sec *Section) {
	const word, bits = 8, 63
	add := func(at uint64) {
		if b := f.BytesAt(at); len(b) >= word {
			s.ByVaddr[at] = Slot{Vaddr: at, Type: arch.Reloc{Meaning: arch.Relative}, Addend: int64(le64(b))}
		}
	}
	next := uint64(0)
	for d := sec.Data; len(d) >= word; d = d[word:] {
		entry := le64(d)
		if entry&1 == 0 {
			add(entry)
			next = entry + word
			continue
		}
		for i := uint64(0); i < bits; i++ {
			if entry>>(i+1)&1 != 0 {
				add(next + i*word)
			}
		}
		next += bits * word
	}
}

func (s *Slots) add(r Reloc) {
	slot := Slot{Vaddr: r.Off, Type: r.Type, Symbol: r.Sym.Name, Version: r.Sym.Version, Addend: r.Addend}
	s.ByVaddr[r.Off] = slot
	switch r.Type.Meaning {
	case arch.GlobDat:
		s.GOT[slot.Symbol] = append([]Slot{slot}, s.GOT[slot.Symbol]...)
	case arch.JumpSlot:
		s.GOT[slot.Symbol] = append(s.GOT[slot.Symbol], slot)
	case arch.Copy:
		s.Copies[slot.Symbol] = r.Off
	}
}

// scanPLT finds "jmp *slot(%rip)" in each entry of a PLT section. The entry starts at the endbr64 or bnd prefix before
// the jump; entries are 8 or 16 bytes, and an entry of the lazy .plt of an IBT binary holds no such jump (.plt.sec does).
func (s *Slots) scanPLT(a arch.Arch, sec *Section) {
	const maxEntry = 16
	step := uint64(maxEntry)
	if sec.Entry == 8 || sec.Align == 8 {
		step = 8
	}
	for off := uint64(0); off+step <= uint64(len(sec.Data)); off += step {
		code := sec.Data[off : off+step]
		for pos, in := range arch.Instructions(a, code) {
			if in.Kind == arch.JmpInd && in.PCRel == 4 {
				slot := sec.Addr + off + uint64(pos+in.Len) + uint64(int64(int32(le32(code[pos+in.PCRelOff:]))))
				if _, ok := s.ByVaddr[slot]; ok {
					s.PLT[sec.Addr+off] = slot
					s.PLTOf[slot] = sec.Addr + off
				}
				break
			}
		}
	}
}
