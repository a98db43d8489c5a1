// SPDX-License-Identifier: GPL-2.0

package build

import (
	"errors"
	"fmt"
	"slices"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/link"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/match"
)

// locate finds each changed object in the image. If there are several builds of one source file, for a program and a library,
// only one of them matches; the others are left out.
func (b *builder) locate(changed []*diff.Result) error {
	var lost []*diff.Result
	failed := map[string]diff.Refusals{}
	for _, res := range changed {
		if b.unlinked(res.New.Name) {
			lost = append(lost, res)
			continue
		}
		in, err := b.locateOne(res)
		var refusals diff.Refusals
		switch {
		case errors.Is(err, match.ErrNotLinked):
			lost = append(lost, res)
		case errors.As(err, &refusals):
			failed[res.New.Name] = refusals
		case err != nil:
			return err
		default:
			if twin := b.sameAs(in); twin != "" {
				b.leaveOut(res.New.Name, "the same code as "+twin)
				continue
			}
			b.inputs = append(b.inputs, in)
			b.accept(res)
			if b.notPartOf[res.New.Name] {
				b.refusals = append(b.refusals, diff.Refusal{Code: codes.PartOfTarget, File: res.New.Name, Text: "--not-part-of names it, and its old code is in " + b.im.Path})
			}
		}
	}
	for _, res := range changed {
		if refusals := failed[res.New.Name]; refusals != nil {
			b.reject(res, refusals)
		}
	}
	for _, res := range lost {
		if err := b.account(res); err != nil {
			return err
		}
	}
	return nil
}

// sameAs returns the name of an object that is another build of the same source file and was located at the same functions,
// or "".
func (b *builder) sameAs(in *link.Input) string {
	for _, other := range b.inputs {
		if other.Loc == nil || other.Loc.Block != in.Loc.Block || !hasFunctions(other.Diff.Old, oldFunctions(in.Diff)) {
			continue
		}
		if in.Loc.Block == 0 && len(in.Diff.Changed)+len(in.Diff.Values) == 0 {
			continue // block 0 stands for a whole table without source names, so that the code may belong to either object
		}
		elsewhere := slices.ContainsFunc(in.Diff.Changed, func(ch diff.Change) bool {
			m, is := in.Loc.Match(ch.Old), other.Loc.Match(other.Diff.Old.Lookup(ch.Old.Name))
			return m == nil || is == nil || is.Start != m.Start
		}) || slices.ContainsFunc(in.Diff.Values, func(v diff.Value) bool {
			at, _, err := in.Loc.Address(v.Old)
			same := other.Diff.Old.Lookup(v.Old.Name)
			return err != nil || same == nil || !slices.ContainsFunc(other.Diff.Values, func(o diff.Value) bool {
				is, _, err := other.Loc.Address(o.Old)
				return o.Old == same && err == nil && is == at
			})
		})
		if !elsewhere {
			return other.Diff.New.Name
		}
	}
	return ""
}

// locateOne compares the old code of an object with the image.
func (b *builder) locateOne(res *diff.Result) (*link.Input, error) {
	if len(res.Changed) == 0 {
		return b.locateData(res)
	}
	loc, err := match.Locate(b.im, res.Old, oldFunctions(res))
	if errors.Is(err, match.ErrNotLinked) && onlyShared(res) {
		refusals, err := b.checkMissing(res)
		if err != nil {
			return nil, err
		}
		if refusals = slices.DeleteFunc(refusals, func(r Refusal) bool { return slices.Contains(res.Refusals, r) }); len(refusals) > 0 {
			return nil, refusals
		}
		in, err := b.locateData(res)
		if err == nil {
			res.Changed = nil
		}
		return in, err
	}
	if err != nil {
		return nil, err
	}
	if err := b.checkCopies(res, loc); err != nil {
		return nil, err
	}
	missing := map[string]bool{}
	for _, name := range loc.Missing {
		missing[name] = true
		if !res.Old.Shared(res.Old.Lookup(name)) {
			b.res.Warnings = append(b.res.Warnings, fmt.Sprintf("%s: %s: changed, but %s does not contain it", res.New.Name, name, b.im.Path))
		}
	}
	kept := res.Changed[:0:0]
	for _, ch := range res.Changed {
		if !missing[ch.Old.Name] && b.keeps(res, loc, ch) {
			kept = append(kept, ch)
		}
	}
	res.Changed = kept
	b.dropUnlinked(res, loc)
	return &link.Input{Diff: res, Loc: loc}, nil
}

// checkCopies refuses changed functions of which the target may contain inlined copies, because their callers differ from
// those in the objects.
func (b *builder) checkCopies(res *diff.Result, loc *match.Located) error {
	var all diff.Refusals
	for _, ch := range res.Changed {
		if _, another := loc.Others[ch.Old.Name]; another {
			continue // handled by keeps
		}
		at := uint64(0)
		if m := loc.Match(ch.Old); m != nil {
			at = m.Start
		}
		refusals, err := b.checkUsers(res.Old, ch.Old, at)
		if err != nil {
			return err
		}
		all = append(all, refusals...)
	}
	if len(all) > 0 {
		return all
	}
	return nil
}

func oldFunctions(res *diff.Result) []*lpelf.Symbol {
	var out []*lpelf.Symbol
	for _, ch := range res.Changed {
		out = append(out, ch.Old)
	}
	return out
}

// locateData locates an object whose data changed but not its code, using all of its functions.
func (b *builder) locateData(res *diff.Result) (*link.Input, error) {
	var funcs []*lpelf.Symbol
	for _, f := range res.Old.Functions() {
		if _, cold := diff.ColdParent(f.Name); !cold {
			funcs = append(funcs, f)
		}
	}
	loc, err := match.Locate(b.im, res.Old, funcs)
	if err != nil {
		return nil, err
	}
	b.dropUnlinked(res, loc)
	return &link.Input{Diff: res, Loc: loc}, nil
}

// dropUnlinked removes values of variables that the linker has discarded.
func (b *builder) dropUnlinked(res *diff.Result, loc *match.Located) {
	res.Values = slices.DeleteFunc(res.Values, func(v diff.Value) bool {
		_, ok, err := loc.Address(v.Old)
		gone := b.im.Named && !ok && err == nil
		if gone {
			b.res.Warnings = append(b.res.Warnings, fmt.Sprintf("%s: %s: changed, but %s does not contain it", res.New.Name, v.New.Name, b.im.Path))
		}
		return gone
	})
}

// accept takes over the result of the comparison for an object that is part of the image.
func (b *builder) accept(res *diff.Result) {
	b.refusals = append(b.refusals, res.Refusals...)
	b.res.Warnings = append(b.res.Warnings, res.Warnings...)
}

// reject records that the old code of an object differs from the target, unless another build of the same source file
// matches.
func (b *builder) reject(res *diff.Result, refusals diff.Refusals) {
	for _, in := range b.inputs {
		if in.Loc != nil && in.Diff.Old.Source == res.Old.Source && hasFunctions(in.Diff.Old, oldFunctions(res)) {
			b.res.Warnings = append(b.res.Warnings, fmt.Sprintf("%s: not the build of %s that is in %s; %s is", res.New.Name, res.Old.Source, b.im.Path, in.Diff.New.Name))
			return
		}
	}
	if !slices.ContainsFunc(res.Refusals, func(r Refusal) bool { return r.Code == codes.NotFunctionSections }) {
		b.refusals = append(b.refusals, refusals...) // otherwise it is expected that the code was not found
	}
	b.refusals = append(b.refusals, res.Refusals...)
}
