// SPDX-License-Identifier: GPL-2.0

package closedworld

import (
	"debug/elf"
	"fmt"

	"lpatch/pkg/ehframe"
	"lpatch/pkg/lpelf"
)

// frame is an FDE of .eh_frame for a part of a piece.
type frame struct {
	off, size uint64 // range of the code within the piece
	lsda      uint64 // address of the language-specific data area, or 0
	rules     string // instructions of FDE and CIE, without addresses
	handler   place  // personality routine
}

// readFrames assigns the FDEs to the pieces.
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
				continue // the linker has discarded the code
			}
			if at, _ := im.pieceAt(code, e.PC); at != nil {
				f.off = e.PC - at.start
				im.frames[at] = append(im.frames[at], f)
			}
		}
	}
	return nil
}

// equalFrames compares the FDEs of two pieces.
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

// isFramed reports whether a section is compared by way of the FDEs.
func isFramed(s *lpelf.Section) bool {
	return s.Name == ".eh_frame" || s.Name == ".eh_frame_hdr" || s.Name == ".gcc_except_table" || s.Type == unwind
}

// unwind is SHT_X86_64_UNWIND of the psABI.
const unwind elf.SectionType = 0x70000001
