// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"
	"maps"
	"slices"
	"strings"

	"lpatch/pkg/lpelf"
)

func isVariable(s *lpelf.Symbol) bool {
	return s.Type == elf.STT_OBJECT || s.Type == elf.STT_TLS || s.Type == elf.STT_COMMON
}

func isLocalVariable(s *lpelf.Symbol) bool {
	return s.Bind == elf.STB_LOCAL && isVariable(s)
}

// isSet reports whether a section has a C identifier as name, so that the linker delimits it with __start_NAME and
// __stop_NAME. Its members are identified by position, because their names are often derived from __LINE__.
func isSet(section string) bool {
	for i, r := range section {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return section != ""
}

// crowd holds the unpaired variables of one identity.
type crowd struct{ olds, news []*lpelf.Symbol }

// correlate pairs the variables of both objects by identity: by function and name, from debug information and mangled names,
// or by name at file scope. Compiler-generated numbers and the order of use prove nothing, since both change with the code.
func (c *comparer) correlate() {
	if c.sameByName() {
		return
	}
	for _, rule := range []func(){c.proveVersions, c.pairSole, c.pairLoose, c.pairByCode, c.pairCrowds, c.pairLeft} {
		rule()
	}
	c.pairGuards()
	c.checkNames()
	c.checkRemoved()
	c.checkUnkept()
	c.divideData()
	c.joinData()
	c.same = map[sectionPair]bool{}
}

// sameByName pairs variables by symbol name, and reports whether old and new are equal with this pairing. That is the case
// for most objects of a program.
func (c *comparer) sameByName() bool {
	olds, news := c.old.Variables(), c.new.Variables()
	for _, n := range news {
		if o := c.old.Lookup(n.Name); o != nil && isVariable(o) && !c.old.byContent(o) && !c.new.byContent(n) {
			c.pair(o, n)
		}
	}
	same := len(olds) == len(news) && len(c.old.Functions()) == len(c.new.Functions())
	for _, n := range c.new.Functions() {
		same = same && c.unchanged(n.Name)
	}
	for _, n := range news {
		o := c.res.OldOf[n]
		same = same && (c.new.byContent(n) || o != nil && c.sameContent(o, n))
	}
	same = same && !c.relaid()
	if !same {
		clear(c.res.OldOf)
		clear(c.newOf)
	}
	c.same = map[sectionPair]bool{}
	return same
}

// sameContent reports whether two variables have the same kind, size and initial content.
func (c *comparer) sameContent(o, n *lpelf.Symbol) bool {
	osec, nsec := c.old.SectionOf(o), c.new.SectionOf(n)
	const kind = elf.SHF_WRITE | elf.SHF_TLS
	if o.Size != n.Size || o.Type != n.Type || osec != nil && nsec != nil && osec.Flags&kind != nsec.Flags&kind {
		return false
	}
	return c.equalRange(osec, nsec, startOf(osec, o), startOf(nsec, n), n.Size)
}

func (c *comparer) pair(o, n *lpelf.Symbol) {
	c.res.OldOf[n], c.newOf[o] = o, n
}

// unpaired returns the variables of an object that still have to be paired. Guard variables are excluded, since they follow
// the variables that they guard.
func (c *comparer) unpaired(obj *Object) []*lpelf.Symbol {
	return slices.DeleteFunc(obj.Variables(), func(s *lpelf.Symbol) bool {
		return c.isPaired(s) || obj.byContent(s) || strings.HasPrefix(s.Name, guardPrefix)
	})
}

func (c *comparer) isPaired(s *lpelf.Symbol) bool { return c.res.OldOf[s] != nil || c.newOf[s] != nil }

// crowds groups the unpaired variables by a key of their identity. Groups without variables of both versions are omitted.
func (c *comparer) crowds(key func(*identity) string) map[string]*crowd {
	m := map[string]*crowd{}
	of := func(obj *Object, s *lpelf.Symbol) *crowd {
		k := key(obj.identify(s))
		if m[k] == nil {
			m[k] = &crowd{}
		}
		return m[k]
	}
	for _, s := range c.unpaired(c.old) {
		g := of(c.old, s)
		g.olds = append(g.olds, s)
	}
	for _, s := range c.unpaired(c.new) {
		g := of(c.new, s)
		g.news = append(g.news, s)
	}
	maps.DeleteFunc(m, func(_ string, g *crowd) bool { return len(g.olds) == 0 || len(g.news) == 0 })
	return m
}

func (g *crowd) sole() bool { return len(g.olds) == 1 && len(g.news) == 1 }

// pairSole pairs variables that are the only ones with their identity.
func (c *comparer) pairSole() {
	for _, g := range c.crowds((*identity).key) {
		if g.sole() && !c.anyRemoved(g.olds[0], g.news[0]) && c.belong(g.olds[0], g.news[0]) {
			c.pair(g.olds[0], g.news[0])
		}
	}
}

// belong reports whether there is no evidence against o and n, which have the same identity, being the same variable.
func (c *comparer) belong(o, n *lpelf.Symbol) bool {
	was, is := c.old.identify(o), c.new.identify(n)
	if was.known && is.known {
		return was.decl.Piece == is.decl.Piece && c.wholeAlike(o, n) && !c.otherMacro(o, n)
	}
	numbered := baseName(o.Name) != o.Name || baseName(n.Name) != n.Name
	return !numbered || haveCommon(c.old.users(o), c.new.users(n))
}

// pairLoose pairs static locals of C++ functions whose parameters changed.
func (c *comparer) pairLoose() {
	for _, g := range c.crowds((*identity).loose) {
		if g.sole() && c.old.identify(g.olds[0]).local && !c.anyRemoved(g.olds[0], g.news[0]) && c.belong(g.olds[0], g.news[0]) {
			c.pair(g.olds[0], g.news[0])
		}
	}
}

// users returns the names of the functions and variables that refer to v.
func (o *Object) users(v *lpelf.Symbol) map[string]bool {
	users := map[string]bool{}
	for _, list := range [][]*lpelf.Symbol{o.Functions(), o.Variables()} {
		for _, s := range list {
			sec := o.SectionOf(s)
			for _, r := range o.refsAt(sec, startOf(sec, s), s.Size) {
				if r.Sym == v {
					users[s.Name] = true
				}
			}
		}
	}
	return users
}

func haveCommon(a, b map[string]bool) bool {
	for name := range a {
		if b[name] {
			return true
		}
	}
	return len(a) == 0 && len(b) == 0
}

// pairByCode pairs variables through the functions that use them and that are unchanged except for compiler-generated
// numbers: the same code does the same with the same variables. Each new pair may make another user equal, so this is
// repeated until no more pairs are found.
func (c *comparer) pairByCode() {
	for found := true; found; {
		found = false
		left := map[*lpelf.Symbol]bool{}
		for _, s := range c.unpaired(c.new) {
			left[s] = true
		}
		for _, list := range [][]*lpelf.Symbol{c.new.Functions(), c.new.Variables()} {
			for _, n := range list {
				sec := c.new.SectionOf(n)
				refs := c.new.refsAt(sec, startOf(sec, n), n.Size)
				if slices.ContainsFunc(refs, func(r Ref) bool { return left[r.Sym] }) {
					found = c.tryUser(n) || found
				}
			}
		}
	}
}

// tryUser assumes that the unpaired variables used by a function or variable of both objects correspond in the order of their
// use. If the users are equal under this assumption, it pairs the variables.
func (c *comparer) tryUser(n *lpelf.Symbol) bool {
	o := c.old.Lookup(n.Name)
	if isVariable(n) {
		o = c.res.OldOf[n]
	}
	if o == nil || o.IsFunc() != n.IsFunc() {
		return false
	}
	saved := c.same
	c.supposed, c.same = map[*lpelf.Symbol]*lpelf.Symbol{}, map[sectionPair]bool{}
	equal := n.IsFunc() && c.equalFunc(o, n) || !n.IsFunc() && c.sameContent(o, n)
	supposed := c.supposed
	c.supposed, c.same = nil, saved
	if !equal {
		return false
	}
	for n, o := range supposed {
		c.pair(o, n)
	}
	return len(supposed) > 0
}

// suppose reports whether two variables, used at the same position of two users, may be the same one, and records the
// tentative pair.
func (c *comparer) suppose(o, n *lpelf.Symbol) bool {
	if c.supposed == nil || !isVariable(o) || c.isPaired(o) || c.isPaired(n) || c.old.byContent(o) || c.new.byContent(n) {
		return false
	}
	if before, ok := c.supposed[n]; ok {
		return before == o
	}
	for _, taken := range c.supposed {
		if taken == o {
			return false
		}
	}
	if o.Bind != n.Bind || !c.alike(o, n) || strings.HasPrefix(o.Name, guardPrefix) != strings.HasPrefix(n.Name, guardPrefix) {
		return false
	}
	c.supposed[n] = o
	if c.sameContent(o, n) {
		return true
	}
	delete(c.supposed, n)
	return false
}
