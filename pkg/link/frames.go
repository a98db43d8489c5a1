// SPDX-License-Identifier: GPL-2.0

package link

import (
	"debug/elf"
	"encoding/binary"
	"fmt"

	"lpatch/pkg/arch"
	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/ehframe"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

// frames is the .eh_frame section of the patch. It contains the FDEs of the new functions, so that they can be unwound and
// can throw and catch exceptions.
type frames struct {
	c       *chunk
	entries []frameEntry
	cies    map[string]uint64 // content and personality -> offset
	hdr     uint64            // address of .eh_frame_hdr
	// personality is set if there are frames with cleanups or handlers.
	personality bool
}

// frameEntry is an FDE.
type frameEntry struct {
	off  uint64 // offset of the FDE
	c    *chunk
	base int64 // offset in the chunk that pc_begin refers to
}

func newFrames() *frames {
	return &frames{c: &chunk{kind: kindROData, name: ".eh_frame", align: 8}, cies: map[string]uint64{}}
}

// addFrames copies the FDEs of text section sec, whose code is in chunk c, together with their CIEs.
func (l *linker) addFrames(c *chunk, in *Input, sec *lpelf.Section) {
	for _, f := range in.Diff.New.Frames() {
		if f.Code.Sec == sec {
			l.addFrame(c, in, f)
		}
	}
}

func (l *linker) addFrame(c *chunk, in *Input, f diff.Frame) {
	fr := l.frames
	fr.c.in = in
	cie := l.addCIE(in, f)
	at := uint64(len(fr.c.data))
	fr.c.data = append(fr.c.data, f.Section.Data[f.Off:f.End]...)
	binary.LittleEndian.PutUint32(fr.c.data[at+4:], uint32(at+4-cie))
	fr.entries = append(fr.entries, frameEntry{off: at, c: c, base: f.Code.At})
	if f.LSDA != nil {
		r := *f.LSDA
		r.Off += at - f.Off
		l.relocateTo(fr.c, r, inPatch(l.addSection(in, r.Sec), r.At))
	}
}

// addCIE copies the CIE of an FDE. CIEs with equal content and personality are merged.
func (l *linker) addCIE(in *Input, f diff.Frame) uint64 {
	fr := l.frames
	key := string(f.Section.Data[f.CIE:f.CIEEnd])
	if p := f.Personality; p != nil {
		fr.personality = true
		if w, ok := in.Diff.New.Word(*p); ok {
			p = &w
		}
		key += fmt.Sprintf(" %s+%d", p.Sym.Name, p.Add)
	}
	if at, ok := fr.cies[key]; ok {
		return at
	}
	at := uint64(len(fr.c.data))
	fr.cies[key] = at
	fr.c.data = append(fr.c.data, f.Section.Data[f.CIE:f.CIEEnd]...)
	if f.Personality != nil {
		r := *f.Personality
		r.Off += at - f.CIE
		if !l.relocateWord(fr.c, r) {
			l.relocate(fr.c, r)
		}
	}
	return at
}

// relocateWord resolves a field of an exception table or a CIE that refers to a word with the address of a type or a
// personality routine: a word of the image for an import, else a word of the patch. It returns false if the field refers to
// something else.
func (l *linker) relocateWord(c *chunk, r diff.Ref) bool {
	w, ok := c.in.Diff.New.Word(r)
	if !ok || !r.Type.Near() {
		return false
	}
	if w.Sec == nil && l.im.Global(w.Sym.Name) == nil {
		if vaddr := l.im.WordFor(w.Sym.Name, w.Add); vaddr != 0 {
			l.fixupsPC = append(l.fixupsPC, pcFix{c: c, off: r.Off - c.lo, to: vaddr})
			return true
		}
	}
	w.Type = arch.Reloc{Meaning: arch.Word} // a GOT slot with the address is needed
	d, ok := l.resolve(c, w)
	if !ok {
		return true
	}
	if d.word {
		l.fixupsPC = append(l.fixupsPC, pcFix{c: c, off: r.Off - c.lo, to: d.vaddr, lib: d.lib})
		return true
	}
	if d.imported != "" {
		l.refuse(c.in, d.imported, codes.ImportNotInImage, "%s has no word with the address of this symbol, which the exception tables of the new code need; leave the handler or the cleanup out", l.im.Path)
		return true
	}
	l.relocateTo(c, r, inPatch(l.addSlot(d), 0))
	return true
}

// finish appends the terminator, which ends the scan of an unwinder that is given the section.
func (f *frames) finish() {
	if len(f.entries) > 0 {
		f.c.data = append(f.c.data, 0, 0, 0, 0)
	}
}

// place assigns the addresses of both sections.
func (f *frames) place(at *uint64) {
	if len(f.entries) == 0 {
		return
	}
	f.hdr = arch.AlignUp(*at, 4)
	f.c.vaddr = arch.AlignUp(f.hdr+ehframe.HeaderSize(len(f.entries)), f.c.align)
	*at = f.c.vaddr + uint64(len(f.c.data))
}

// sections returns .eh_frame_hdr and .eh_frame.
func (f *frames) sections() []patch.Section {
	if len(f.entries) == 0 {
		return nil
	}
	le := binary.LittleEndian
	var rows []ehframe.Row
	for _, e := range f.entries {
		pc := e.c.vaddr + uint64(e.base)
		le.PutUint32(f.c.data[e.off+8:], uint32(pc-(f.c.vaddr+e.off+8)))
		rows = append(rows, ehframe.Row{PC: pc, FDE: f.c.vaddr + e.off})
	}
	hdr, _ := ehframe.Header(f.hdr, f.c.vaddr, rows) // cannot fail, because the whole patch is within reach
	return []patch.Section{
		{Name: ".eh_frame_hdr", Flags: elf.SHF_ALLOC, Addr: f.hdr, Align: 4, Data: hdr},
		{Name: ".eh_frame", Flags: elf.SHF_ALLOC, Addr: f.c.vaddr, Align: f.c.align, Data: f.c.data},
	}
}
