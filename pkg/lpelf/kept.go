// SPDX-License-Identifier: GPL-2.0

package lpelf

import (
	"cmp"
	"debug/elf"
	"slices"
)

// KeptRelocs returns the relocations that the linker has retained in a program or shared object (--emit-relocs), by section
// and sorted by address. Their offsets are virtual addresses.
func (f *File) KeptRelocs() (map[*Section][]Reloc, error) {
	out := map[*Section][]Reloc{}
	for _, s := range f.Sections {
		if s.Type != elf.SHT_RELA || s.Flags&elf.SHF_ALLOC != 0 || int(s.Info) >= len(f.Sections) {
			continue
		}
		target := f.Sections[s.Info]
		if target.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		relocs, err := f.parseRela(s, f.Symbols)
		if err != nil {
			return nil, err
		}
		out[target] = append(out[target], relocs...)
	}
	for _, relocs := range out {
		slices.SortStableFunc(relocs, func(a, b Reloc) int { return cmp.Compare(a.Off, b.Off) })
	}
	return out, nil
}
