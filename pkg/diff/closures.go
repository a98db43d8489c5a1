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

// The names of lambda functions, of unnamed types and of local classes contain numbers that follow the order in the source.
// gcc numbers them per function ("UlvE_", "UlvE0_", Itanium C++ ABI 5.1.8), clang numbers those with internal linkage per
// file ("$_0"). Such a name identifies the same entity in both versions only if none was added, removed or moved.

// variant matches the part of a mangled name that tells which of the functions generated for a constructor, a destructor or a
// thunk it is.
var variant = lazyregexp.New(`[CD][0-5]E|^_ZT[hvc]\w*?_Z`)

// numberedKey returns the name of a function without these numbers. ok is false for functions whose names cannot contain any,
// such as those of C.
func numberedKey(name string) (key string, ok bool) {
	if _, cold := ColdParent(name); cold || !strings.HasPrefix(name, "_Z") || rustSymbol().MatchString(name) || !strings.ContainsAny(name[2:], "Z$U") {
		return "", false
	}
	return numberless(name) + strings.Join(variant().FindAllString(name, -1), ""), true
}

// numbered returns the functions of the object with this key.
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

// renumbered reports whether a name that both objects have may denote different lambda expressions or classes: one was added
// before it, or removed, or more than one of them changed. A closure or an object that exists in the program must never
// execute the code of another one.
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

// compareRenamed handles lambda expressions that changed and were also renumbered, of which the program may hold closures. If
// a function has only one lambda expression, the new code replaces the old code; with several ones the correspondence is
// unknown, and the change is refused.
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

// unchanged reports whether both objects have the same code for the function name.
func (c *comparer) unchanged(name string) bool {
	o, n := c.old.Lookup(name), c.new.Lookup(name)
	return o != nil && n != nil && o.IsFunc() && n.IsFunc() && c.equalFunc(o, n)
}

// otherNested reports whether two nested functions of GNU C of the same numbered name belong to different functions.
func (c *comparer) otherNested(o, n *lpelf.Symbol) bool {
	return n.Bind == elf.STB_LOCAL && baseName(n.Name) != n.Name && c.old.owner(o) != c.new.owner(n)
}

// owner returns the name of the function that f is nested in according to debug information, or "".
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
