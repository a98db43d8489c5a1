package link

import (
	"debug/elf"
	"encoding/binary"
	"slices"
	"sort"

	"lpatch/pkg/insn"
	"lpatch/pkg/lpelf"
)

func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func le64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

func alignUp(n, a uint64) uint64 { return (n + a - 1) &^ (a - 1) }

// sortStarts collects where functions start, to know how far the padding behind one may reach, and by which names.
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

// Entries returns the addresses by which code may call a function of the image: its own, and that of its PLT entry.
func (im *Image) Entries(name string, at uint64) []uint64 {
	out := []uint64{at}
	for _, slot := range im.Slots.GOT[name] {
		if plt, ok := im.Slots.PLTOf[slot.Vaddr]; ok {
			out = append(out, plt)
		}
	}
	return out
}

// Branches counts the calls of, and jumps to, one of some addresses in a range of code. Behind what does not decode it counts
// none.
func (im *Image) Branches(start, size uint64, to []uint64) (n int) {
	code := im.Code(start)
	code = code[:min(uint64(len(code)), size)]
	for pos := 0; pos < len(code); {
		in, err := insn.Decode(code[pos:])
		if err != nil {
			return n
		}
		if in.IsBranch() && in.PCRel == 4 {
			end := start + uint64(pos+in.Len)
			if slices.Contains(to, end+uint64(int64(int32(le32(code[pos+in.PCRelOff:]))))) {
				n++
			}
		}
		pos += in.Len
	}
	return n
}

// functionsAt lists the names that the symbol table has for the function at an address.
func (im *Image) functionsAt(vaddr uint64) []string { return im.names[vaddr] }

// nextStart returns the lowest known start of code above vaddr.
func (im *Image) nextStart(vaddr uint64) uint64 {
	i := sort.Search(len(im.starts), func(i int) bool { return im.starts[i] > vaddr })
	if i == len(im.starts) {
		return vaddr
	}
	return im.starts[i]
}

// Code returns the bytes of the executable segment from vaddr on, or nil.
func (im *Image) Code(vaddr uint64) []byte {
	if p := im.Segment(vaddr); p != nil && p.Flags&elf.PF_X != 0 {
		return im.BytesAt(vaddr)
	}
	return nil
}
