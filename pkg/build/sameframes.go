// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"slices"

	"lpatch/pkg/ehframe"
	"lpatch/pkg/lpelf"
)

// lld puts .eh_frame behind .eh_frame_hdr and the tables of exceptions, and with relocations in front of them. No code refers to
// them, so what they say has to be the same, and not where they are.
const (
	framesName = ".eh_frame"
	headerName = ".eh_frame_hdr"
	tablesName = ".gcc_except_table"
)

func isOfFrames(s *lpelf.Section) bool {
	return s.Name == framesName || s.Name == headerName || s.Name == tablesName
}

// framesInOrder puts them in one order where they follow each other.
func framesInOrder(list []*lpelf.Section) []*lpelf.Section {
	from := slices.IndexFunc(list, isOfFrames)
	if from < 0 {
		return list
	}
	to := from
	for to < len(list) && isOfFrames(list[to]) {
		to++
	}
	slices.SortFunc(list[from:to], func(a, b *lpelf.Section) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// sameFrames compares one of them that is elsewhere in the second link.
func (m *moved) sameFrames(a, b *lpelf.Section) bool {
	frames, again := m.f.Section(framesName), m.again.Section(framesName)
	switch {
	case frames == nil || again == nil || a.Size != b.Size || len(a.Data) != len(b.Data):
		return false
	case a.Name == framesName:
		return m.sameEntries(a, b)
	case a.Name == tablesName:
		return m.sameTables(a, b)
	}
	was, ok := ehframe.ReadHeader(a.Data, a.Addr)
	is, okAgain := ehframe.ReadHeader(b.Data, b.Addr)
	return ok && okAgain && slices.EqualFunc(was, is, func(x, y ehframe.Row) bool {
		return x.PC == y.PC && x.FDE-frames.Addr == y.FDE-again.Addr
	})
}

// sameEntries compares unwind entries: of what code they are, and where its table of exceptions is.
func (m *moved) sameEntries(a, b *lpelf.Section) bool {
	was, err := ehframe.Read(a.Data, a.Addr)
	is, errAgain := ehframe.Read(b.Data, b.Addr)
	if err != nil || errAgain != nil {
		return false
	}
	at := func(f *lpelf.File, lsda uint64) uint64 {
		if s := f.Section(tablesName); s != nil && lsda >= s.Addr && lsda-s.Addr < s.Size {
			return lsda - s.Addr + 1
		}
		return lsda
	}
	return slices.EqualFunc(was.Frames, is.Frames, func(x, y ehframe.Frame) bool {
		x.LSDA, y.LSDA = at(m.f, x.LSDA), at(m.again, y.LSDA)
		return x == y
	})
}

// sameTables compares tables of exceptions, which refer to types from where they are, as relocations tell.
func (m *moved) sameTables(a, b *lpelf.Section) bool {
	relocs, err := m.again.KeptRelocs()
	if err != nil {
		return false
	}
	data := slices.Clone(b.Data)
	for _, r := range relocs[b] {
		at := r.Off - b.Addr
		if r.Type.PCRel && r.Type.Size == 4 && at+4 <= uint64(len(data)) {
			field := data[at:]
			binary.LittleEndian.PutUint32(field, binary.LittleEndian.Uint32(field)+uint32(b.Addr-a.Addr))
		}
	}
	return bytes.Equal(a.Data, data)
}

// sameFramesProg compares the program headers that say where the table is, and what is mapped up to the end of both.
func (m *moved) sameFramesProg(a, b lpelf.Prog) bool {
	was, is := m.f.Section(headerName), m.again.Section(headerName)
	switch {
	case was == nil || is == nil || a.Flags != b.Flags || a.Align != b.Align || a.Filesz != a.Memsz || b.Filesz != b.Memsz:
		return false
	case a.Type == elf.PT_GNU_EH_FRAME:
		return a.Vaddr == was.Addr && b.Vaddr == is.Addr && a.Memsz == b.Memsz
	}
	return a.Type == elf.PT_LOAD && a.Vaddr == b.Vaddr && a.Vaddr+a.Memsz == endOfFrames(m.f) && b.Vaddr+b.Memsz == endOfFrames(m.again)
}

// endOfFrames is 0 if there are none.
func endOfFrames(f *lpelf.File) uint64 {
	frames, header := f.Section(framesName), f.Section(headerName)
	if frames == nil || header == nil {
		return 0
	}
	end := max(frames.Addr+frames.Size, header.Addr+header.Size)
	if tables := f.Section(tablesName); tables != nil {
		end = max(end, tables.Addr+tables.Size)
	}
	return end
}
