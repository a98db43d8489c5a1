// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/dwarf"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/debuginfo"
)

// compareLayouts refuses changed structures, and changed values of enumerators that may be stored: the program contains
// objects of the old layout, which new code would misinterpret. If a structure changed only because it contains a changed
// one, only the latter is reported.
func (c *comparer) compareLayouts() {
	old, new, ok := c.readTypes()
	if !ok {
		return
	}
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(new.found)) {
		if o, ok := old.found[name]; ok && !o.same(new.found[name], isClosure(name) || strings.HasSuffix(name, debuginfo.Unnamed)) {
			changed = append(changed, name)
		}
	}
	causes := newCauses(old, new, changed)
	for _, name := range changed {
		switch {
		case slices.Contains(c.opts.LayoutOK, name):
			c.res.Layouts = append(c.res.Layouts, name)
		case causes.follows[name] || isOfClosure(name) && slices.ContainsFunc(changed, isClosure): // if a type may change, so may the types that contain it
		case isClosure(name):
			c.refuse(closureName, codes.StructLayoutChanged, "what a lambda expression captures changed, and the program may keep closures of the old layout; leave it as it was, and capture in a new one")
		default:
			c.refuse(name, codes.StructLayoutChanged, "%s, and the program has objects of the old layout; keep it as it was and store what is new elsewhere, or say --layout-ok '%s' if no old one is seen by new code",
				causes.describe(name), name)
		}
	}
	c.compareEnums(old.info, new.info)
	c.compareConstants(old.info, new.info)
	c.compareVariableTypes(old.info, new.info)
}

// readTypes reads the types of both objects. Without debug information it is unknown whether types changed, and the object is
// refused.
func (c *comparer) readTypes() (old, new *types, ok bool) {
	var list [2]*types
	for i, o := range []*Object{c.old, c.new} {
		info, err := o.Debug()
		why := ""
		if err != nil {
			why = err.Error()
		} else {
			why = info.Lacks()
		}
		if why != "" {
			c.lacksTypes(why)
			return nil, nil, false
		}
		list[i] = typesOf(info)
	}
	return list[0], list[1], true
}

func (c *comparer) lacksTypes(why string) {
	if c.opts.NoDebugInfoOK || c.new.isAssembly() {
		c.res.Warnings = append(c.res.Warnings, c.new.Name+": "+why+", so a changed layout of a structure would not be noticed")
		return
	}
	c.refuse("", codes.NoDebugInfo, "%s, so whether structures or variables changed that the program has is not known; compile old and new with -g, "+
		"or say --no-debug-info-ok if you have looked", why)
}

// isAssembly reports whether no C or C++ compiler generated the object: compilers record their name in .comment.
func (o *Object) isAssembly() bool { return o.Section(".comment") == nil }

// compareEnums refuses enumerators with a changed value of which the program may have stored the old one.
func (c *comparer) compareEnums(old, new *debuginfo.Info) {
	now := new.Stored()
	for _, name := range slices.Sorted(maps.Keys(now)) {
		was := old.Stored()[name]
		if was == nil {
			continue
		}
		values := now[name].Enumerators()
		for _, e := range was.Children {
			value, there := values[e.Name()]
			before := fmt.Sprint(e.Val(dwarf.AttrConstValue))
			switch {
			case e.Tag != dwarf.TagEnumerator || there && value == before:
				continue
			case slices.Contains(c.opts.LayoutOK, name):
				c.res.Layouts = append(c.res.Layouts, name)
			case there:
				c.refuse(name, codes.EnumChanged, "its enumerator %s was %s and is %s, and variables or structures of the program may hold the old value; put new ones behind the others, "+
					"or say --layout-ok '%s' if none does", e.Name(), before, value, name)
			default:
				c.refuse(name, codes.EnumChanged, "its enumerator %s is gone, and variables or structures of the program may hold its value; leave it, or say --layout-ok '%s' if none does", e.Name(), name)
			}
			break
		}
	}
}

// compareVariableTypes refuses variables whose type changed: their storage was filled by old code. Variables of other objects
// are compared by their declarations.
func (c *comparer) compareVariableTypes(old, new *debuginfo.Info) {
	for n, o := range c.res.OldOf {
		was, is := old.Variable(int(o.Section), o.Value, baseName(o.Name)), new.Variable(int(n.Section), n.Value, baseName(n.Name))
		if was != nil && is != nil {
			c.compareVariableType(n.Name, was, is)
		}
	}
	before := old.Externals()
	for name, is := range new.Externals() {
		if was := before[name]; was != nil && c.new.Lookup(name) == nil {
			c.compareVariableType(name, was, is)
		}
	}
}

func (c *comparer) compareVariableType(name string, was, is *debuginfo.Entry) {
	if slices.ContainsFunc(c.res.Refusals, func(r Refusal) bool { return r.Symbol == name && r.Code == codes.DataSizeChanged }) {
		return
	}
	o, n := was.Type(), is.Type()
	// a declaration may omit the number of elements
	if o.Shape() == n.Shape() || was.IsDefined() != is.IsDefined() && o.Value().Shape() == n.Value().Shape() {
		return
	}
	if slices.Contains(c.opts.LayoutOK, name) {
		c.res.Layouts = append(c.res.Layouts, name)
		return
	}
	c.refuse(name, codes.VariableTypeChanged, "the variable is of type %s in the program and of type %s in the new source; give the new one another name, or say --layout-ok '%s' if what it holds means the same",
		o.SpellFully(n), n.SpellFully(o), name)
}

// closureName is the name under which all closure types are compared.
const closureName = "<lambda>"

func isClosure(name string) bool { return strings.HasPrefix(name, closureName) }

// isOfClosure reports whether name is a template instance with a closure type as argument, such as those in std::function.
func isOfClosure(name string) bool { return !isClosure(name) && strings.Contains(name, "<lambda") }

// layout describes the structures of one name, or of a function's without one, in their order.
type layout struct {
	size  int64
	texts []string
	decl  *debuginfo.Entry // one of their entries
}

// same tells whether the structures of a name are what they were. Closures, and others of a function, have no name of their own:
// more of them may have come, none may have gone.
func (l *layout) same(now *layout, nameless bool) bool {
	if !nameless {
		return slices.Equal(l.texts, now.texts) || len(l.texts) != len(now.texts) && slices.Equal(distinct(l.texts), distinct(now.texts))
	}
	count := map[string]int{}
	for _, text := range now.texts {
		count[text]++
	}
	for _, text := range l.texts {
		if count[text]--; count[text] < 0 {
			return false
		}
	}
	return true
}

func distinct(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

// types holds the structures of an object.
type types struct {
	info  *debuginfo.Info
	found map[string]*layout
	names map[dwarf.Offset]string // names of structures by the offsets of their entries
}

func typesOf(info *debuginfo.Info) *types {
	t := &types{info: info, found: map[string]*layout{}, names: map[dwarf.Offset]string{}}
	typedefs := map[dwarf.Offset]string{} // structures without a name of their own have that of a typedef, as is usual in C, if of a pointer to them
	pointed := map[dwarf.Offset]bool{}    // to by something
	info.Walk(func(e *debuginfo.Entry) {
		switch to := e.Type(); {
		case to == nil:
		case e.Tag == dwarf.TagTypedef && (to.IsStruct() || typedefs[to.Pointee().Offset] == ""):
			typedefs[to.Pointee().Offset] = e.Qualified()
		case e.Tag == dwarf.TagPointerType:
			pointed[to.Pointee().Offset] = true
		}
	})
	info.Walk(func(e *debuginfo.Entry) {
		if !e.IsStruct() || !e.IsDefined() {
			return
		}
		name := e.Qualified()
		switch {
		case e.IsClosure():
			name = closureName
			if f := e.Function(); f != nil { // a closure of another function cannot take the place of one of its closures
				name += " of " + f.Qualified()
			}
		case e.Name() == "" && typedefs[e.Offset] != "":
			name = typedefs[e.Offset]
		case e.Name() == "" && e.InFunction() && pointed[e.Offset]: // what it is used for may be there longer than the function is
		case e.Name() == "":
			return // it is compared as part of the enclosing structure, or of the variable of this type
		}
		t.note(name, e)
	})
	return t
}

func (t *types) note(name string, e *debuginfo.Entry) {
	l := t.found[name]
	if l == nil {
		l = &layout{}
		t.found[name] = l
	}
	size, _ := e.Int(dwarf.AttrByteSize)
	l.size, l.decl = max(l.size, size), e
	l.texts = append(l.texts, e.Content())
	t.names[e.Offset] = name
}

// structOf returns the name of the structure that member m is of or is an array of; "" if there is none.
func (t *types) structOf(m *debuginfo.Entry) string {
	if v := m.Type().Value(); v != nil {
		return t.names[v.Offset]
	}
	return ""
}

func membersOf(e *debuginfo.Entry) []*debuginfo.Entry {
	return slices.DeleteFunc(slices.Clone(e.Children), func(c *debuginfo.Entry) bool { return !c.IsMember() })
}

// memberName returns the name of a member; for a base class, its position.
func memberName(m *debuginfo.Entry) string {
	if m.Tag == dwarf.TagInheritance {
		return "<base>"
	}
	return m.Name()
}
