// SPDX-License-Identifier: GPL-2.0

package ehframe

import (
	"bytes"
	"slices"
	"sort"
)

// Row is a row of the search table in .eh_frame_hdr: the start address of a range of code and the address of its FDE.
type Row struct{ PC, FDE uint64 }

// header is the start of .eh_frame_hdr as written by all linkers: version 1, eh_frame_ptr pcrel|sdata4, fde_count udata4,
// table datarel|sdata4.
var header = []byte{1, nearPointer, 0x03, 0x3b}

// HeaderSize returns the size in bytes of an .eh_frame_hdr with the given number of rows.
func HeaderSize(rows int) uint64 { return 12 + 8*uint64(rows) }

// Header returns the content of an .eh_frame_hdr at address addr for the .eh_frame at address frames. It sorts rows. far is
// the address of code that is out of reach of a 32-bit offset; 0 if there is none.
func Header(addr, frames uint64, rows []Row) (data []byte, far uint64) {
	sort.SliceStable(rows, func(i, j int) bool { return rows[i].PC < rows[j].PC })
	data = slices.Clone(header)
	data = le.AppendUint32(data, uint32(frames-(addr+4)))
	data = le.AppendUint32(data, uint32(len(rows)))
	for _, r := range rows {
		for _, v := range []uint64{r.PC, r.FDE} {
			d := int64(v - addr)
			if d != int64(int32(d)) {
				far = r.PC
			}
			data = le.AppendUint32(data, uint32(d))
		}
	}
	return data, far
}

// ReadHeader reads an .eh_frame_hdr at address addr. ok is false if it uses another encoding or is malformed.
func ReadHeader(data []byte, addr uint64) (rows []Row, ok bool) {
	if len(data) < 12 || !bytes.HasPrefix(data, header) {
		return nil, false
	}
	n := uint64(le.Uint32(data[8:]))
	if n > uint64(len(data)-12)/8 {
		return nil, false
	}
	near := func(b []byte) uint64 { return addr + uint64(int64(int32(le.Uint32(b)))) }
	for i := range n {
		row := data[12+8*i:]
		rows = append(rows, Row{near(row), near(row[4:])})
	}
	return rows, true
}

// HeaderRanges returns the code ranges of an .eh_frame_hdr at address addr, whose FDEs have the usual encoding. at returns
// the content of the file from an address on. The result is nil if any part is malformed or encoded differently.
func HeaderRanges(data []byte, addr uint64, at func(uint64) []byte) []Range {
	rows, _ := ReadHeader(data, addr)
	var out []Range
	for _, r := range rows {
		fde := at(r.FDE)
		if len(fde) < 16 {
			return nil
		}
		found := nearRange(fde, r.FDE)
		if found.Start != r.PC {
			return nil
		}
		out = append(out, found)
	}
	return out
}
