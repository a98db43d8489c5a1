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

// alike tells whether two variables are of the same size and type, as far as debug information says.
func (c *comparer) alike(o, n *lpelf.Symbol) bool {
	was, is := c.old.identify(o).decl, c.new.identify(n).decl
	if o.Size != n.Size || (o.Type == elf.STT_TLS) != (n.Type == elf.STT_TLS) || was.Piece != is.Piece {
		return false
	}
	return was.Entry == nil || is.Entry == nil || was.Type().Shape() == is.Type().Shape()
}

// wholeAlike tells whether the compiler has made as many pieces of a variable as it did before, or a flag of the same meaning.
func (c *comparer) wholeAlike(o, n *lpelf.Symbol) bool {
	was, is := c.old.identify(o).decl, c.new.identify(n).decl
	return was.Entry == nil || is.Entry == nil || was.Pieces() == is.Pieces() && was.Form() == is.Form()
}

// pairCrowds pairs variables of one identity of which there are several, as two blocks of a function have, or two uses of a
// macro: by where they are in the source, or by their types. What the program keeps in those that are left nobody can say.
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

// in says in which function a variable is.
func (id *identity) in() string {
	if !id.local {
		return ""
	}
	return " in " + id.scope
}

// anyAlike tells whether one of some unpaired variables may be one of others.
func (c *comparer) anyAlike(olds, news []*lpelf.Symbol) bool {
	return slices.ContainsFunc(olds, func(o *lpelf.Symbol) bool {
		return slices.ContainsFunc(news, func(n *lpelf.Symbol) bool { return c.alike(o, n) || !c.wholeAlike(o, n) })
	})
}

// state are those of some variables that are not paired and that the program may change.
func (c *comparer) state(obj *Object, list []*lpelf.Symbol) []*lpelf.Symbol {
	return slices.DeleteFunc(slices.Clone(list), func(s *lpelf.Symbol) bool { return c.isPaired(s) || isReadOnly(obj.SectionOf(s)) })
}

// pairConstants pairs what is read-only and holds the same: whichever of them code reads, it reads the same. If there are
// more of them now, the patch has those. A program that compares the addresses of two constants of one name that hold the
// same would see whether they are two; both compilers and linkers merge such ones, too.
func (c *comparer) pairConstants(g *crowd) {
	for _, n := range g.news {
		for _, o := range g.olds {
			if !c.isPaired(o) && !c.isPaired(n) && isReadOnly(c.old.SectionOf(o)) && isReadOnly(c.new.SectionOf(n)) && c.alike(o, n) && c.sameContent(o, n) {
				c.pair(o, n)
			}
		}
	}
}

// pairPieces pairs the pieces that a compiler has made of one structure.
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

// pairInSource pairs by the text around the declarations, each with the only one that has it.
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

// pairAlike pairs those that are the only ones of their type, and of which another is of another type.
func (c *comparer) pairAlike(g *crowd) {
	olds, news := c.state(c.old, g.olds), c.state(c.new, g.news)
	if len(olds) == len(g.olds) && len(news) == len(g.news) && g.sole() {
		return // something speaks against it
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

// pairLeft looks at new variables that may be old ones under another name, or that went to another function: what looks the
// same in the source is, else it is not known.
func (c *comparer) pairLeft() {
	olds := c.state(c.old, c.unpaired(c.old))
	for _, n := range c.state(c.new, c.unpaired(c.new)) {
		is := c.new.identify(n)
		if is.decl.Entry == nil || n.Bind != elf.STB_LOCAL || c.refused(is.name) {
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

func (c *comparer) refused(name string) bool {
	return slices.ContainsFunc(c.res.Refusals, func(r Refusal) bool { return r.Symbol == name && r.Code == codes.StaticAmbiguous })
}

// carried is the one of some variables that a new one is by the text of its declaration and of its first use. A function
// that was there before and now has the variable of another one is no proof.
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

// follows tells whether a function that used an old variable now calls a function that uses a new one, where no source says
// more.
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

// guardPrefix begins the name of a guard, which says whether a variable is initialised (Itanium C++ ABI, 5.1.4.2).
const guardPrefix = "_ZGV"

// pairGuards pairs guards as the variables are that they guard. Without the guard that goes with it, a variable that the
// program has would be initialised again.
func (c *comparer) pairGuards() {
	olds := map[*lpelf.Symbol]*lpelf.Symbol{} // by what they guard
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

// guarded is the variable that a symbol guards, or nil.
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

// checkNames refuses variables of inline or template code that have now the name of another: a linker, and the other files
// of a program, tell them by it.
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
