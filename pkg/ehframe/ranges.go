// SPDX-License-Identifier: GPL-2.0

package ehframe

import (
	"bytes"
	"sort"
)

// Range is a part of the code that has unwind information of its own: a function or its .cold part.
type Range struct{ Start, End uint64 }

// Ranges reads a section at an address, as far as its CIEs have the augmentation "zR" (or "zRS") and the encoding pcrel|sdata4;
// others are passed over.
func Ranges(data []byte, addr uint64) []Range {
	var out []Range
	known := map[uint64]bool{} // CIEs, by offset
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

// pcRelative tells whether a CIE, from its version on, has FDEs of the usual encoding: one byte each for code alignment,
// data alignment, return address, and length of the augmentation data, which begins with the encoding.
func pcRelative(cie []byte) bool {
	if !bytes.HasPrefix(cie, []byte("\x01zR")) {
		return false
	}
	end := bytes.IndexByte(cie, 0)
	return end > 0 && end+5 < len(cie) && cie[end+5] == nearPointer
}

// nearRange reads the range of an FDE of the usual encoding, which is at an address.
func nearRange(fde []byte, addr uint64) Range {
	start := addr + 8 + uint64(int64(int32(le.Uint32(fde[8:]))))
	return Range{start, start + uint64(le.Uint32(fde[12:]))}
}

// At returns the start of the one of sorted ranges that holds an address.
func At(list []Range, addr uint64) (start uint64, ok bool) {
	i := sort.Search(len(list), func(i int) bool { return list[i].Start > addr }) - 1
	if i < 0 || addr >= list[i].End {
		return 0, false
	}
	return list[i].Start, true
}
