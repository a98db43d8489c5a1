// SPDX-License-Identifier: GPL-2.0

package build

import (
	"fmt"
	"maps"
	"slices"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/match"
)

// onlyShared reports whether other objects may also define all changed functions of an object (COMDAT).
func onlyShared(res *diff.Result) bool {
	return len(res.Changed) > 0 && !slices.ContainsFunc(res.Changed, func(ch diff.Change) bool { return !res.Old.Shared(ch.Old) })
}

// keeps reports whether the new body of a changed function is taken from this object. If several objects define the function,
// the target contains one instance, and the first object whose old instance is equal to it provides the new body.
func (b *builder) keeps(res *diff.Result, loc *match.Located, ch diff.Change) bool {
	name := ch.Old.Name
	if !res.Old.Shared(ch.Old) {
		return true
	}
	if stray, ok := loc.Others[name]; ok {
		b.strays[name] = stray
		return false
	}
	keeper := b.keepers[name]
	if keeper == nil {
		b.keepers[name] = res
		return true
	}
	if !diff.SameInstance(keeper.New, res.New, name) {
		b.disagree(keeper, res.New.Name, name, "became another one there")
	}
	return false
}

func (b *builder) disagree(keeper *diff.Result, other, name, how string) {
	b.refusals = append(b.refusals, diff.Refusal{Code: codes.InstancesDiffer, File: keeper.New.Name, Symbol: name,
		Text: fmt.Sprintf("%s has the same instance of this function, which %s; make the fix the same in all objects that include it", other, how)})
}

// settleInstances refuses functions of which no object has the instance in the target, and functions that changed in some
// objects but not in others.
func (b *builder) settleInstances(pairs []pair) error {
	for _, name := range slices.Sorted(maps.Keys(b.strays)) {
		if b.keepers[name] == nil {
			b.refusals = append(b.refusals, b.strays[name])
		}
	}
	for _, p := range pairs {
		if p.old == nil || p.new == nil {
			continue
		}
		var res *diff.Result
		for _, name := range slices.Sorted(maps.Keys(b.keepers)) {
			if !mayName(p.old, name) {
				continue
			}
			if res == nil {
				var err error
				if res, err = comparePair(p, b.opts); err != nil {
					return err
				}
			}
			b.checkUnchanged(res, name)
		}
	}
	return nil
}

// checkUnchanged refuses a function if an object has the same old instance as the object that provides the new body, but did
// not change.
func (b *builder) checkUnchanged(res *diff.Result, name string) {
	keeper := b.keepers[name]
	o, n := res.Old.Lookup(name), res.New.Lookup(name)
	if o == nil || n == nil || !res.Old.Shared(o) || slices.ContainsFunc(res.Changed, func(ch diff.Change) bool { return ch.Old == o }) {
		return
	}
	if b.im.Has(res.Old) && diff.SameInstance(keeper.Old, res.Old, name) {
		b.disagree(keeper, res.New.Name, name, "did not change there")
	}
}
