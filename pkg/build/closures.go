package build

import (
	"bytes"
	"maps"
	"slices"

	"lpatch/pkg/diff"
)

// checkClosures refuses changed closures of Rust of which it is not sure that they are those that have their names in the program:
// one came or went, in whatever object, or more than one of a function changed.
func (b *builder) checkClosures(pairs []pair) error {
	changed := map[diff.Closure]string{} // to the object
	for _, in := range b.inputs {
		for _, c := range in.Diff.ChangedClosures() {
			changed[c] = in.Diff.New.Name
		}
	}
	if len(changed) == 0 {
		return nil
	}
	old, new := map[diff.Closure]bool{}, map[diff.Closure]bool{}
	for _, p := range pairs {
		if !bytes.Contains(p.old, []byte("{closure")) && !bytes.Contains(p.new, []byte("{closure")) || b.excluded(p.name) != "" {
			continue
		}
		o, n, err := parsePair(p)
		if err != nil {
			return err
		}
		for c := range o.Closures() {
			old[c] = true
		}
		for c := range n.Closures() {
			new[c] = true
		}
	}
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
			b.refusals = append(b.refusals, diff.Refusal{Code: "closure-renumbered", File: object, Symbol: c.Function, Text: why})
		}
	}
	return nil
}

// sameClosures tells whether a function has the closures that it had.
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
