// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"slices"

	"lpatch/pkg/diff"
	"lpatch/pkg/link"
	"lpatch/pkg/lpelf"
)

// surveyTypes refuses types that changed code depends on if another object shows that they changed.
func (b *builder) surveyTypes(pairs []pair) error {
	s := diff.NewSurvey(b.opts)
	changed := map[string]bool{}
	for _, in := range b.inputs {
		if len(in.Diff.Changed)+len(in.Diff.Values) > 0 {
			s.AddChanged(in.Diff)
			changed[in.Diff.New.Name] = true
		}
	}
	if len(changed) == 0 {
		return nil
	}
	each := func(same bool, add func(old, new *diff.Object)) error {
		for _, p := range pairs {
			if changed[p.name] || b.excluded(p.name) != "" || bytes.Equal(p.old, p.new) != same {
				continue
			}
			old, new, err := parsePair(p)
			if err != nil {
				return err
			}
			add(old, new)
		}
		return nil
	}
	if err := each(false, s.AddDiffering); err != nil {
		return err
	}
	if s.OneSided() {
		if err := each(true, func(old, _ *diff.Object) { s.AddSame(old) }); err != nil {
			return err
		}
	}
	refusals, allowed := s.Refusals()
	b.layouts = allowed
	for _, r := range refusals {
		said := slices.ContainsFunc(b.inputs, func(in *link.Input) bool {
			return slices.ContainsFunc(in.Diff.Refusals, func(o Refusal) bool { return o.Code == r.Code && o.Symbol == r.Symbol })
		})
		if !said {
			b.refusals = append(b.refusals, r)
		}
	}
	return nil
}

// parsePair reads both sides of a pair. A missing side is an empty object.
func parsePair(p pair) (old, new *diff.Object, err error) {
	parse := func(path string, data []byte) (*diff.Object, error) {
		if data == nil {
			return diff.EmptyObject(p.name), nil
		}
		f, err := lpelf.Parse(path, data)
		if err != nil {
			return nil, err
		}
		return diff.NewObject(p.name, f)
	}
	if old, err = parse("old "+p.oldName, p.old); err != nil {
		return nil, nil, err
	}
	new, err = parse("new "+p.name, p.new)
	return old, new, err
}
