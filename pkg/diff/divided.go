// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"

	"lpatch/pkg/codes"
	"lpatch/pkg/lpelf"
)

// divideData separates constants that share one location in the old object because their contents were equal (gcc -fipa-icf),
// but not in the new object. The constant whose content is unchanged keeps the old location. The other one is treated as new,
// so that everything that refers to it is reported as changed.
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

// part makes variable n of the new object a new one, or refuses it if it has state or is visible to other objects.
func (c *comparer) part(o, n *lpelf.Symbol, with string) {
	if o.Bind != elf.STB_LOCAL || n.Bind != elf.STB_LOCAL || c.old.SectionOf(o).Flags&elf.SHF_WRITE != 0 {
		c.refuse(n.Name, codes.SharedData, "the program has one place for this variable and for %s, which are two in the new source; change both alike, or neither", with)
		return
	}
	delete(c.res.OldOf, n)
	delete(c.newOf, o)
}
