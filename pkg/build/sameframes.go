// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"debug/elf"
	"slices"

	"lpatch/pkg/ehframe"
	"lpatch/pkg/lpelf"
)

// lld puts .eh_frame behind .eh_frame_hdr, and with relocations in front of it. The code may not refer to them, so what they say
// has to be the same, and not where they are.
const (
	framesName = ".eh_frame"
	headerName = ".eh_frame_hdr"
)

// headerFirst puts them in one order.
func headerFirst(list []*lpelf.Section) []*lpelf.Section {
	i := slices.IndexFunc(list, func(s *lpelf.Section) bool { return s.Name == framesName })
	if i >= 0 && i+1 < len(list) && list[i+1].Name == headerName {
		list[i], list[i+1] = list[i+1], list[i]
	}
	return list
}

// sameFrames compares unwind entries that are elsewhere in the second link, or the table of them.
func (m *moved) sameFrames(a, b *lpelf.Section) bool {
	frames, again := m.f.Section(framesName), m.again.Section(framesName)
	switch {
	case frames == nil || again == nil || a.Size != b.Size || len(a.Data) != len(b.Data):
		return false
	case a.Name == framesName:
		table, err := ehframe.Read(a.Data, a.Addr)
		if err != nil || table.Move(b.Addr) != nil {
			return false
		}
		return bytes.Equal(table.Data, b.Data[:len(table.Data)]) && bytes.Equal(a.Data[len(table.Data):], b.Data[len(table.Data):])
	}
	was, ok := ehframe.ReadHeader(a.Data, a.Addr)
	is, okAgain := ehframe.ReadHeader(b.Data, b.Addr)
	return ok && okAgain && slices.EqualFunc(was, is, func(x, y ehframe.Row) bool {
		return x.PC == y.PC && x.FDE-frames.Addr == y.FDE-again.Addr
	})
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
	return max(frames.Addr+frames.Size, header.Addr+header.Size)
}
