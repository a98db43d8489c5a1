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
	in   string
	off  uint64
	room uint64 // to the next symbol, where it is all that tells of zeros
}

// marks are those that code can refer to, by name.
func (o *Object) marks() map[string]markPlace {
	out, referred := map[string]markPlace{}, o.referred()
	for _, s := range o.Symbols {
		if s.Name == "" || s.Type != elf.STT_NOTYPE || s.Section == elf.SHN_UNDEF || o.byName[s.Name] != s || s.Bind == elf.STB_LOCAL && !referred[s] {
			continue
		}
		sec := o.SectionOf(s)
		switch {
		case s.Section == elf.SHN_ABS:
			out[s.Name] = markPlace{off: s.Value}
		case sec != nil && sec.Flags&elf.SHF_ALLOC != 0 && sec.Flags&elf.SHF_MERGE == 0 && !underAny(sec.Name, explained): // clang has marks in exception tables
			out[s.Name] = o.markPlace(sec, s)
		}
	}
	return out
}

func (o *Object) markPlace(sec *lpelf.Section, mark *lpelf.Symbol) markPlace {
	place, end := markPlace{in: sec.Name, off: mark.Value}, sec.Size
	for _, s := range o.SymbolsIn(sec) {
		switch {
		case (s.IsFunc() || isVariable(s)) && s.Value <= mark.Value && mark.Value <= s.Value+s.Size:
			place = markPlace{in: s.Name, off: mark.Value - s.Value}
		case s.Value > mark.Value:
			end = min(end, s.Value)
		}
	}
	if sec.Type == elf.SHT_NOBITS && place.in == sec.Name {
		place.room = end - mark.Value
	}
	return place
}

// referred are the symbols that what is loaded refers to, or to a place that only they have a name for.
func (o *Object) referred() map[*lpelf.Symbol]bool {
	out := map[*lpelf.Symbol]bool{}
	for _, sec := range o.Sections {
		if sec.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		for _, r := range o.Refs(sec) {
			out[r.Sym], out[r.Raw.Sym] = true, true
		}
	}
	return out
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
		c.refuse(name, codes.LabelMoved, "the name means another place, room or number than in the old object, and the program goes on to have the old one; leave it, or give the new one another name")
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
