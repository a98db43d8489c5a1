// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"

	"lpatch/pkg/lpelf"
)

// boundElsewhere reports whether two references by the same name are bound to different symbols: one to a local symbol of the
// object, the other one to an undefined symbol.
func boundElsewhere(o, n *lpelf.Symbol) bool {
	own := func(s *lpelf.Symbol) bool { return s.Section != elf.SHN_UNDEF && s.Bind == elf.STB_LOCAL }
	return own(o) && n.Section == elf.SHN_UNDEF || own(n) && o.Section == elf.SHN_UNDEF
}

// Move makes the change of a function whose definition is in another object from now on; ok is false if there is nothing to
// change, since both have the same code and refer to nothing that is an object's own.
func Move(old *Object, o *lpelf.Symbol, new *Object, n *lpelf.Symbol, opts Options) (ch Change, refusals Refusals, ok bool) {
	c := newComparer(old, new, opts)
	if !new.refersToOwn(n) && c.equalLSDA(o, n) && c.equalUnwind(o, n) && c.equalFunc(o, n) {
		return Change{}, nil, false
	}
	c.addChange(o, n, "its definition is in "+new.Name+" now")
	if len(c.res.Changed) == 0 {
		return Change{}, c.res.Refusals, true
	}
	c.compareLayouts()
	return c.res.Changed[0], c.res.Refusals.Sorted(), true
}

// refersToOwn reports whether f refers to another local function of the object. Local variables need no check here: equalRef
// never considers them equal across objects.
func (o *Object) refersToOwn(f *lpelf.Symbol) bool {
	for _, r := range o.refsAt(o.SectionOf(f), f.Value, f.Size) {
		if r.Sym != nil && r.Sym != f && r.Sym.Bind == elf.STB_LOCAL && r.Sym.IsFunc() {
			return true
		}
	}
	return false
}

// TakenAlong returns the name of a mutable static variable that f, which moved from the object from, brings into the new
// object, directly or through symbols that it refers to, although the new object had no such variable; "" if there is none.
func (r *Result) TakenAlong(from *Object, f *lpelf.Symbol) string {
	seen := map[*lpelf.Symbol]bool{f: true}
	for queue := []*lpelf.Symbol{f}; len(queue) > 0; queue = queue[1:] {
		s := queue[0]
		for _, ref := range r.New.refsAt(r.New.SectionOf(s), s.Value, s.Size) {
			switch {
			case ref.Sym == nil || ref.Sec == nil || ref.Sym.Bind != elf.STB_LOCAL || seen[ref.Sym]:
				continue
			case ref.Sym.IsFunc() || ref.Sec.Flags&elf.SHF_WRITE == 0:
				queue = append(queue, ref.Sym)
			case r.OldOf[ref.Sym] == nil && isLocalVariable(ref.Sym) && from.hasStatic(ref.Sym.Name):
				return ref.Sym.Name
			}
			seen[ref.Sym] = true
		}
	}
	return ""
}

func (o *Object) hasStatic(name string) bool {
	for _, v := range o.Variables() {
		if v.Bind == elf.STB_LOCAL && baseName(v.Name) == baseName(name) {
			return true
		}
	}
	return false
}

// MoveVariable compares a variable whose definition moved from object old to object new. The program keeps its storage.
func MoveVariable(old *Object, o *lpelf.Symbol, new *Object, n *lpelf.Symbol, opts Options) Refusals {
	opts.Data = false
	c := newComparer(old, new, opts)
	c.pair(o, n)
	c.compareVariable(o, n)
	was, err := old.Debug()
	is, err2 := new.Debug()
	if err == nil && err2 == nil {
		c.compareVariableTypes(was, is)
	}
	return c.res.Refusals
}
