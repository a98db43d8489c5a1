// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"slices"

	"lpatch/pkg/arch"
	"lpatch/pkg/codes"
	"lpatch/pkg/lpelf"
)

// checkStoredLabels refuses changed functions whose labels (GNU C, "Labels as Values") the program may have stored: new code would jump
// back into the old body. The old code takes the address of one other than in a constant table, or the new code jumps to what is
// not read from such a table there and then.
func (c *comparer) checkStoredLabels() {
	for _, ch := range c.res.Changed {
		osec, nsec := c.old.SectionOf(ch.Old), c.new.SectionOf(ch.New)
		tables := c.old.labelTables(ch.Old)
		written := slices.ContainsFunc(tables, func(s *lpelf.Symbol) bool { return c.old.isState(s) })
		switch {
		case !jumpsIndirectly(c.new, nsec):
		case takesLabel(c.old, osec), written, len(tables) > 0 && c.new.jumpsByStored(nsec):
			c.refuse(ch.New.Name, codes.LabelAddress, "the old function takes the address of one of its labels, and where the program has stored it the new code would jump into the old one; leave the function as it was, or change one that it calls")
		}
	}
}

// jumpsByStored tells whether code has a jump to what it does not read from a constant table.
func (o *Object) jumpsByStored(s *lpelf.Section) bool {
	isTable := func(from, to uint64) bool {
		return slices.ContainsFunc(o.RefsIn(s, from, to-from), func(r Ref) bool { return r.Sec != nil && !r.Sec.IsText() && isReadOnly(r.Sec) })
	}
	for pos, in := range arch.Instructions(o.Arch, s.Data) {
		if in.Kind == arch.JmpInd && !o.Arch.JumpsByTable(s.Data, pos, isTable) {
			return true
		}
	}
	return false
}

// takesLabel tells whether code has the address of a place within itself: lea x(%rip), or a field that holds it.
func takesLabel(o *Object, s *lpelf.Section) bool {
	for _, r := range o.Refs(s) {
		if r.Sec == s && r.At > 0 && !r.Type.PCRel {
			return true
		}
	}
	relocated := map[int]bool{}
	for _, r := range s.Relocs {
		relocated[int(r.Off)] = true
	}
	for pos, in := range arch.Instructions(o.Arch, s.Data) { // code that cannot be decoded is refused elsewhere
		if in.Kind == arch.Other && in.PCRel == 4 && !relocated[pos+in.PCRelOff] {
			if to := pos + in.Len + int(in.Disp(s.Data[pos:])); to > 0 && to < len(s.Data) {
				return true
			}
		}
	}
	return false
}

func jumpsIndirectly(o *Object, s *lpelf.Section) bool {
	for _, in := range arch.Instructions(o.Arch, s.Data) {
		if in.Kind == arch.JmpInd {
			return true
		}
	}
	return false
}
