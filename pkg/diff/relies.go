// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/dwarf"
	"slices"

	"lpatch/pkg/debuginfo"
	"lpatch/pkg/lpelf"
)

// Relies returns the functions of the old object that the new code of the changed ones was made for: those themselves, those
// that it has inlined, and those of the object that it refers to, directly or through others, of which the compiler may have
// used what it knows: the registers that they change (-fipa-ra), that they do not return, what they give back.
func (r *Result) Relies() []*lpelf.Symbol {
	var out, todo []*lpelf.Symbol
	add := func(name string) {
		if _, cold := ColdParent(name); cold {
			return // patches change where functions start
		}
		if f := r.Old.Lookup(name); f != nil && f.IsFunc() && !slices.Contains(out, f) {
			out, todo = append(out, f), append(todo, f)
		}
	}
	for _, ch := range r.Changed {
		add(ch.Old.Name)
		for _, name := range append(r.New.functionsOf(ch.New), r.New.inlinedIn(ch.New)...) {
			add(name)
		}
	}
	for len(todo) > 0 {
		f := todo[0]
		todo = todo[1:]
		for _, name := range r.Old.functionsOf(f) {
			add(name)
		}
	}
	return out
}

// functionsOf names the functions of the object that the code of one refers to.
func (o *Object) functionsOf(f *lpelf.Symbol) []string {
	var out []string
	for _, part := range []*lpelf.Symbol{f, o.Lookup(f.Name + ".cold")} {
		if part == nil || o.SectionOf(part) == nil {
			continue
		}
		for _, r := range o.RefsIn(o.SectionOf(part), part.Value, part.Size) {
			if r.Sec != nil && r.Sym != nil && r.Sym.IsFunc() {
				out = append(out, r.Sym.Name)
			}
		}
	}
	return out
}

// inlinedIn names the functions that the debug information says are inlined in one.
func (o *Object) inlinedIn(f *lpelf.Symbol) []string {
	info, err := o.Debug()
	if err != nil {
		return nil
	}
	function := info.Function(int(f.Section), f.Value)
	if function == nil {
		return nil
	}
	var out []string
	function.Walk(func(e *debuginfo.Entry) {
		if e.Tag != dwarf.TagInlinedSubroutine {
			return
		}
		for origin := e.Ref(dwarf.AttrAbstractOrigin); origin != nil; origin = origin.Ref(dwarf.AttrSpecification) {
			name, ok := origin.Val(dwarf.AttrLinkageName).(string)
			if !ok {
				name = origin.Name()
			}
			out = append(out, name)
		}
	})
	return out
}
