// SPDX-License-Identifier: GPL-2.0

package link

import (
	"slices"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/image"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/match"
)

// leadsIn returns the Leads of the old object of an input. They are computed once.
func (l *linker) leadsIn(in *Input) match.Leads {
	if in.Loc == nil {
		return nil
	}
	if _, done := l.leads[in]; !done {
		l.leads[in] = l.im.LeadsOf(in.Loc.Obj, in.Loc.Block)
	}
	return l.leads[in]
}

// oldLeads returns the destinations of references to a symbol in old code: in that of the same object, else in that of the
// others.
func (l *linker) oldLeads(in *Input, s *lpelf.Symbol) []image.Lead {
	if own := l.leadsIn(in).Of(s); len(own) > 0 {
		return own
	}
	var out []image.Lead
	take := func(list []image.Lead) {
		for _, a := range list {
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	for _, other := range l.inputs {
		take(l.leadsIn(other).Of(s))
	}
	if len(out) > 0 || !l.im.Doubtful(s.Name) {
		return out
	}
	for _, a := range l.otherLeads() {
		take(a.Of(s))
	}
	return out
}

// otherLeads returns the Leads of all old objects. They are computed only if nothing else resolves a symbol.
func (l *linker) otherLeads() []match.Leads {
	if l.others == nil && l.opts.Olds != nil {
		for _, obj := range l.opts.Olds() {
			if blocks := l.im.BlocksFor(obj); len(blocks) == 1 {
				l.others = append(l.others, l.im.LeadsOf(obj, blocks[0]))
			}
		}
	}
	return l.others
}

// byOldCode resolves a name as in old code. done is false if old code adds nothing to what the symbol table says.
func (l *linker) byOldCode(c *chunk, r diff.Ref) (d dest, done, ok bool) {
	name := r.Sym.Name
	found := l.oldLeads(c.in, r.Sym)
	g := l.im.Versioned(r.Sym)
	switch {
	case len(found) == 0 && l.im.Global(image.WrapPrefix+name) != nil:
		l.refuse(c.in, name, codes.ReferenceAmbiguous, "no old code refers to this symbol, and in %s the linker redirects it to %s (--wrap); refer to the one that is meant by its own name",
			l.im.Path, image.WrapPrefix+name)
		return dest{}, true, false
	case len(found) == 0:
		return dest{}, false, true
	case len(found) > 1:
		l.refuse(c.in, name, codes.ReferenceAmbiguous, "references of the old code to this symbol lead to different places of %s (%s); refer to the one that is meant by another name",
			l.im.Path, l.im.LeadNames(found))
		return dest{}, true, false
	}
	to := found[0]
	switch {
	case g != nil && l.im.LeadTo(g.Value) == to, to.Name == name && g != nil && !l.im.IsWrap(name, to), to == image.Lead{}:
		return dest{}, false, true
	case g != nil && !l.im.IsWrap(name, to) && !slices.ContainsFunc(l.im.Globals(name), func(s *lpelf.Symbol) bool { return s.Value == to.Vaddr }):
		l.refuse(c.in, name, codes.ReferenceAmbiguous, "the old code leads this symbol to %s of %s, where the symbol table does not have it; refer to the one that is meant by another name",
			l.im.LeadNames(found), l.im.Path)
		return dest{}, true, false
	case to.Name != "":
		d = dest{imported: to.Name, version: to.Version}
		known := len(l.importSlots(d)) > 0
		return d, known, known
	}
	if s := l.im.SymbolAt(to.Vaddr); s != nil {
		d, ok = l.entry(c.in, s, to.Vaddr)
		return d, true, ok
	}
	return inImage(to.Vaddr), true, true
}
