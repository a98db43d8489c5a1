// SPDX-License-Identifier: GPL-2.0

package closedworld

import (
	"debug/elf"
	"fmt"

	"lpatch/pkg/ehframe"
	"lpatch/pkg/lpelf"
)

// frame is an entry of .eh_frame: how to unwind a part of a piece.
type frame struct {
	off, size uint64 // of the code within the piece
	lsda      uint64 // address of its table of call sites, or 0
	rules     string // of the entry and the one that it has in common with others, without addresses
	handler   place  // the personality routine
}

// readFrames finds the unwind entries of each piece.
func (im *Image) readFrames() error {
	for _, sec := range im.sections {
		if sec.Name != ".eh_frame" {
			continue
		}
		table, err := ehframe.Read(sec.Data, sec.Addr)
		if err != nil {
			return fmt.Errorf("%s: .eh_frame: %w", im.Path, err)
		}
		for _, e := range table.Frames {
			f := frame{size: e.Size, lsda: e.LSDA, rules: e.Rules}
			if e.Handler != 0 {
				f.handler = im.locate(e.Handler)
			}
			code := im.sectionAt(e.PC)
			if code == nil {
				continue // of code that the linker has left out
			}
			if at, _ := im.pieceAt(code, e.PC); at != nil {
				f.off = e.PC - at.start
				im.frames[at] = append(im.frames[at], f)
			}
		}
	}
	return nil
}

// equalFrames compares how two pieces are unwound.
func (c *comparer) equalFrames(o, n *piece) (bool, string) {
	of, nf := c.old.frames[o], c.new.frames[n]
	if len(of) != len(nf) {
		return false, "it has an unwind entry on one side only"
	}
	for i := range of {
		a, b := &of[i], &nf[i]
		switch {
		case a.off != b.off || a.size != b.size || a.rules != b.rules:
			return false, "its unwind entry differs"
		case (a.handler == place{}) != (b.handler == place{}) || a.handler != (place{}) && !c.samePlace(a.handler, b.handler, false):
			return false, "another function handles its exceptions"
		case (a.lsda == 0) != (b.lsda == 0):
			return false, "it has a table of exceptions on one side only"
		case a.lsda != 0 && !c.equalTable(a.lsda, b.lsda):
			return false, "its table of exceptions differs"
		}
	}
	return true, ""
}

func (c *comparer) equalTable(o, n uint64) bool {
	so, sn := c.old.sectionAt(o), c.new.sectionAt(n)
	return so != nil && sn != nil && c.sameUnnamed(place{sec: so, addr: o}, place{sec: sn, addr: n}, false)
}

// isFramed tells sections that are accounted for by unwind entries.
func isFramed(s *lpelf.Section) bool {
	return s.Name == ".eh_frame" || s.Name == ".eh_frame_hdr" || s.Name == ".gcc_except_table" || s.Type == unwind
}

// unwind is SHT_X86_64_UNWIND of the psABI.
const unwind elf.SectionType = 0x70000001
