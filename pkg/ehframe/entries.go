// SPDX-License-Identifier: GPL-2.0

// Package ehframe reads and writes the unwind tables of ELF files, .eh_frame and .eh_frame_hdr (LSB "Exception Frames").
package ehframe

import (
	"encoding/binary"
	"fmt"
)

var le = binary.LittleEndian

// Entry is an entry of .eh_frame: an FDE, which describes a range of code, or a CIE, which contains information common to
// several FDEs.
type Entry struct {
	Off, End uint64
	CIE      uint64 // offset of the CIE of an FDE, which may not exist; for a CIE its own offset
}

// IsCIE reports whether the entry is a CIE.
func (e Entry) IsCIE() bool { return e.CIE == e.Off }

// Entries returns the entries up to the terminator or the first malformed entry; end is the offset of the latter.
func Entries(data []byte) (list []Entry, end uint64, err error) {
	for end+4 <= uint64(len(data)) {
		size := uint64(le.Uint32(data[end:]))
		if size == 0 {
			break
		}
		if size >= 0xfffffff0 || size < 4 || end+4+size > uint64(len(data)) {
			return list, end, fmt.Errorf("the entry at %#x has an impossible size", end)
		}
		e := Entry{Off: end, End: end + 4 + size, CIE: end}
		if id := uint64(le.Uint32(data[end+4:])); id != 0 {
			e.CIE = end + 4 - id
		}
		list = append(list, e)
		end = e.End
	}
	return list, end, nil
}
