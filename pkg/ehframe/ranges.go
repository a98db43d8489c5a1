// SPDX-License-Identifier: GPL-2.0

package ehframe

import (
	"bytes"
	"sort"
)

// Range is a range of code that has an FDE: a function or its .cold part.
type Range struct{ Start, End uint64 }

// Ranges returns the ranges in an .eh_frame at address addr. FDEs are skipped unless their CIE has the augmentation "zR" (or
// "zRS") and the encoding pcrel|sdata4.
func Ranges(data []byte, addr uint64) []Range {
	var out []Range
	known := map[uint64]bool{} // usable CIEs by offset
	entries, _, _ := Entries(data)
	for _, e := range entries {
		if e.End-e.Off < 16 {
			break
		}
		if e.IsCIE() {
			known[e.Off] = pcRelative(data[e.Off+8 : e.End])
		} else if known[e.CIE] {
			out = append(out, nearRange(data[e.Off:], addr+e.Off))
		}
	}
	return out
}

// pcRelative reports whether a CIE, given from its version field on, selects the usual encoding for its FDEs. Code alignment,
// data alignment, return address register and augmentation length must have one byte each; the encoding is the first byte of
// the augmentation data.
func pcRelative(cie []byte) bool {
	if !bytes.HasPrefix(cie, []byte("\x01zR")) {
		return false
	}
	end := bytes.IndexByte(cie, 0)
	return end > 0 && end+5 < len(cie) && cie[end+5] == nearPointer
}

// nearRange returns the range of an FDE of the usual encoding at address addr.
func nearRange(fde []byte, addr uint64) Range {
	start := addr + 8 + uint64(int64(int32(le.Uint32(fde[8:]))))
	return Range{start, start + uint64(le.Uint32(fde[12:]))}
}

// At returns the start of the range in a sorted list that contains addr.
func At(list []Range, addr uint64) (start uint64, ok bool) {
	i := sort.Search(len(list), func(i int) bool { return list[i].Start > addr }) - 1
	if i < 0 || addr >= list[i].End {
		return 0, false
	}
	return list[i].Start, true
}
