// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"
	"slices"
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/lpelf"
)

// checkLabels refuses functions that changed where a table of the program, or code that does not change, has addresses of places
// within them: it goes on to have those of the old body, and the new one is not found by them.
func (c *comparer) checkLabels() {
	changed := map[*lpelf.Section]string{} // section of a function or of its .cold part -> name of the function
	for _, ch := range c.res.Changed {
		changed[c.new.SectionOf(ch.New)] = ch.New.Name
		if cold := c.new.Lookup(ch.New.Name + ".cold"); cold != nil {
			changed[c.new.SectionOf(cold)] = ch.New.Name
		}
	}
	for _, s := range c.new.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || underAny(s.Name, explained) || changed[s] != "" {
			continue
		}
		for _, r := range c.new.Refs(s) {
			if f := changed[r.Sec]; r.Sec != nil && f != "" && r.Add != 0 && !c.goesWith(s, r, changed) {
				c.refuse(f, codes.LabelsInTable, "the function changed, and section %s has addresses of places within it, of which the program goes on to use its own; leave the function as it was, or restart the program", s.Name)
			}
		}
	}
	c.checkInnerSymbols(changed)
	c.warnProbes(changed)
}

// warnProbes warns about SystemTap probes in changed functions: tracers find probes through notes in the file and do not see
// those in the new code.
func (c *comparer) warnProbes(changed map[*lpelf.Section]string) {
	warned := map[string]bool{}
	for _, s := range c.new.Sections {
		if s.Name != ".note.stapsdt" {
			continue
		}
		for _, r := range c.new.Refs(s) {
			if f := changed[r.Sec]; r.Sec != nil && f != "" && !warned[f] {
				warned[f] = true
				c.res.Warnings = append(c.res.Warnings, c.new.Name+": "+f+": it has probes for tracers (.note.stapsdt), which do not see them in the new code")
			}
		}
	}
}

// goesWith reports whether a table of labels is copied into the patch together with the functions that it refers to: a table
// that the compiler generated for a switch or a computed goto, or one that only changed functions refer to.
func (c *comparer) goesWith(s *lpelf.Section, r Ref, changed map[*lpelf.Section]string) bool {
	if s.IsText() || c.new.IsTable(s) {
		return false // code that does not change goes on to lead into the old body
	}
	sym, _ := c.new.At(s, int64(r.Off))
	switch {
	case sym != nil && sym.Name != "":
		return c.new.byContent(sym)
	case c.new.namedByCompiler(s):
		return true
	}
	return !slices.ContainsFunc(c.new.referrers(s), func(by *lpelf.Section) bool { return changed[by] == "" })
}

// checkInnerSymbols refuses changed functions that contain a symbol which other code refers to: its address remains that in
// the old body.
func (c *comparer) checkInnerSymbols(changed map[*lpelf.Section]string) {
	for sec, f := range changed {
		for _, s := range c.new.SymbolsIn(sec) {
			if s.Type != elf.STT_NOTYPE || s.Value == 0 || s.Value >= sec.Size || strings.HasPrefix(s.Name, ".L") {
				continue
			}
			named := slices.ContainsFunc(c.new.referrers(sec), func(by *lpelf.Section) bool {
				return slices.ContainsFunc(c.new.Refs(by), func(r Ref) bool { return r.Raw.Sym == s })
			})
			if s.Bind != elf.STB_LOCAL || named {
				c.refuse(f, codes.LabelsInTable, "the function changed, and the program knows the address of %s within it, which stays that of the old one; leave the function as it was, or restart the program", s.Name)
			}
		}
	}
}
