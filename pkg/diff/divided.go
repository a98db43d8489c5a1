// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"

	"lpatch/pkg/codes"
	"lpatch/pkg/lpelf"
)

// divideData parts constants that the old object has at one place, because they held the same (gcc's -fipa-icf), and the new
// one at two. The one that is still what the place holds keeps it. The other is new: all that refers to it changes with that.
func (c *comparer) divideData() {
	for _, n := range c.new.Variables() {
		o := c.res.OldOf[n]
		if o == nil || c.old.SectionOf(o) == nil {
			continue
		}
		for _, other := range c.old.SymbolsIn(c.old.SectionOf(o)) {
			m := c.newOf[other]
			if other == o || m == nil || c.newOf[o] != n || !overlap(o, other) || m.Section == n.Section && m.Value-n.Value == other.Value-o.Value {
				continue
			}
			if c.sameContent(other, m) && !c.sameContent(o, n) {
				c.part(o, n, other.Name)
			} else {
				c.part(other, m, o.Name)
			}
		}
	}
}

func overlap(a, b *lpelf.Symbol) bool { return a.Value < b.Value+b.Size && b.Value < a.Value+a.Size }

// part makes a variable of the new object a new one.
func (c *comparer) part(o, n *lpelf.Symbol, with string) {
	if o.Bind != elf.STB_LOCAL || n.Bind != elf.STB_LOCAL || c.old.SectionOf(o).Flags&elf.SHF_WRITE != 0 {
		c.refuse(n.Name, codes.SharedData, "the program has one place for this variable and for %s, which are two in the new source; change both alike, or neither", with)
		return
	}
	delete(c.res.OldOf, n)
	delete(c.newOf, o)
}
