// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"
	"maps"
	"slices"
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/lpelf"
)

// alike reports whether two variables have the same size and, as far as debug information tells, the same type.
func (c *comparer) alike(o, n *lpelf.Symbol) bool {
	was, is := c.old.identify(o).decl, c.new.identify(n).decl
	if o.Size != n.Size || (o.Type == elf.STT_TLS) != (n.Type == elf.STT_TLS) || was.Piece != is.Piece {
		return false
	}
	return was.Entry == nil || is.Entry == nil || was.Type().Shape() == is.Type().Shape()
}

// wholeAlike reports whether the compiler split both variables into the same number of pieces (scalar replacement), or
// reduced both to a flag with the same meaning.
func (c *comparer) wholeAlike(o, n *lpelf.Symbol) bool {
	was, is := c.old.identify(o).decl, c.new.identify(n).decl
	return was.Entry == nil || is.Entry == nil || was.Pieces() == is.Pieces() && was.Form() == is.Form()
}

// pairCrowds pairs variables where several ones share an identity, as in two blocks of a function or two expansions of a
// macro: by their locations in the source, or by their types. It refuses those that remain, since it is not known which
// values of the program belong to them.
func (c *comparer) pairCrowds() {
	groups := c.crowds((*identity).key)
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		g := groups[key]
		c.pairConstants(g)
		c.pairPieces(g)
		c.pairInSource(g)
		c.pairAlike(g)
		olds, news := c.state(c.old, g.olds), c.state(c.new, g.news)
		if !c.anyAlike(olds, news) {
			continue
		}
		c.refuse(c.new.identify(news[0]).name, codes.StaticAmbiguous,
			"%d old and %d new static variables of this name%s cannot be matched to each other; give the new ones names of their own",
			len(g.olds)+len(c.old.removed(g.olds[0])), len(g.news)+len(c.new.removed(g.news[0])), c.new.identify(news[0]).in())
	}
}

// in returns a phrase that names the function in which the variable is declared, or "".
func (id *identity) in() string {
	if !id.local {
		return ""
	}
	return " in " + id.scope
}

// anyAlike reports whether any of the old variables may correspond to any of the new ones.
func (c *comparer) anyAlike(olds, news []*lpelf.Symbol) bool {
	return slices.ContainsFunc(olds, func(o *lpelf.Symbol) bool {
		return slices.ContainsFunc(news, func(n *lpelf.Symbol) bool { return c.alike(o, n) || !c.wholeAlike(o, n) })
	})
}

// state returns the variables of list that are unpaired and writable.
func (c *comparer) state(obj *Object, list []*lpelf.Symbol) []*lpelf.Symbol {
	return slices.DeleteFunc(slices.Clone(list), func(s *lpelf.Symbol) bool { return c.isPaired(s) || isReadOnly(obj.SectionOf(s)) })
}

// pairConstants pairs read-only variables with the same content: it makes no difference which of them code reads. If the new
// object has more of them, the additional ones become part of the patch. Only a program that compares the addresses of two
// equal constants of one name could notice; compilers and linkers merge such constants as well.
func (c *comparer) pairConstants(g *crowd) {
	for _, n := range g.news {
		for _, o := range g.olds {
			if !c.isPaired(o) && !c.isPaired(n) && isReadOnly(c.old.SectionOf(o)) && isReadOnly(c.new.SectionOf(n)) && c.alike(o, n) && c.sameContent(o, n) {
				c.pair(o, n)
			}
		}
	}
}

// pairPieces pairs the pieces into which the compiler split one structure.
func (c *comparer) pairPieces(g *crowd) {
	for _, n := range g.news {
		for _, o := range g.olds {
			was, is := c.old.identify(o).decl, c.new.identify(n).decl
			if was.Entry == nil || is.Entry == nil || c.isPaired(o) || c.isPaired(n) {
				continue
			}
			if is.Pieces() > 1 && was.Piece == is.Piece && was.Pieces() == is.Pieces() && is.Pieces() == len(g.news) && len(g.news) == len(g.olds) && c.alike(o, n) {
				c.pair(o, n)
			}
		}
	}
}

// pairInSource pairs variables by the text around their declarations, if it is unique.
func (c *comparer) pairInSource(g *crowd) {
	olds, news := c.state(c.old, g.olds), c.state(c.new, g.news)
	for _, n := range news {
		var fits []*lpelf.Symbol
		for _, o := range olds {
			if c.alike(o, n) && c.samePlace(o, n, olds, news) {
				fits = append(fits, o)
			}
		}
		if len(fits) == 1 && !c.isPaired(fits[0]) {
			c.pair(fits[0], n)
		}
	}
}

// pairAlike pairs variables whose type is unique among the variables of the same identity on both sides.
func (c *comparer) pairAlike(g *crowd) {
	olds, news := c.state(c.old, g.olds), c.state(c.new, g.news)
	if len(olds) == len(g.olds) && len(news) == len(g.news) && g.sole() {
		return // pairSole had this choice and rejected it
	}
	if c.anyRemoved(g.olds[0], g.news[0]) {
		return
	}
	for _, n := range news {
		fits := slices.DeleteFunc(slices.Clone(olds), func(o *lpelf.Symbol) bool { return !c.alike(o, n) })
		if len(fits) != 1 || c.isPaired(fits[0]) {
			continue
		}
		others := slices.DeleteFunc(slices.Clone(g.news), func(s *lpelf.Symbol) bool { return !c.alike(fits[0], s) })
		before := slices.DeleteFunc(slices.Clone(g.olds), func(s *lpelf.Symbol) bool { return !c.alike(s, n) })
		if len(others) == 1 && len(before) == 1 {
			c.pair(fits[0], n)
		}
	}
}

// pairLeft examines new variables that may be old ones which were renamed or moved to another function. It pairs those whose
// source text matches and refuses the rest.
func (c *comparer) pairLeft() {
	olds := c.state(c.old, c.unpaired(c.old))
	for _, n := range c.state(c.new, c.unpaired(c.new)) {
		is := c.new.identify(n)
		if is.decl.Entry == nil || n.Bind != elf.STB_LOCAL || c.refused(is.name, codes.StaticAmbiguous) {
			continue
		}
		var may []*lpelf.Symbol
		for _, o := range olds {
			was := c.old.identify(o)
			if was.decl.Entry == nil || c.isPaired(o) || !c.alike(o, n) || !c.sameContent(o, n) {
				continue
			}
			if was.decl.Name() == is.decl.Name() || was.scope == is.scope && was.local == is.local {
				may = append(may, o)
			}
		}
		if len(may) == 0 {
			continue
		}
		if o := c.carried(may, n); o != nil {
			c.pair(o, n)
			continue
		}
		c.refuseLeft(may[0], n)
	}
}

// refused reports whether a variable has been refused for this reason already.
func (c *comparer) refused(name string, code codes.Code) bool {
	return slices.ContainsFunc(c.res.Refusals, func(r Refusal) bool { return r.Symbol == name && r.Code == code })
}

// carried returns the old variable, among the candidates may, that corresponds to n by the text of its declaration and of its
// first use; nil unless there is exactly one. A variable in a function that already existed in the old object is not taken
// for one that moved there.
func (c *comparer) carried(may []*lpelf.Symbol, n *lpelf.Symbol) *lpelf.Symbol {
	var fits []*lpelf.Symbol
	is := c.new.identify(n)
	for _, o := range may {
		was := c.old.identify(o)
		moved := was.scope != is.scope
		if was.local == is.local && (!moved || !c.old.defines(is.scope)) && (c.sameUse(o, n) || moved && c.follows(o, n)) {
			fits = append(fits, o)
		}
	}
	if len(fits) != 1 {
		return nil
	}
	return fits[0]
}

// follows reports whether a function that used the old variable o now refers to a function that uses the new variable n. It
// is only consulted where the source is not available.
func (c *comparer) follows(o, n *lpelf.Symbol) bool {
	if os, _ := c.spots(o, n); os != nil {
		return false
	}
	users := c.new.users(n)
	for name := range c.old.users(o) {
		f := c.new.Lookup(name)
		if f == nil || !f.IsFunc() {
			continue
		}
		refs := c.new.refsAt(c.new.SectionOf(f), f.Value, f.Size)
		if slices.ContainsFunc(refs, func(r Ref) bool { return r.Sym != nil && users[r.Sym.Name] }) {
			return true
		}
	}
	return false
}

func (c *comparer) refuseLeft(o, n *lpelf.Symbol) {
	was, is := c.old.identify(o), c.new.identify(n)
	place := func(id *identity) string {
		if !id.local {
			return "the file"
		}
		return id.scope
	}
	if was.decl.Name() == is.decl.Name() {
		c.refuse(is.name, codes.StaticAmbiguous, "%s had a static variable of this name and type, and %s has one now; whether it is the same is not known: give a new one another name, or leave the old one where it was",
			place(was), place(is))
		return
	}
	c.refuse(is.name, codes.StaticAmbiguous, "%s had the static variable %s of this type, and has this one instead; whether it is the same is not known: keep the name, or, if this is another one, keep the declaration of %s too, with __attribute__((used))",
		place(was), was.decl.Name(), was.decl.Name())
}

// guardPrefix is the prefix of guard variables, which record whether a variable with dynamic initialisation has been
// initialised (Itanium C++ ABI 5.1.4.2).
const guardPrefix = "_ZGV"

// pairGuards pairs guard variables in the same way as the variables that they guard. Without its guard, an existing variable
// of the program would be initialised again.
func (c *comparer) pairGuards() {
	olds := map[*lpelf.Symbol]*lpelf.Symbol{} // guarded variable -> guard
	for _, g := range c.old.Variables() {
		if v := c.old.guarded(g); v != nil {
			olds[v] = g
		}
	}
	for _, g := range c.new.Variables() {
		n := c.new.guarded(g)
		if n == nil {
			if o := c.old.Lookup(g.Name); strings.HasPrefix(g.Name, guardPrefix) && o != nil && !c.isPaired(o) && c.old.guarded(o) == nil {
				c.pair(o, g)
			}
			continue
		}
		o := c.res.OldOf[n]
		switch {
		case o == nil:
		case olds[o] != nil:
			c.pair(olds[o], g)
		default:
			c.refuse(n.Name, codes.GuardNew, "the variable is initialised by code when it is reached, and the program has it without a note whether that has been done, so it would be initialised again; "+
				"leave its initialiser as it was, or give it another name")
		}
	}
}

// guarded returns the variable that the symbol g guards, or nil.
func (o *Object) guarded(g *lpelf.Symbol) *lpelf.Symbol {
	name, ok := strings.CutPrefix(g.Name, guardPrefix)
	if !ok {
		return nil
	}
	if v := o.Lookup("_Z" + name); v != nil {
		return v
	}
	return o.Lookup(strings.TrimLeft(name, "0123456789"))
}

// checkNames refuses variables of inline or template functions that now have the symbol name of a different one: the linker
// and the other object files identify them by this name.
func (c *comparer) checkNames() {
	for _, n := range c.new.Variables() {
		if n.Bind == elf.STB_LOCAL || !strings.HasPrefix(n.Name, "_ZZ") || c.new.byContent(n) {
			continue
		}
		if o := c.old.Lookup(n.Name); o != nil && c.res.OldOf[n] != o && !isReadOnly(c.new.SectionOf(n)) {
			c.refuse(n.Name, codes.StaticAmbiguous, "another static variable has this name in the program, because one of the same name came or went in front of it in %s; give the new one a name of its own",
				c.new.identify(n).scope)
		}
	}
}
