// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"slices"

	"lpatch/pkg/lpnl"
)

// supersededBy is a patch of another name that is applied and takes the place of this one, or nil; one that replaces all that this one
// does, if there is one; and how many threads are in code from before that one.
func (c *scanner) supersededBy(p *ScanPatch, has []lpnl.Report) (by *PatchFile, active int) {
	for _, r := range has {
		other := c.abouts.known[r.Hash]
		if r.State != lpnl.StateApplied || other == nil || !displaces(other, p.PatchFile) {
			continue
		}
		if by, active = other, r.ActiveThreads; covers(by.Spec, p.Spec) {
			break
		}
	}
	return by, active
}

// displaces is takesPlaceOf for patches of two names: which one of two versions is newer nobody says.
func displaces(newer, old *PatchFile) bool {
	return newer.Spec.Name != old.Spec.Name && takesPlaceOf(newer.Spec, old)
}

// halfSuperseded is why a patch is missing where another one is in its place.
func halfSuperseded(by string) string {
	return "patch " + by + " supersedes it and does not replace all that it does; build one patch of all the fixes"
}

// withoutSuperseded divides off those in whose place another of them is to be, or is. Of some that say so of each other, all stay. One
// that does more than what is to be in its place is not to be applied, and still missing.
func withoutSuperseded(list []Finding) (out, displaced []Finding) {
	over := precedence(len(list), func(i, j int) bool {
		return list[i].State != ScanUnknown && list[i].State != ScanNotPatchable && displaces(list[i].patch.PatchFile, list[j].patch.PatchFile)
	})
	for j, f := range list {
		var by []*Finding
		for i := range list {
			if over(i, j) {
				by = append(by, &list[i])
			}
		}
		switch {
		case len(by) == 0:
			out = append(out, f)
		case !slices.ContainsFunc(by, func(o *Finding) bool { return covers(o.patch.Spec, f.patch.Spec) }) && f.State != ScanUnknown:
			f.State, f.Why, f.fits = ScanNotPatchable, halfSuperseded(by[0].patch.Spec.Name), false
			out = append(out, f)
		default:
			displaced = append(displaced, f)
		}
	}
	return out, displaced
}

// precedence tells of n patches whether one takes the place of another, itself or by others between them, and not the other way round.
func precedence(n int, direct func(i, j int) bool) func(i, j int) bool {
	over := make([]bool, n*n)
	for i := range over {
		over[i] = direct(i/n, i%n)
	}
	for k := range n {
		for i := range over {
			over[i] = over[i] || over[i/n*n+k] && over[k*n+i%n]
		}
	}
	return func(i, j int) bool { return over[i*n+j] && !over[j*n+i] }
}
