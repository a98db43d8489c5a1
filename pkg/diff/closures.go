// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/dwarf"
	"debug/elf"
	"slices"
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/debuginfo"
	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/lpelf"
)

// The functions of lambda expressions, of unnamed types and of local classes have names with numbers by the order in the
// source: gcc counts within a function ("UlvE_", "UlvE0_", Itanium C++ ABI 5.1.8), clang, for what no other file sees, within
// the file ("$_0"). What such a name means is known only while none came, went or changed places.

// variant is which of several functions that a constructor or destructor is made of.
var variant = lazyregexp.New(`[CD][0-5]E|^_ZT[hvc]\w*?_Z`)

// numberedKey is a function's name without numbers of that kind; ok is false for functions of C.
func numberedKey(name string) (key string, ok bool) {
	if _, cold := ColdParent(name); cold || !strings.HasPrefix(name, "_Z") || rustSymbol().MatchString(name) || !strings.ContainsAny(name[2:], "Z$U") {
		return "", false
	}
	return numberless(name) + strings.Join(variant().FindAllString(name, -1), ""), true
}

// numbered lists the functions of an object by that key.
func (o *Object) numbered(key string) []*lpelf.Symbol {
	if o.byKey == nil {
		o.byKey = map[string][]*lpelf.Symbol{}
		for _, s := range o.Functions() {
			if k, ok := numberedKey(s.Name); ok {
				o.byKey[k] = append(o.byKey[k], s)
			}
		}
	}
	return o.byKey[key]
}

// renumbered tells whether a name that both objects have may mean different lambda expressions or classes in them: one was
// put before it, or taken away, or more than one of them changed. A closure or object that the program keeps must not come
// to run the code of another.
func (c *comparer) renumbered(o, n *lpelf.Symbol) bool {
	key, ok := numberedKey(n.Name)
	if !ok {
		return c.otherNested(o, n)
	}
	olds, news := c.old.numbered(key), c.new.numbered(key)
	if len(olds) != len(news) {
		return true
	}
	return slices.ContainsFunc(news, func(s *lpelf.Symbol) bool { return s.Name != n.Name && !c.unchanged(s.Name) })
}

func (c *comparer) refuseRenumbered(n *lpelf.Symbol) {
	switch {
	case !strings.HasPrefix(n.Name, "_Z"):
		c.refuse(n.Name, codes.ClosureRenumbered, "the nested function of another function has this name in the program; make it a function of the file")
	case number().MatchString(n.Name) || strings.Contains(n.Name, "Ul"):
		c.refuse(n.Name, codes.ClosureRenumbered, "lambda expressions came or went in front of this one, which has the name of another now; put new ones behind the old ones of the function, or make them named functions")
	default:
		c.refuse(n.Name, codes.LocalClassRenumbered, "the function has several classes of this name, or without one, and more than one changed, came or went, so which of them the program's objects are of is not known; "+
			"change one at a time, or give each a name of its own")
	}
}

// compareRenamed follows a lambda expression that has another number now and changed, which the program may keep closures
// of: the new code of the only one of its function goes into the place of the old. Which of several it is nobody can say.
func (c *comparer) compareRenamed() {
	for _, o := range c.old.Functions() {
		key, ok := numberedKey(o.Name)
		if !ok || c.new.Lookup(o.Name) != nil {
			continue
		}
		news := slices.DeleteFunc(slices.Clone(c.new.numbered(key)), func(n *lpelf.Symbol) bool { return n.Name == o.Name })
		switch {
		case len(news) == 0 || slices.ContainsFunc(news, func(n *lpelf.Symbol) bool { return c.equalFunc(o, n) }):
		case len(c.old.numbered(key)) == 1 && len(c.new.numbered(key)) == 1 && c.old.Lookup(news[0].Name) == nil:
			c.addChange(o, news[0], "changed, and has another number")
		default:
			c.refuseRenumbered(news[0])
		}
	}
}

// unchanged tells whether the function of that name is the same in both objects.
func (c *comparer) unchanged(name string) bool {
	o, n := c.old.Lookup(name), c.new.Lookup(name)
	return o != nil && n != nil && o.IsFunc() && n.IsFunc() && c.equalFunc(o, n)
}

// otherNested tells whether two nested functions of GNU C, which have numbers too, are of different functions.
func (c *comparer) otherNested(o, n *lpelf.Symbol) bool {
	return n.Bind == elf.STB_LOCAL && baseName(n.Name) != n.Name && c.old.owner(o) != c.new.owner(n)
}

// owner names the function that declares a function, as far as debug information says.
func (o *Object) owner(f *lpelf.Symbol) string {
	owner := ""
	if info, err := o.Debug(); err == nil {
		info.EachFunction(func(e *debuginfo.Entry) {
			if pc, ok := e.Val(dwarf.AttrLowpc).(uint64); ok && pc == uint64(f.Section)<<debuginfo.SectionShift+f.Value {
				if by := e.Function(); by != nil {
					owner = by.Name()
				}
			}
		})
	}
	return owner
}
