package link

import (
	"debug/elf"
	"encoding/binary"
	"sort"

	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

// frames is the patch's .eh_frame: the entries of the new functions, so that unwinders can walk through them.
type frames struct {
	data    []byte
	entries []frameEntry
	addr    uint64 // of .eh_frame
	hdr     uint64 // of .eh_frame_hdr
}

// frameEntry is one FDE.
type frameEntry struct {
	off  uint64 // of the FDE in data
	c    *chunk
	base int64 // place in the chunk that pc_begin means
}

// collectFrames copies the FDEs of the chunks of text, and their CIEs, from the .eh_frame sections of the new objects
// (LSB "Exception Frames"; x86-64 compilers emit pc_begin as a 4-byte PC-relative field with a relocation).
func (l *linker) collectFrames() *frames {
	f := &frames{}
	cies := map[string]uint64{}
	for _, in := range l.inputs {
		for _, s := range in.Diff.New.Sections {
			if s.Name == ".eh_frame" && len(s.Data) > 0 {
				l.collectFrom(f, cies, in, s)
			}
		}
	}
	if len(f.data) > 0 {
		f.data = append(f.data, 0, 0, 0, 0) // terminator
	}
	return f
}

func (l *linker) collectFrom(f *frames, cies map[string]uint64, in *Input, s *lpelf.Section) {
	for off := uint64(0); off+8 <= uint64(len(s.Data)); {
		n := uint64(le32(s.Data[off:]))
		end := off + 4 + n
		if n == 0 || n >= 0xfffffff0 || end > uint64(len(s.Data)) {
			return
		}
		if id := uint64(le32(s.Data[off+4:])); id != 0 {
			l.collectFDE(f, cies, in, s, off, end, off+4-id)
		}
		off = end
	}
}

func (l *linker) collectFDE(f *frames, cies map[string]uint64, in *Input, s *lpelf.Section, off, end, cie uint64) {
	var pc *lpelf.Reloc
	others := 0
	for i := range s.Relocs {
		switch r := &s.Relocs[i]; {
		case r.Off == off+8:
			pc = r
		case r.Off >= off && r.Off < end:
			others++
		}
	}
	if pc == nil || pc.Type != elf.R_X86_64_PC32 {
		return
	}
	c := l.bySection[in.Diff.New.SectionOf(pc.Sym)]
	if c == nil || c.kind != kindText {
		return
	}
	if cie+8 > uint64(len(s.Data)) || cie+4+uint64(le32(s.Data[cie:])) > uint64(len(s.Data)) {
		l.refuse(in, c.name, "damaged-object", "its .eh_frame is damaged; build the object again")
		return
	}
	body := s.Data[cie : cie+4+uint64(le32(s.Data[cie:]))]
	for _, r := range s.Relocs {
		if r.Off >= cie && r.Off < cie+uint64(len(body)) {
			others++
		}
	}
	if others > 0 {
		l.refuse(in, c.name, "exception-tables", "the new code has exception tables (C++, or C with -fexceptions and cleanups), which are not supported; leave the function out")
		return
	}
	at, ok := cies[string(body)]
	if !ok {
		at = uint64(len(f.data))
		cies[string(body)] = at
		f.data = append(f.data, body...)
	}
	fde := uint64(len(f.data))
	f.data = append(f.data, s.Data[off:end]...)
	binary.LittleEndian.PutUint32(f.data[fde+4:], uint32(fde+4-at))
	f.entries = append(f.entries, frameEntry{off: fde, c: c, base: int64(pc.Sym.Value) + pc.Addend})
}

// place reserves the addresses of both sections.
func (f *frames) place(at *uint64) {
	if len(f.entries) == 0 {
		return
	}
	f.hdr = alignUp(*at, 4)
	f.addr = alignUp(f.hdr+12+8*uint64(len(f.entries)), 8)
	*at = f.addr + uint64(len(f.data))
}

// sections writes .eh_frame_hdr (LSB: version 1, pcrel|sdata4, udata4, datarel|sdata4 table, sorted) and .eh_frame.
func (f *frames) sections() []patch.Section {
	if len(f.entries) == 0 {
		return nil
	}
	le := binary.LittleEndian
	type row struct{ pc, fde uint64 }
	var table []row
	for _, e := range f.entries {
		pc := e.c.vaddr + uint64(e.base)
		le.PutUint32(f.data[e.off+8:], uint32(pc-(f.addr+e.off+8)))
		table = append(table, row{pc, f.addr + e.off})
	}
	sort.Slice(table, func(i, j int) bool { return table[i].pc < table[j].pc })
	hdr := []byte{1, 0x1b, 0x03, 0x3b}
	hdr = le.AppendUint32(hdr, uint32(f.addr-(f.hdr+4)))
	hdr = le.AppendUint32(hdr, uint32(len(table)))
	for _, r := range table {
		hdr = le.AppendUint32(hdr, uint32(r.pc-f.hdr))
		hdr = le.AppendUint32(hdr, uint32(r.fde-f.hdr))
	}
	return []patch.Section{
		{Name: ".eh_frame_hdr", Flags: elf.SHF_ALLOC, Addr: f.hdr, Align: 4, Data: hdr},
		{Name: ".eh_frame", Flags: elf.SHF_ALLOC, Addr: f.addr, Align: 8, Data: f.data},
	}
}
