// SPDX-License-Identifier: GPL-2.0

package bake

import (
	"debug/elf"

	"lpatch/pkg/ehframe"
)

// collectFrames reserves space for a table with the unwind information of the file followed by that of the patch. It must be
// one table, because debuggers read one section, and unwinders locate one through the program headers.
func (b *baker) collectFrames() error {
	addr, frames := b.patch.Frames()
	own := b.file.Section(".eh_frame")
	if len(frames) == 0 || own == nil || own.Data == nil {
		return nil
	}
	old, err := ehframe.Read(own.Data, own.Addr)
	if err != nil {
		return refuse("%s: its .eh_frame cannot be read: %v", b.name, err)
	}
	added, err := ehframe.Read(frames, addr)
	if err != nil {
		return refuse("the .eh_frame of the patch cannot be read: %v", err)
	}
	const endMark = 4
	t := &section{name: ".eh_frame", typ: own.Type, flags: elf.SHF_ALLOC, align: 8, replaces: own}
	t.data = make([]byte, len(old.Data)+len(added.Data)+endMark)
	for _, p := range b.file.Progs {
		b.hdr = b.hdr || p.Type == elf.PT_GNU_EH_FRAME
	}
	if b.hdr {
		b.tables = append(b.tables, &section{
			name: ".eh_frame_hdr", typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC, align: 4, replaces: b.file.Section(".eh_frame_hdr"),
			data: make([]byte, ehframe.HeaderSize(len(old.Frames)+len(added.Frames))),
		})
	}
	b.tables = append(b.tables, t)
	return nil
}

// moveFrames writes the table once all addresses are known and fixups are applied.
func (b *baker) moveFrames() error {
	t := b.table(".eh_frame")
	if t == nil {
		return nil
	}
	own := t.replaces
	addr, size := b.patch.Frames()
	old, err := ehframe.Read(own.Data, own.Addr)
	if err != nil {
		return err
	}
	added, err := ehframe.Read(b.memory[addr:addr+uint64(len(size))], b.base+addr)
	if err != nil {
		return err
	}
	var rows []ehframe.Row
	at := t.addr
	for _, f := range []*ehframe.Table{old, added} {
		if err := f.Move(at); err != nil {
			return refuse("%s: its .eh_frame cannot be moved: %v", b.name, err)
		}
		copy(t.data[at-t.addr:], f.Data)
		for _, e := range f.Frames {
			rows = append(rows, ehframe.Row{PC: e.PC, FDE: at + e.FDE})
		}
		at += uint64(len(f.Data))
	}
	hdr := b.table(".eh_frame_hdr")
	if hdr == nil {
		return nil
	}
	data, far := ehframe.Header(hdr.addr, t.addr, rows)
	if far != 0 {
		return refuse("code at %#x is out of reach of the tables of the unwinder", far)
	}
	copy(hdr.data, data)
	return nil
}
