// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"

	"lpatch/pkg/codes"
	"lpatch/pkg/lpelf"
)

// compareAlignment refuses variables that are to be aligned better than a process has them. An object says how sections are
// aligned: what raises that is a new variable, or one of those at such a place.
func (c *comparer) compareAlignment() {
	for _, n := range c.new.Variables() {
		o := c.res.OldOf[n]
		if o == nil || o.Size != n.Size || IsTypeData(n.Name) || ByContent(n) {
			continue
		}
		osec, nsec := c.old.SectionOf(o), c.new.SectionOf(n)
		was, is := alignmentOf(osec, o), alignmentOf(nsec, n)
		if osec != nil {
			was = max(osec.Align, 1)
		}
		if is <= was || nsec != nil && c.raisedByOther(nsec, is) {
			continue
		}
		c.refuse(n.Name, codes.DataAlignmentChanged, "the new source aligns the variable to %d bytes, and a process may have it at a multiple of %d only; leave its alignment as it was, or give the new one another name", is, was)
	}
}

// alignmentOf is the most that a variable may be aligned to, by where it is. The value of a common symbol is its alignment.
func alignmentOf(sec *lpelf.Section, s *lpelf.Symbol) uint64 {
	if sec == nil {
		return max(s.Value, 1)
	}
	return max(min(sec.Align, (s.Value|sec.Align)&-(s.Value|sec.Align)), 1)
}

// raisedByOther tells whether something in a section that is no variable of the old object may be what wants an alignment: a new
// variable, or a constant that has no name.
func (c *comparer) raisedByOther(sec *lpelf.Section, align uint64) bool {
	all := c.new.SymbolsIn(sec)
	if sec.Flags&elf.SHF_WRITE == 0 && (len(all) != 1 || all[0].Size != sec.Size) {
		return true
	}
	for _, s := range all {
		if c.res.OldOf[s] == nil && alignmentOf(sec, s) >= align {
			return true
		}
	}
	return false
}
