// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"lpatch/pkg/arch"
	"lpatch/pkg/codes"
	"lpatch/pkg/lpelf"
)

// checkStoredLabels refuses changed functions whose old code takes the address of a label (GNU C, "Labels as Values") outside
// of a constant table: the program may have stored the address, and new code would jump into the old body.
func (c *comparer) checkStoredLabels() {
	for _, ch := range c.res.Changed {
		if takesLabel(c.old, c.old.SectionOf(ch.Old)) && jumpsIndirectly(c.new, c.new.SectionOf(ch.New)) {
			c.refuse(ch.New.Name, codes.LabelAddress, "the old function takes the address of one of its labels, and where the program has stored it the new code would jump into the old one; leave the function as it was, or change one that it calls")
		}
	}
}

// takesLabel reports whether code takes the address of a location within itself, by lea x(%rip) or by a relocated field.
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
