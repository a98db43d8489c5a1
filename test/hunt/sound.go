// SPDX-License-Identifier: GPL-2.0

package hunt

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// sound tells whether a version compiles and links: each text refers to what is in sight where it is.
func (v version) sound(p *program) bool {
	for i, f := range v.functions {
		if f.attr == "INLINE " && !f.static || p.isCalledByMain(f) && (f.static || f.file == inHeader) {
			return false
		}
		if len(distinct(slices.Clone(f.locals))) != len(f.locals) {
			return false
		}
		for _, w := range f.locals {
			if slices.ContainsFunc(w.calls, func(name string) bool {
				return !canCall(f, name, v.functions[:i]) || v.find(name).params != 1 || !v.find(name).plain()
			}) {
				return false
			}
		}
		if !(place{version: v, f: f, before: v.functions[:i], scope: f.locals}).holds(f.body) {
			return false
		}
	}
	for _, name := range slices.Concat(p.hooks, p.entries) {
		if v.find(name) == nil {
			return false
		}
	}
	return true
}

// place is where a block is.
type place struct {
	version
	f      *function
	before []*function // that may be called
	scope  []*variable // the innermost last
	parent string      // text in front of the block
	breaks bool        // something is around that break leaves
}

// holds tells whether a block may be there.
func (at place) holds(block []*statement) bool {
	cases := map[string]bool{}
	for _, s := range block {
		inner, scope := at, at.scope
		if s.static != nil {
			inner.scope = append(slices.Clone(at.scope), s.static)
		}
		if s.static != nil && !s.isBlock() {
			scope = inner.scope
		}
		for _, ref := range reference.FindAllString(s.text, -1) {
			if ref[0] == '#' && ref[1:] != at.f.name && !canCall(at.f, ref[1:], at.before) || ref[0] == '$' && !resolves(ref[1:], scope) {
				return false
			}
		}
		isCase := strings.HasPrefix(s.text, "case ")
		if s.text == "break;" && !at.breaks || isCase && (cases[s.text] || !strings.HasPrefix(at.parent, "switch ")) {
			return false
		}
		cases[s.text] = isCase
		inner.parent, inner.breaks = s.text, at.breaks || strings.HasPrefix(s.text, "switch ") || strings.HasPrefix(s.text, "for ")
		if !inner.holds(s.body) || !inner.holds(s.other) {
			return false
		}
	}
	return true
}

func canCall(f *function, name string, before []*function) bool {
	i := slices.IndexFunc(before, func(g *function) bool { return g.name == name })
	return i >= 0 && before[i].visible(f)
}

// visible tells whether another function may call this one.
func (f *function) visible(from *function) bool {
	return !f.isMethod() && (f.file == inHeader || from.file != inHeader && (!f.static || f.file == from.file))
}

// resolves tells whether the name of a variable means it, and not one of a block around.
func resolves(id string, scope []*variable) bool {
	i := slices.IndexFunc(scope, func(w *variable) bool { return strconv.Itoa(w.id) == id })
	return i >= 0 && !slices.ContainsFunc(scope[i+1:], func(w *variable) bool { return w.name == scope[i].name })
}

// unite gives a static variable of the new version the ID of the old one where a function has one of that name before and
// after, and only one: that is the same variable, as lpctl build says. Of several, an edit says which is which. One that the old
// version never writes holds nothing yet: it may as well be another one.
func (m *maker) unite(p *program) {
	for _, f := range p.new.functions {
		o := p.old.find(f.name)
		if o == nil {
			continue
		}
		before, now := byName(o), byName(f)
		for name, list := range now {
			if old := before[name]; !list[0].macro && len(list) == 1 && len(old) == 1 && len(old[0].init) == len(list[0].init) {
				f.renumber(list[0], old[0].id)
			}
		}
		for id, w := range f.statics() {
			was := o.statics()[id]
			if was == nil || w.constant || w.macro {
				continue
			}
			if !o.writes(id) || was.name != w.name && was.init[0] != w.init[0] {
				m.ids++
				f.renumber(w, m.ids)
			}
		}
	}
}

func (f *function) writes(id int) bool {
	write := regexp.MustCompile(fmt.Sprintf(`\$%d(\.\w)? (\+)?= |\$%d\+\+`, id, id))
	for _, l := range f.lists() {
		if slices.ContainsFunc(*l, func(s *statement) bool { return write.MatchString(s.text) }) {
			return true
		}
	}
	return false
}

func byName(f *function) map[string][]*variable {
	out := map[string][]*variable{}
	for _, w := range f.statics() {
		out[w.name] = append(out[w.name], w)
	}
	return out
}

// renumber makes a variable of a function another one.
func (f *function) renumber(w *variable, id int) {
	was := "$" + strconv.Itoa(w.id)
	w.id = id
	for _, l := range f.lists() {
		for _, s := range *l {
			s.text = reference.ReplaceAllStringFunc(s.text, func(ref string) string {
				if ref == was {
					return "$" + strconv.Itoa(id)
				}
				return ref
			})
		}
	}
}
