// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/dwarf"
	"debug/elf"
	"slices"
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/debuginfo"
	"lpatch/pkg/lpelf"
)

// Compilers remove static variables: those that code only reads, for they keep their first value, and those that code only
// writes. Debug information still has their declarations.

// declared lists the declarations of the name of a variable in its function, or in its file, that an object has. One that
// the source shows not to be static is left out.
func (o *Object) declared(id *identity) []*debuginfo.Entry {
	info, err := o.Debug()
	if err != nil || info == nil || id.decl.Entry == nil {
		return nil
	}
	var out []*debuginfo.Entry
	for _, e := range info.Declared(id.decl.Name()) {
		f := e.Function()
		if (f != nil) == id.local && (f == nil || isScope(f, id.scope)) && !o.isAutomatic(e) {
			out = append(out, e)
		}
	}
	return out
}

func isScope(f *debuginfo.Entry, scope string) bool {
	return f.Name() == scope || f.LinkageName() != "" && numberless(f.LinkageName()) == scope
}

// isAutomatic tells whether the source of a declaration has the name and no word that makes it static.
func (o *Object) isAutomatic(e *debuginfo.Entry) bool {
	_, _, s := o.spotOf(e)
	if s == nil || e.Function() == nil {
		return false
	}
	return wordOf(e.Name()).MatchString(s.lines[s.at]) && !saysStatic(s.lines, s.at)
}

// saysStatic tells whether a line, or the one in front of it, has a word that makes a variable static.
func saysStatic(lines []string, at int) bool {
	text := strings.ToLower(strings.Join(lines[max(at-1, 0):at+1], " ")) // macros may be STATIC
	return strings.Contains(text, "static") || strings.Contains(text, "thread")
}

// removed lists the other declarations of the name of a variable in its function of which the object has no symbol.
func (o *Object) removed(v *lpelf.Symbol) []*debuginfo.Entry { return o.removedOf(o.identify(v)) }

// removedOf lists the declarations of an identity, which may be of the other object, of which this one has no symbol.
func (o *Object) removedOf(id *identity) []*debuginfo.Entry {
	if !id.local {
		return nil
	}
	there := []*debuginfo.Entry{}
	for _, s := range o.Variables() {
		if other := o.identify(s); other.decl.Entry != nil && other.key() == id.key() {
			there = append(there, other.decl.Entry)
		}
	}
	return slices.DeleteFunc(o.declared(id), func(e *debuginfo.Entry) bool { return slices.ContainsFunc(there, e.Same) })
}

// anyRemoved tells whether either object has removed a variable of the identity of two.
func (c *comparer) anyRemoved(o, n *lpelf.Symbol) bool {
	return len(c.old.removed(o))+len(c.new.removed(n)) > 0
}

// otherSpots are where the others of a list are, and those of their name that were removed; nil is a place that is not known.
func (o *Object) otherSpots(v *lpelf.Symbol, list []*lpelf.Symbol) []*spot {
	var out []*spot
	for _, other := range list {
		if other != v {
			_, _, s := o.spot(other)
			out = append(out, s)
		}
	}
	for _, e := range o.removed(v) {
		_, _, s := o.spotOf(e)
		out = append(out, s)
	}
	return out
}

// checkRemoved refuses where new code declares a variable that the program has, and the compiler has removed it. If the code
// reads it, it reads the first value, and not that of the program.
func (c *comparer) checkRemoved() {
	there := map[string]bool{}
	for _, n := range c.new.Variables() {
		there[c.new.identify(n).key()] = true
	}
	for _, o := range c.state(c.old, c.unpaired(c.old)) {
		id, sec := c.old.identify(o), c.old.SectionOf(o)
		if o.Bind != elf.STB_LOCAL || !id.known || sec == nil || isSet(sec.Name) {
			continue
		}
		if len(c.new.removedOf(id)) > 0 || !there[id.key()] && len(c.new.declared(id)) > 0 {
			c.refuse(id.name, codes.StaticRemoved, "the new code%s only reads or only writes this variable, so that the compiler has removed it, and what it reads would not be what the program has written; "+
				"remove the declaration if nothing reads it, or give it __attribute__((used))", id.in())
		}
	}
}

// checkUnkept refuses where new code has a variable that the old code only wrote, so that the compiler has removed it: what it
// would hold nobody knows.
func (c *comparer) checkUnkept() {
	for _, n := range c.state(c.new, c.unpaired(c.new)) {
		id, sec := c.new.identify(n), c.new.SectionOf(n)
		if !id.known || sec == nil || isSet(sec.Name) || !slices.ContainsFunc(c.old.removedOf(id), hasNoValue) {
			continue
		}
		c.refuse(id.name, codes.StaticRemoved, "the old code%s does not read this variable, so that the compiler has removed it, and what the program would have written into it, which the new code reads, is lost; "+
			"give the new one another name", id.in())
	}
}

// hasNoValue tells whether nothing is known of what a variable holds. Of those that no code writes, compilers note the value.
func hasNoValue(e *debuginfo.Entry) bool {
	return e.Val(dwarf.AttrConstValue) == nil && e.Val(dwarf.AttrLocation) == nil
}
