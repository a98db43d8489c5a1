// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"
	"maps"
	"slices"

	"lpatch/pkg/codes"
	"lpatch/pkg/lpelf"
)

// namesakes returns, by name, the functions and variables of an object whose names are not unique. This happens if "ld -r"
// joined several objects with static symbols of the same name.
func (o *Object) namesakes() map[string][]*lpelf.Symbol {
	if o.joined != nil {
		return o.joined
	}
	m := map[string][]*lpelf.Symbol{}
	for _, s := range o.Symbols {
		if s.Name != "" && s.Section != elf.SHN_UNDEF && (s.IsFunc() || isVariable(s)) && !ByContent(s) {
			m[s.Name] = append(m[s.Name], s)
		}
	}
	for name, list := range m {
		if len(list) < 2 {
			delete(m, name)
		}
	}
	o.joined = m
	return m
}

// pairNamesakes pairs static variables of the same name that come from the same source file.
func (c *comparer) pairNamesakes() {
	olds := c.old.namesakes()
	for name, list := range c.new.namesakes() {
		if len(list) != len(olds[name]) {
			continue
		}
		for i, n := range list {
			if o := olds[name][i]; isLocalVariable(o) && isLocalVariable(n) && o.File == n.File {
				c.pair(o, n)
			}
		}
	}
}

// checkJoined refuses changes that concern a name which is not unique in a joined object: a function or variable of this name
// changed, or a changed function refers to one.
func (c *comparer) checkJoined() {
	olds, news := maps.Clone(c.old.namesakes()), c.new.namesakes()
	for name, list := range news {
		if c.equalNamesakes(olds[name], list) {
			delete(olds, name)
			continue
		}
		c.refuseJoined(name, "they are not what they were")
		delete(olds, name)
	}
	for name := range olds {
		c.refuseJoined(name, "they are not what they were")
	}
	named := map[string]bool{}
	for _, ch := range c.res.Changed {
		for _, r := range c.new.Refs(c.new.SectionOf(ch.New)) {
			if r.Sym == nil || r.Sec == nil || len(news[r.Sym.Name]) == 0 || named[r.Sym.Name] || isLocalVariable(r.Sym) && c.res.OldOf[r.Sym] != nil {
				continue
			}
			if _, literal := Literal(r); !literal {
				named[r.Sym.Name] = true
				c.refuseJoined(r.Sym.Name, ch.New.Name+" changed and refers to one of them")
			}
		}
	}
}

func (c *comparer) refuseJoined(name, why string) {
	if slices.ContainsFunc(c.res.Refusals, func(r Refusal) bool { return r.Code == codes.JoinedObject && r.Symbol == name }) {
		return
	}
	c.refuse(name, codes.JoinedObject, "the object was joined of several (ld -r) that have functions or variables of this name, and %s; give the objects that were joined", why)
}

// equalNamesakes reports whether the functions or variables of one name are the same in both versions, compared per source
// file.
func (c *comparer) equalNamesakes(olds, news []*lpelf.Symbol) bool {
	return slices.EqualFunc(olds, news, func(o, n *lpelf.Symbol) bool {
		osec, nsec := c.old.SectionOf(o), c.new.SectionOf(n)
		return o.File == n.File && o.Bind == n.Bind && o.Type == n.Type && o.Size == n.Size && (osec == nil) == (nsec == nil) &&
			c.equalRange(osec, nsec, o.Value, n.Value, n.Size)
	})
}
