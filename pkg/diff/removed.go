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

// Compilers remove static variables that are only read, because they keep their initial value, and those that are only
// written. Debug information still contains their declarations.

// declared returns the declarations in debug information that have the name and scope of id. Declarations that are not static
// according to the source are omitted.
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

// isAutomatic reports whether the source shows that e is not static: its line contains the name but no storage class
// specifier that makes it static.
func (o *Object) isAutomatic(e *debuginfo.Entry) bool {
	_, _, s := o.spotOf(e)
	if s == nil || e.Function() == nil {
		return false
	}
	return wordOf(e.Name()).MatchString(s.lines[s.at]) && !saysStatic(s.lines, s.at)
}

// saysStatic reports whether a line, or the line before it, contains a word that gives a variable static storage duration.
func saysStatic(lines []string, at int) bool {
	text := strings.ToLower(strings.Join(lines[max(at-1, 0):at+1], " ")) // the specifier may be hidden in a macro such as STATIC
	return strings.Contains(text, "static") || strings.Contains(text, "thread")
}

// removed returns the declarations with the identity of v for which the object has no symbol.
func (o *Object) removed(v *lpelf.Symbol) []*debuginfo.Entry { return o.removedOf(o.identify(v)) }

// removedOf returns the declarations with the identity id, which may be that of a variable of the other object, for which
// this object has no symbol.
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

// anyRemoved reports whether either object has removed a variable with the identity of o or n.
func (c *comparer) anyRemoved(o, n *lpelf.Symbol) bool {
	return len(c.old.removed(o))+len(c.new.removed(n)) > 0
}

// otherSpots returns the source locations of the variables in list other than v, and of the removed variables of its
// identity. An unknown location is nil.
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

// checkRemoved refuses existing variables that the new code still declares but that the compiler has removed. If the new code
// reads such a variable, it uses the initial value instead of the current one.
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

// checkUnkept refuses variables of the new code that the old code only wrote and that the compiler has removed there: their
// current value does not exist.
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

// hasNoValue reports whether the value of a removed variable is unknown. For variables that are never written, the compiler
// records the value.
func hasNoValue(e *debuginfo.Entry) bool {
	return e.Val(dwarf.AttrConstValue) == nil && e.Val(dwarf.AttrLocation) == nil
}
