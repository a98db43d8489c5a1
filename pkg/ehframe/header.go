// SPDX-License-Identifier: GPL-2.0

package ehframe

import (
	"bytes"
	"slices"
	"sort"
)

// Row is a row of .eh_frame_hdr: where a range of code starts, and where its FDE is.
type Row struct{ PC, FDE uint64 }

// header is how .eh_frame_hdr begins where every linker writes it: version 1, the section pcrel|sdata4, the number of rows
// udata4, the rows datarel|sdata4.
var header = []byte{1, nearPointer, 0x03, 0x3b}

// HeaderSize is the size of .eh_frame_hdr with so many rows.
func HeaderSize(rows int) uint64 { return 12 + 8*uint64(rows) }

// Header writes .eh_frame_hdr, which is at an address, for the section at another one, and sorts the rows. far is an address
// of code that is out of its reach, 0 for none.
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

// ReadHeader reads .eh_frame_hdr, which is at an address. ok is false if it is written in another way, or damaged.
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

// HeaderRanges reads the ranges of an .eh_frame_hdr at an address, whose FDEs have the usual encoding; at returns what is in the
// file from an address on. It returns nil if any of it is not so.
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
