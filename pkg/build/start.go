// SPDX-License-Identifier: GPL-2.0

package build

import (
	"debug/elf"
	"fmt"
	"slices"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

const (
	startText = "it runs only as the program starts, so its new code never runs in a process that has started; do the work in code that runs later, " +
		"or say --start-code-ok for a patch that lpctl boot bake puts into the file"
	threadText = "it gives thread-local variables their first values, and the threads that run have them already; do the work in code that runs later, " +
		"or say --start-code-ok for a patch that lpctl boot bake puts into the file"
)

// checkStart refuses changes to code that has already run in every process that can be patched.
func (b *builder) checkStart(res *diff.Result) error {
	s := starts{b, map[string]bool{}}
	refused := map[string]string{}
	// code inlined into all of them is unchanged if one of them is unchanged
	starters := res.Old.ThreadStarters()
	if slices.ContainsFunc(starters, func(f *lpelf.Symbol) bool { return !changes(res, f) }) {
		starters = nil
	}
	note := func(f *lpelf.Symbol) error {
		once, err := s.once(res.Old, f)
		switch {
		case err != nil:
			return err
		case once:
			refused[f.Name] = startText
		case diff.StartsThread(f) || slices.Contains(starters, f):
			refused[f.Name] = threadText
		}
		return nil
	}
	for _, ch := range res.Changed {
		if err := note(ch.Old); err != nil {
			return err
		}
	}
	for _, r := range res.Refusals {
		// clang puts all initialisers into one section, regardless of options
		if f := res.Old.Lookup(r.Symbol); r.Code == codes.NotFunctionSections && f != nil && f.IsFunc() {
			if err := note(f); err != nil {
				return err
			}
		}
	}
	var kept diff.Refusals
	for _, r := range res.Refusals {
		if r.Code != codes.NotFunctionSections || refused[r.Symbol] == "" || b.o.StartCodeOK {
			kept = append(kept, r)
		}
	}
	for name, text := range refused {
		if b.o.StartCodeOK {
			res.Warnings = append(res.Warnings, fmt.Sprintf("%s: %s: the patch relies on --start-code-ok, that it is put into the file with lpctl boot bake", res.New.Name, name))
			continue
		}
		kept = append(kept, diff.Refusal{Code: codes.StartCodeChanged, File: res.New.Name, Symbol: name, Text: text})
	}
	res.Refusals = kept.Sorted()
	return nil
}

func changes(res *diff.Result, f *lpelf.Symbol) bool {
	return slices.ContainsFunc(res.Changed, func(ch diff.Change) bool { return ch.Old == f })
}

// starts determines which functions of the old objects only run at start.
type starts struct {
	b    *builder
	seen map[string]bool // known results, and assumptions during the search
}

// once reports whether a function only runs at start: it is a start function, or only such functions call it.
func (s starts) once(obj *diff.Object, f *lpelf.Symbol) (bool, error) {
	if obj.Starts(f) {
		return true, nil
	}
	if f.Name == "main" || f.Bind != elf.STB_LOCAL && s.b.im.Exports(f.Name) {
		return false, nil
	}
	key := changeKey(obj, f)
	if known, ok := s.seen[key]; ok {
		return known, nil
	}
	s.seen[key] = true
	objs := []*diff.Object{obj}
	if f.Bind != elf.STB_LOCAL {
		others, err := s.b.old.naming(f.Name)
		if err != nil {
			return false, err
		}
		for _, other := range others {
			def := other.Lookup(f.Name)
			if other.Name != obj.Name && s.b.excluded(other.Name) == "" && (def == nil || def.Bind != elf.STB_LOCAL) {
				objs = append(objs, other)
			}
		}
	}
	called := false
	for _, o := range objs {
		callers, ok := o.Callers(f.Name)
		for _, by := range callers {
			once, err := s.once(o, by)
			if err != nil {
				return false, err
			}
			ok, called = ok && once, true
		}
		if !ok {
			s.seen[key] = false
			return false, nil
		}
	}
	s.seen[key] = called
	return called, nil
}
