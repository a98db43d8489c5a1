// SPDX-License-Identifier: GPL-2.0

package lpelf

import (
	"debug/elf"

	"lpatch/pkg/arch"
)

// Slot is a word that the dynamic linker relocates according to .rela.dyn or .rela.plt.
type Slot struct {
	Vaddr  uint64
	Type   arch.Reloc
	Symbol string
	// Version is the version of the symbol ("GLIBC_2.14"), or "".
	Version string
	Addend  int64
}

// Slots contains the words of a program or shared object that its dynamic linker relocates.
type Slots struct {
	ByVaddr map[uint64]Slot
	// GOT maps a symbol to the words that contain its address: GLOB_DAT first, then JUMP_SLOT.
	GOT map[string][]Slot
	// PLT maps the address of a PLT entry to the address of its slot; PLTOf is the inverse.
	PLT   map[uint64]uint64
	PLTOf map[uint64]uint64
	// Copies maps the symbols with COPY relocations to the addresses of their copies in .bss.
	Copies map[string]uint64
}

// ReadSlots reads the GOT and the PLT of a linked file.
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

// SectionRelr is SHT_RELR of the gABI: packed relative relocations without addends (-z pack-relative-relocs).
const SectionRelr elf.SectionType = 19

// scanRelr adds the words of an SHT_RELR section (gABI "Relative Relocation Table"). An even entry is the address of a word;
// an odd entry is a bitmap of the 63 words that follow. The addend is the content of the word; words outside of the file are
// ignored.
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

// scanPLT looks for "jmp *slot(%rip)" in each entry of a PLT section. An entry starts with the optional endbr64 or bnd prefix
// before the jump and has 8 or 16 bytes. Entries of the lazy .plt of an IBT binary contain no such jump; those of .plt.sec
// do.
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
