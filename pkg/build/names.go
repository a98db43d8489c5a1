// SPDX-License-Identifier: GPL-2.0

package build

import (
	"debug/elf"
	"maps"
	"slices"

	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// The linker binds a global name to one definition among all objects. For each name that an object started or stopped
// defining, or defines with another binding, the definition in the new source is compared with that in the old source.

// definition describes how an object defines a global name.
type definition struct {
	object string
	rank   int // precedence in the linker: strong, common, weak
	shared bool
}

const (
	rankWeak = iota + 1
	rankCommon
	rankStrong
)

// namings holds the global names that the objects of one side define and reference.
type namings struct {
	defined map[string][]definition
	wanted  map[string][]string // name -> objects with an undefined reference to it
}

func rankOf(s *lpelf.Symbol) int {
	switch {
	case s.Bind == elf.STB_WEAK:
		return rankWeak
	case s.Section == elf.SHN_COMMON:
		return rankCommon
	}
	return rankStrong
}

// namesOf collects the definitions of and references to the names in want.
func (b *builder) namesOf(pairs []pair, side func(pair) []byte, want map[string]bool) (*namings, error) {
	out := &namings{defined: map[string][]definition{}, wanted: map[string][]string{}}
	for _, p := range pairs {
		if side(p) == nil || b.excluded(p.name) != "" {
			continue
		}
		f, err := lpelf.Parse(p.name, side(p))
		if err != nil {
			return nil, err
		}
		diff.NameLate(p.name, f)
		for _, s := range f.Symbols {
			switch sec := f.SectionOf(s); {
			case s.Bind == elf.STB_LOCAL || !want[s.Name]:
			case s.Section == elf.SHN_UNDEF:
				out.wanted[s.Name] = append(out.wanted[s.Name], p.name)
			default:
				out.defined[s.Name] = append(out.defined[s.Name], definition{p.name, rankOf(s), sec != nil && sec.Flags&elf.SHF_GROUP != 0})
			}
		}
	}
	return out, nil
}

// winners returns the definitions with the highest precedence.
func winners(list []definition) []definition {
	best := 0
	for _, d := range list {
		best = max(best, d.rank)
	}
	return slices.DeleteFunc(slices.Clone(list), func(d definition) bool { return d.rank < best })
}

// comeAndGone returns the names that objects define on one side only, or with a different binding.
func comeAndGone(results []*diff.Result) map[string]bool {
	out := map[string]bool{}
	for _, res := range results {
		was, is := ranks(res.Old), ranks(res.New)
		for name, rank := range was {
			if is[name] != rank {
				out[name] = true
			}
		}
		for name, rank := range is {
			if was[name] != rank {
				out[name] = true
			}
		}
	}
	return out
}

func ranks(o *diff.Object) map[string]int {
	out := map[string]int{}
	for _, s := range slices.Concat(o.Functions(), o.Variables()) {
		if s.Bind != elf.STB_LOCAL {
			out[s.Name] = rankOf(s)
		}
	}
	return out
}

// settleNames compares the definitions of names across all objects. results contains the pairs that differ.
func (b *builder) settleNames(results []*diff.Result, pairs []pair) error {
	results = slices.DeleteFunc(slices.Clone(results), func(r *diff.Result) bool { return b.excluded(r.New.Name) != "" })
	want := comeAndGone(results)
	if len(want) == 0 {
		return nil
	}
	old, err := b.namesOf(pairs, func(p pair) []byte { return p.old }, want)
	if err != nil {
		return err
	}
	new, err := b.namesOf(pairs, func(p pair) []byte { return p.new }, want)
	if err != nil {
		return err
	}
	m := &mover{b: b, pairs: pairs, results: map[string]*diff.Result{}, old: old, new: new}
	for _, res := range results {
		m.results[res.New.Name] = res
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if err := m.settle(name); err != nil {
			return err
		}
	}
	return nil
}
