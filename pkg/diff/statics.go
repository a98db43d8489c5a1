package diff

import (
	"debug/elf"
	"fmt"
	"sort"
	"strings"

	"lpatch/pkg/lpelf"
)

func isVariable(s *lpelf.Symbol) bool {
	return s.Type == elf.STT_OBJECT || s.Type == elf.STT_TLS || s.Type == elf.STT_COMMON
}

func isLocalVariable(s *lpelf.Symbol) bool {
	return s.Bind == elf.STB_LOCAL && isVariable(s)
}

// isSet tells whether a section is a set that the linker marks with __start_NAME and __stop_NAME (its name is a C
// identifier). Its members are told by their places: their names are often made from __LINE__.
func isSet(section string) bool {
	for i, r := range section {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return section != ""
}

// correlate pairs the variables of both objects: global ones by name, local ones by name without the compiler's number,
// and where several share a name, by the functions that use them, in the order of use.
func (c *comparer) correlate() {
	olds, news := map[string][]*lpelf.Symbol{}, map[string][]*lpelf.Symbol{}
	group := func(obj *Object, m map[string][]*lpelf.Symbol) {
		for _, s := range obj.Variables() {
			if ByContent(s) || obj.HoldsLabels(s) {
				continue
			}
			key := s.Name
			if sec := obj.SectionOf(s); sec != nil && isSet(sec.Name) {
				key = fmt.Sprintf("%s+%d", sec.Name, s.Value)
			} else if s.Bind == elf.STB_LOCAL {
				key = baseName(s.Name)
			}
			m[key] = append(m[key], s)
		}
	}
	group(c.old, olds)
	group(c.new, news)
	names := make([]string, 0, len(news))
	for name := range news {
		names = append(names, name)
	}
	sort.Strings(names)
	var crowded []string
	for _, name := range names {
		switch {
		case len(olds[name]) == 0:
		case len(olds[name]) == 1 && len(news[name]) == 1:
			c.pair(olds[name][0], news[name][0])
		default:
			crowded = append(crowded, name)
		}
	}
	if len(crowded) > 0 {
		c.correlateByUse()
		for _, name := range crowded {
			c.checkCrowd(name, olds[name], news[name])
		}
	}
	c.pairMoved()
	c.divideData()
}

// pairMoved pairs static local variables that went with their code to another function. gcc's names tell no function, so
// correlate has paired those; clang's do ("function.variable").
func (c *comparer) pairMoved() {
	left := func(obj *Object, paired map[*lpelf.Symbol]*lpelf.Symbol) map[string][]*lpelf.Symbol {
		m := map[string][]*lpelf.Symbol{}
		for _, s := range obj.Variables() {
			if _, name, ok := strings.Cut(baseName(s.Name), "."); ok && name != "" && isLocalVariable(s) && !ByContent(s) && !obj.HoldsLabels(s) && paired[s] == nil {
				m[name] = append(m[name], s)
			}
		}
		return m
	}
	olds := left(c.old, c.newOf)
	for name, news := range left(c.new, c.res.OldOf) {
		if o := olds[name]; len(o) == 1 && len(news) == 1 && o[0].Size == news[0].Size && o[0].Type == news[0].Type {
			c.pair(o[0], news[0])
		}
	}
}

func (c *comparer) pair(o, n *lpelf.Symbol) {
	c.res.OldOf[n], c.newOf[o] = o, n
}

// correlateByUse walks the functions and the initialised variables that exist in both objects and pairs the first uses
// of equally named statics. A new pair of variables is a new pair of users, so it goes on until nothing more is found.
func (c *comparer) correlateByUse() {
	for found := true; found; {
		found = false
		for _, n := range c.new.Functions() {
			if o := c.old.Lookup(n.Name); o != nil && IsFunc(o) {
				found = c.pairUses(o, n) || found
			}
		}
		for _, n := range c.new.Variables() {
			if o := c.res.OldOf[n]; o != nil {
				found = c.pairUses(o, n) || found
			}
		}
	}
}

// pairUses pairs the statics that o and n refer to, and tells whether it found a new pair.
func (c *comparer) pairUses(o, n *lpelf.Symbol) bool {
	found := false
	used, now := c.staticUses(c.old, o), c.staticUses(c.new, n)
	for name, news := range now {
		olds := used[name]
		if len(olds) != len(news) {
			continue // which of them is new cannot be told here; another user may know
		}
		for i := range news {
			if c.res.OldOf[news[i]] == nil && c.newOf[olds[i]] == nil {
				c.pair(olds[i], news[i])
				found = true
			}
		}
	}
	return found
}

// staticUses lists the numbered statics that a symbol refers to, by name without the number, in the order of first use.
func (c *comparer) staticUses(obj *Object, f *lpelf.Symbol) map[string][]*lpelf.Symbol {
	uses, seen := map[string][]*lpelf.Symbol{}, map[*lpelf.Symbol]bool{}
	sec := obj.SectionOf(f)
	if sec == nil {
		return nil
	}
	for _, r := range refsIn(obj.Refs(sec), f.Value, f.Size) {
		if r.Sym == nil || r.Sec == nil || !isLocalVariable(r.Sym) || ByContent(r.Sym) || obj.HoldsLabels(r.Sym) || seen[r.Sym] {
			continue
		}
		seen[r.Sym] = true
		name := baseName(r.Sym.Name)
		uses[name] = append(uses[name], r.Sym)
	}
	return uses
}

// checkCrowd handles what use did not pair. One left on each side belong together; more on both sides is a guess that
// nobody should make for state that a running program keeps.
func (c *comparer) checkCrowd(name string, olds, news []*lpelf.Symbol) {
	var o, n []*lpelf.Symbol
	for _, s := range olds {
		if c.newOf[s] == nil {
			o = append(o, s)
		}
	}
	for _, s := range news {
		if c.res.OldOf[s] == nil {
			n = append(n, s)
		}
	}
	switch {
	case len(o) == 0 || len(n) == 0:
	case len(o) == 1 && len(n) == 1:
		c.pair(o[0], n[0])
	default:
		c.refuse(name, "static-ambiguous",
			"%d old and %d new static variables of this name cannot be matched to each other; give the new ones names of their own", len(o), len(n))
	}
}
