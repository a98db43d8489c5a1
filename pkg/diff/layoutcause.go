// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/dwarf"
	"fmt"
	"slices"
	"strings"

	"lpatch/pkg/debuginfo"
	"lpatch/pkg/lazyregexp"
)

// causes determines which changed structures changed only because they contain another changed structure.
type causes struct {
	old, new *types
	follows  map[string]bool
}

func newCauses(old, new *types, changed []string) *causes {
	c := &causes{old, new, map[string]bool{}}
	isChanged := map[string]bool{}
	for _, name := range changed {
		isChanged[name] = !isClosure(name)
	}
	parts := map[string][]string{} // structure with unchanged members -> changed structures in it
	for _, name := range changed {
		if isChanged[name] && c.sameMembers(name) {
			parts[name] = c.parts(name, changed, isChanged)
		}
	}
	reached := map[string]bool{} // structures that changed themselves, and those that contain them
	for _, name := range changed {
		reached[name] = len(parts[name]) == 0
	}
	for more := true; more; {
		more = false
		for name, list := range parts {
			for _, part := range list {
				if reached[part] && !reached[name] {
					reached[name], c.follows[name], more = true, true, true
				}
			}
		}
	}
	return c
}

// sameMembers reports whether a structure has members and bases of the same names and types as before, in the same order.
// Array sizes are ignored, because templates reserve storage for other types in arrays.
func (c *causes) sameMembers(name string) bool {
	o, n := membersOf(c.old.found[name].decl), membersOf(c.new.found[name].decl)
	return slices.EqualFunc(o, n, func(a, b *debuginfo.Entry) bool {
		return memberName(a) == memberName(b) && withoutSizes(a.Type().Spell()) == withoutSizes(b.Type().Spell())
	})
}

// parts returns the changed structures that name has as members or bases, or as template arguments.
func (c *causes) parts(name string, changed []string, isChanged map[string]bool) []string {
	var out []string
	for _, m := range membersOf(c.new.found[name].decl) {
		if part := c.new.structOf(m); isChanged[part] && part != name {
			out = append(out, part)
		}
	}
	_, arguments, _ := strings.Cut(name, "<")
	for _, part := range changed {
		if part != name && isChanged[part] && hasName(arguments, part) {
			out = append(out, part)
		}
	}
	return out
}

// hasName reports whether name occurs in template arguments, and not as a part of a longer name.
func hasName(arguments, name string) bool {
	for at := 0; ; {
		i := strings.Index(arguments[at:], name)
		if i < 0 {
			return false
		}
		before, after := arguments[:at+i], arguments[at+i+len(name):]
		if !endsInName(before) && (after == "" || !isNameByte(after[0])) {
			return true
		}
		at += i + 1
	}
}

func endsInName(s string) bool { return s != "" && (isNameByte(s[len(s)-1]) || s[len(s)-1] == ':') }

func isNameByte(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}

// describe describes where a structure is declared and what changed in it.
func (c *causes) describe(name string) string {
	o, n := c.old.found[name], c.new.found[name]
	text := "the structure"
	if place := n.decl.Place(); place != "" {
		text += " at " + place
	}
	text += " changed"
	if o.size != n.size {
		text += fmt.Sprintf(" (%d bytes before, %d now)", o.size, n.size)
	}
	return text + ": " + memberChange(o.decl, n.decl)
}

// memberChange describes the first member that changed.
func memberChange(o, n *debuginfo.Entry) string {
	was := map[string]*debuginfo.Entry{}
	for _, m := range membersOf(o) {
		was[memberName(m)] = m
	}
	for _, m := range membersOf(n) {
		name := memberName(m)
		before := was[name]
		delete(was, name)
		switch {
		case before == nil:
			return label(m) + " is new"
		case before.Type().Shape() != m.Type().Shape():
			return fmt.Sprintf("%s is of type %s and was of type %s", label(m), m.Type().SpellFully(before.Type()), before.Type().SpellFully(m.Type()))
		}
	}
	for _, m := range membersOf(o) {
		if was[memberName(m)] != nil {
			return label(m) + " is gone"
		}
	}
	return "its members are at other places"
}

// label formats a member and its location for a message.
func label(m *debuginfo.Entry) string {
	if m.Tag == dwarf.TagInheritance {
		return "the base " + m.Type().Spell()
	}
	name := memberName(m)
	if name == "" {
		name = "without a name"
	}
	if place := m.Place(); place != "" {
		return fmt.Sprintf("the member %s at %s", name, place)
	}
	return "the member " + name
}

// room matches the parts of a type name in which types that reserve different amounts of storage differ.
var room = lazyregexp.New(`\[\d*\]|\baligned_storage<\d+, \d+>`)

func withoutSizes(typeName string) string { return room().ReplaceAllString(typeName, "[]") }
