package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"sort"
)

// Extent is a part of the image's code that has unwind information of its own: a function or its .cold part.
type Extent struct{ Start, End uint64 }

// Extents lists them by address, from the table or, where there is none (static programs of gcc), from .eh_frame.
func (im *Image) Extents() []Extent {
	out := im.frameTable()
	if s := im.Section(".eh_frame"); out == nil && s != nil {
		out = frameExtents(s.Data, s.Addr)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Start < out[j].Start })
	return out
}

// frameExtents reads the FDEs of an .eh_frame section whose CIEs have the augmentation "zR" (or "zRS") and the encoding
// pcrel|sdata4; others are passed over.
func frameExtents(d []byte, addr uint64) []Extent {
	var out []Extent
	known := map[uint64]bool{} // CIEs, by offset
	for off := uint64(0); off+16 <= uint64(len(d)); {
		n := uint64(binary.LittleEndian.Uint32(d[off:]))
		next := off + 4 + n
		if n < 12 || next > uint64(len(d)) {
			break
		}
		id := uint64(binary.LittleEndian.Uint32(d[off+4:]))
		switch {
		case id == 0:
			known[off] = pcRelative(d[off+8 : next])
		case id <= off+4 && known[off+4-id]:
			start := addr + off + 8 + uint64(int64(int32(binary.LittleEndian.Uint32(d[off+8:]))))
			out = append(out, Extent{start, start + uint64(binary.LittleEndian.Uint32(d[off+12:]))})
		}
		off = next
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
	return end > 0 && end+5 < len(cie) && cie[end+5] == 0x1b
}

// frameTable lists them from .eh_frame_hdr, which stripped files keep (LSB "Exception Frames": version 1, a table of
// datarel|sdata4 pairs sorted by address, each of a function's start and its FDE; in the FDE, pcrel|sdata4). Files that
// are encoded otherwise have none.
func (im *Image) frameTable() []Extent {
	var hdr uint64
	for _, p := range im.Progs {
		if p.Type == elf.PT_GNU_EH_FRAME {
			hdr = p.Vaddr
		}
	}
	b := im.BytesAt(hdr)
	if hdr == 0 || len(b) < 12 || b[0] != 1 || b[1] != 0x1b || b[2] != 0x03 || b[3] != 0x3b {
		return nil
	}
	n := uint64(binary.LittleEndian.Uint32(b[8:]))
	if n > uint64(len(b)-12)/8 {
		return nil
	}
	var out []Extent
	for i := range n {
		row := b[12+8*i:]
		start, at := hdr+uint64(int64(int32(binary.LittleEndian.Uint32(row)))), hdr+uint64(int64(int32(binary.LittleEndian.Uint32(row[4:]))))
		fde := im.BytesAt(at)
		if len(fde) < 16 {
			return nil
		}
		if begin := at + 8 + uint64(int64(int32(binary.LittleEndian.Uint32(fde[8:])))); begin != start {
			return nil
		}
		out = append(out, Extent{start, start + uint64(binary.LittleEndian.Uint32(fde[12:]))})
	}
	return out
}

// ExtentAt returns the start of the extent that holds an address.
func ExtentAt(list []Extent, addr uint64) (start uint64, ok bool) {
	i := sort.Search(len(list), func(i int) bool { return list[i].Start > addr }) - 1
	if i < 0 || addr >= list[i].End {
		return 0, false
	}
	return list[i].Start, true
}
