// SPDX-License-Identifier: GPL-2.0

package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"lpatch/pkg/arch"
	"lpatch/pkg/lpelf"
)

// sortStarts collects the start addresses of code and the names of functions and variables. The starts bound the padding that
// follows a function.
func (im *Image) sortStarts(table []*lpelf.Symbol) {
	seen := map[uint64]bool{}
	im.names, im.dataAt = map[uint64][]string{}, map[uint64][]string{}
	for _, s := range table {
		if s.Defined() && s.Type == elf.STT_FUNC && s.Size > 0 {
			im.names[s.Value] = append(im.names[s.Value], s.Name)
		}
		if s.Defined() && s.Type == elf.STT_OBJECT && s.Size > 0 {
			im.dataAt[s.Value] = append(im.dataAt[s.Value], s.Name)
		}
	}
	add := func(v uint64) {
		if !seen[v] {
			seen[v] = true
			im.starts = append(im.starts, v)
		}
	}
	for _, syms := range [][]*lpelf.Symbol{table, im.DynSymbols} {
		for _, s := range syms {
			if s.Defined() && (s.IsFunc() || s.Type == elf.STT_NOTYPE) {
				add(s.Value)
			}
		}
	}
	for _, s := range im.Sections {
		if s.Flags&elf.SHF_EXECINSTR != 0 {
			add(s.Addr)
		}
	}
	sort.Slice(im.starts, func(i, j int) bool { return im.starts[i] < im.starts[j] })
}

// FunctionsAt returns the names that the symbol table has for the function at vaddr.
func (im *Image) FunctionsAt(vaddr uint64) []string { return im.names[vaddr] }

// NextStart returns the lowest known start of code above vaddr, or vaddr itself if there is none.
func (im *Image) NextStart(vaddr uint64) uint64 {
	i := sort.Search(len(im.starts), func(i int) bool { return im.starts[i] > vaddr })
	if i == len(im.starts) {
		return vaddr
	}
	return im.starts[i]
}

// VariablesAt returns the names that the symbol table has for the variables at vaddr.
func (im *Image) VariablesAt(vaddr uint64) []string { return im.dataAt[vaddr] }

// Code returns the content of the executable segment from vaddr to its end, or nil if vaddr is not executable.
func (im *Image) Code(vaddr uint64) []byte {
	if p := im.Segment(vaddr); p != nil && p.Flags&elf.PF_X != 0 {
		return im.BytesAt(vaddr)
	}
	return nil
}

// Content returns the initial content of size bytes at vaddr; .bss reads as zeros. ok is false if no single segment contains
// the whole range.
func (im *Image) Content(vaddr, size uint64) (b []byte, ok bool) {
	p := im.Segment(vaddr)
	if p == nil || size > p.Vaddr+p.Memsz-vaddr {
		return nil, false
	}
	b = make([]byte, size)
	copy(b, im.BytesAt(vaddr))
	return b, true
}

// Holds reports whether the image contains the bytes want at vaddr. Bytes that the dynamic linker fills in are marked in
// linked, must be zero in want, and are not compared.
func (im *Image) Holds(vaddr uint64, want []byte, linked []bool) bool {
	have, ok := im.Content(vaddr, uint64(len(linked)))
	if !ok {
		return false
	}
	for i := range have {
		if linked[i] {
			have[i] = 0
		}
	}
	return bytes.Equal(have, want)
}

// SlotIn returns the first word that overlaps [from, to) and is relocated by the dynamic linker.
func (im *Image) SlotIn(from, to uint64) (first lpelf.Slot, ok bool) {
	for at, s := range im.Slots.ByVaddr {
		if at < to && at+8 > from && (!ok || at < first.Vaddr) {
			first, ok = s, true
		}
	}
	return first, ok
}

// Constant reports whether the program cannot write to vaddr at run time: it is in a read-only segment or in PT_GNU_RELRO.
func (im *Image) Constant(vaddr uint64) bool {
	if p := im.Segment(vaddr); p != nil && p.Flags&elf.PF_W == 0 {
		return true
	}
	for _, p := range im.Progs {
		if p.Type == elf.PT_GNU_RELRO && vaddr >= p.Vaddr && vaddr-p.Vaddr < p.Memsz {
			return true
		}
	}
	return false
}

// Variables returns the symbols denoted by name, sorted by address, one per address. NAME denotes the global symbol, or all
// static ones if there is no global one; SOURCE:NAME denotes a static one of that source file.
func (im *Image) Variables(name string) []*lpelf.Symbol {
	var candidates, out []*lpelf.Symbol
	source, static, qualified := strings.Cut(name, ":")
	if !qualified {
		static = name
		candidates = im.global[name]
	}
	if len(candidates) == 0 {
		for _, block := range im.local {
			for _, s := range block[static] {
				if !qualified || s.File == source || filepath.Base(s.File) == source {
					candidates = append(candidates, s)
				}
			}
		}
	}
	for _, s := range candidates {
		if !slices.ContainsFunc(out, func(o *lpelf.Symbol) bool { return o.Value == s.Value }) {
			out = append(out, s)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Value < out[j].Value })
	return out
}

// Pointer returns the 8-byte word at vaddr with the value that it has after dynamic relocation with load bias 0.
func (im *Image) Pointer(vaddr uint64) (uint64, bool) {
	if s, ok := im.Slots.ByVaddr[vaddr]; ok {
		switch t := s.Type; {
		case t.Meaning == arch.Relative, t.Meaning == arch.Indirect:
			return uint64(s.Addend), true
		case t.Pointer(), t.Meaning == arch.GlobDat, t.Meaning == arch.JumpSlot:
			if g := im.Global(s.Symbol); g != nil {
				return g.Value + uint64(s.Addend), true
			}
		}
		return 0, false
	}
	b := im.BytesAt(vaddr)
	if len(b) < 8 {
		return 0, false
	}
	return binary.LittleEndian.Uint64(b), true
}
