// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/dwarf"
	"slices"

	"lpatch/pkg/debuginfo"
	"lpatch/pkg/lpelf"
)

// Relies returns the functions of the old object whose current form the changed functions depend on: those functions
// themselves, the functions that were inlined into them, and the functions of the object that they refer to, directly or
// indirectly. The compiler may have used properties of the latter: clobbered registers (-fipa-ra), the fact that they do not
// return, their return values.
func (r *Result) Relies() []*lpelf.Symbol {
	var out, todo []*lpelf.Symbol
	add := func(name string) {
		if _, cold := ColdParent(name); cold {
			return // patches replace functions at their start
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

// functionsOf returns the names of the functions of the object that the code of f refers to.
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

// inlinedIn returns the names of the functions that have inlined instances in f according to debug information.
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
