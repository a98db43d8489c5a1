// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
)

// checkClosures refuses changed closures of Rust whose names may denote other closures in the program: because one was added
// or removed, in any object, or because several closures of a function changed. Only debug information lists the closures.
func (b *builder) checkClosures(pairs []pair) error {
	changed := map[diff.Closure]string{} // closure -> object
	for _, in := range b.inputs {
		closures, err := in.Diff.ChangedClosures()
		if err != nil {
			b.refuseUnknownClosures(in.Diff.New.Name, err)
		}
		for _, c := range closures {
			changed[c] = in.Diff.New.Name
		}
	}
	if len(changed) == 0 {
		return nil
	}
	old, new, err := b.allClosures(pairs)
	if err != nil {
		return err
	}
	b.refuseRenumbered(changed, old, new)
	return nil
}

func (b *builder) refuseUnknownClosures(object string, err error) {
	b.refusals = append(b.refusals, diff.Refusal{Code: codes.ClosureRenumbered, File: object, Text: err.Error() +
		", so which closures of Rust it has, and whether they are those that have their names in the program, is not known; compile old and new with -g"})
}

// allClosures returns the closures of all objects that may be part of the target.
func (b *builder) allClosures(pairs []pair) (old, new map[diff.Closure]bool, err error) {
	old, new = map[diff.Closure]bool{}, map[diff.Closure]bool{}
	for _, p := range pairs {
		if !bytes.Contains(p.old, []byte("{closure")) && !bytes.Contains(p.new, []byte("{closure")) || b.excluded(p.name) != "" {
			continue
		}
		o, n, err := parsePair(p)
		if err != nil {
			return nil, nil, err
		}
		was, err := o.Closures()
		is, newErr := n.Closures()
		if err := cmp.Or(err, newErr); err != nil {
			b.refuseUnknownClosures(p.name, err)
		}
		maps.Copy(old, was)
		maps.Copy(new, is)
	}
	return old, new, nil
}

// refuseRenumbered refuses the changed closures, given with their objects, that may have been renumbered.
func (b *builder) refuseRenumbered(changed map[diff.Closure]string, old, new map[diff.Closure]bool) {
	said := map[string]bool{}
	for c, object := range changed {
		why := ""
		switch {
		case !sameClosures(old, new, c.Function):
			why = "closures of this function came or went, and each has the name of its number in it, so which of them the program's are is not known; add them in a function of their own"
		case slices.ContainsFunc(slices.Collect(maps.Keys(changed)), func(other diff.Closure) bool { return other.Function == c.Function && other != c }):
			why = "several closures of this function changed, and each has the name of its number in it, so which of them the program's are is not known; change one at a time, or make them functions"
		}
		if why != "" && !said[c.Function] {
			said[c.Function] = true
			b.refusals = append(b.refusals, diff.Refusal{Code: codes.ClosureRenumbered, File: object, Symbol: c.Function, Text: why})
		}
	}
}

// sameClosures reports whether a function has the same closures in both versions.
func sameClosures(old, new map[diff.Closure]bool, function string) bool {
	lacks := func(a, b map[diff.Closure]bool) bool {
		for c := range a {
			if c.Function == function && !b[c] {
				return true
			}
		}
		return false
	}
	return !lacks(old, new) && !lacks(new, old)
}
