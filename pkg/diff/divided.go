// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"
	"sort"

	"lpatch/pkg/codes"
	"lpatch/pkg/lpelf"
)

// divideData separates constants that share one location in the old object because their contents were equal (gcc -fipa-icf),
// but not in the new object. The constant whose content is unchanged keeps the old location. The other one is treated as new,
// so that everything that refers to it is reported as changed.
func (c *comparer) divideData() {
	for _, n := range c.new.Variables() {
		o := c.res.OldOf[n]
		if o == nil {
			continue
		}
		for _, other := range c.old.overlapping(o) {
			m := c.newOf[other]
			if m == nil || c.newOf[o] != n || together(o, other, n, m) {
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

// joinData refuses variables that have a place each in the old object, and one for both in the new one, as an alias has: what
// the program has written to one is not in the other. Constants of one place hold the same, so that each may keep its own.
func (c *comparer) joinData() {
	for _, n := range c.new.Variables() {
		o := c.res.OldOf[n]
		for _, m := range c.new.overlapping(n) {
			other := c.res.OldOf[m]
			if o == nil || other == nil || together(o, other, n, m) || !c.old.isState(o) && !c.old.isState(other) || c.refused(n.Name, codes.SharedData) || c.refused(m.Name, codes.SharedData) {
				continue
			}
			c.refuse(n.Name, codes.SharedData, "the program has a place for this variable and another one for %s, which have the same one in the new source; leave both as they were, or give the new one another name", m.Name)
		}
	}
}

// relaid tells whether variables that have a common place in one object have none in the other.
func (c *comparer) relaid() bool {
	for n, o := range c.res.OldOf {
		for _, other := range c.old.overlapping(o) {
			if m := c.newOf[other]; m != nil && !together(o, other, n, m) {
				return true
			}
		}
		for _, m := range c.new.overlapping(n) {
			if other := c.res.OldOf[m]; other != nil && !together(o, other, n, m) {
				return true
			}
		}
	}
	return false
}

// together tells whether two variables are at the same distance in both objects.
func together(o1, o2, n1, n2 *lpelf.Symbol) bool {
	return o1.Section == o2.Section && n1.Section == n2.Section && o2.Value-o1.Value == n2.Value-n1.Value
}

// overlapping are the other symbols at the place of a variable.
func (o *Object) overlapping(v *lpelf.Symbol) []*lpelf.Symbol {
	sec := o.SectionOf(v)
	if sec == nil {
		return nil
	}
	all, reach := o.SymbolsIn(sec), o.reach(sec)
	var out []*lpelf.Symbol
	for _, s := range all[sort.Search(len(all), func(i int) bool { return reach[i] > v.Value }):] {
		if s.Value >= v.Value+v.Size {
			break
		}
		if s != v && overlap(v, s) {
			out = append(out, s)
		}
	}
	return out
}

// reach returns for each symbol of a section the highest end of it and those before it. It spares overlapping the symbols that end
// before a variable: all variables are asked for, and a section may have them all.
func (o *Object) reach(sec *lpelf.Section) []uint64 {
	if ends, ok := o.reaches[sec]; ok {
		return ends
	}
	var ends []uint64
	end := uint64(0)
	for _, s := range o.SymbolsIn(sec) {
		end = max(end, s.Value+s.Size)
		ends = append(ends, end)
	}
	if o.reaches == nil {
		o.reaches = map[*lpelf.Section][]uint64{}
	}
	o.reaches[sec] = ends
	return ends
}

// isState tells whether the program may write to a variable.
func (o *Object) isState(v *lpelf.Symbol) bool {
	sec := o.SectionOf(v)
	return sec == nil || sec.Flags&elf.SHF_WRITE != 0 && !isReadOnly(sec)
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
