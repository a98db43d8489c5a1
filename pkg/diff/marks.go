// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"
	"maps"
	"slices"

	"lpatch/pkg/codes"
	"lpatch/pkg/lpelf"
)

// A mark is a name that is neither a function nor a variable: a label of assembly, or a number (.set NAME, 5). The code that
// uses it may be another object's, and be the same in both versions.

// markPlace is where a mark is: from the beginning of the function or variable around it, else of its section.
type markPlace struct {
	in  string
	off uint64
}

// marks are those that code can refer to, by name.
func (o *Object) marks() map[string]markPlace {
	out := map[string]markPlace{}
	for _, s := range o.Symbols {
		if s.Name == "" || s.Type != elf.STT_NOTYPE || s.Section == elf.SHN_UNDEF || o.byName[s.Name] != s || s.Bind == elf.STB_LOCAL && !o.refersTo(s) {
			continue
		}
		sec := o.SectionOf(s)
		switch {
		case s.Section == elf.SHN_ABS:
			out[s.Name] = markPlace{"", s.Value}
		case sec != nil && sec.Flags&elf.SHF_ALLOC != 0 && sec.Flags&elf.SHF_MERGE == 0:
			out[s.Name] = o.markPlace(sec, s)
		}
	}
	return out
}

func (o *Object) markPlace(sec *lpelf.Section, mark *lpelf.Symbol) markPlace {
	place := markPlace{sec.Name, mark.Value}
	for _, s := range o.SymbolsIn(sec) {
		if (s.IsFunc() || isVariable(s)) && s.Value <= mark.Value && mark.Value <= s.Value+s.Size {
			place = markPlace{s.Name, mark.Value - s.Value}
		}
	}
	return place
}

// refersTo tells whether something that is loaded refers to a symbol.
func (o *Object) refersTo(s *lpelf.Symbol) bool {
	return slices.ContainsFunc(o.Sections, func(sec *lpelf.Section) bool {
		return sec.Flags&elf.SHF_ALLOC != 0 && slices.ContainsFunc(sec.Relocs, func(r lpelf.Reloc) bool { return r.Sym == s })
	})
}

// compareMarks refuses marks that mean something else than before. Those within functions that changed are seen to by checkLabels.
func (c *comparer) compareMarks() {
	olds, news := c.old.marks(), c.new.marks()
	for _, name := range slices.Sorted(maps.Keys(news)) {
		was, there := olds[name]
		is := news[name]
		if !there || was == is || slices.ContainsFunc(c.res.Changed, func(ch Change) bool { return ch.New.Name == is.in }) {
			continue
		}
		c.refuse(name, codes.LabelMoved, "the name means another place or number than in the old object, and code that does not change would go on to use the old one; leave it, or give the new one another name")
	}
}

// compareCodeSets refuses functions that come to, or leave, a section that __start_NAME and __stop_NAME mark: the program asks
// them whether code is in it.
func (c *comparer) compareCodeSets() {
	setOf := func(o *Object, f *lpelf.Symbol) string {
		if sec := o.SectionOf(f); sec != nil && sec.IsText() && isSet(sec.Name) {
			return sec.Name
		}
		return ""
	}
	for _, side := range [][2]*Object{{c.old, c.new}, {c.new, c.old}} {
		for _, f := range side[0].Functions() {
			set, other := setOf(side[0], f), side[1].Lookup(f.Name)
			if set == "" || other != nil && setOf(side[1], other) == set {
				continue
			}
			c.refuse(f.Name, codes.TableChanged, "the function is in section %s in one version alone, and the program may tell by where that starts and ends what is in it; leave the functions that it has, or restart the program", set)
		}
	}
}
