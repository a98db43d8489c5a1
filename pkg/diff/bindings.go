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

// hasFrame reports whether f has an FDE, so that exceptions can propagate through it. An unwinder terminates the program at a
// function without one.
func (o *Object) hasFrame(f *lpelf.Symbol) bool {
	for _, fr := range o.Frames() {
		if fr.Code.Sec.Index == int(f.Section) && fr.Code.At == int64(f.Value) {
			return true
		}
	}
	return false
}

// needsFrame reports whether the new function can be unwound and the old one cannot. The reverse is harmless.
func (c *comparer) needsFrame(o, n *lpelf.Symbol) bool {
	return c.new.hasFrame(n) && !c.old.hasFrame(o)
}

// Move returns the change for a function whose definition moved from object old to object new. ok is false if no change is
// needed, because the code is the same and refers to no local function of the object.
func Move(old *Object, o *lpelf.Symbol, new *Object, n *lpelf.Symbol, opts Options) (ch Change, refusals Refusals, ok bool) {
	c := newComparer(old, new, opts)
	if !new.refersToOwn(n) && c.equalLSDA(o, n) && !c.needsFrame(o, n) && c.equalFunc(o, n) {
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
