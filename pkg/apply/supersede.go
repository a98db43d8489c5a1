// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"fmt"
	"slices"
	"strings"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
)

// A patch takes the place of an older one of its name, and of those that it names (patch.About): they are restored in the window
// in which it is applied. All others stay.

// superseded is a patch that is applied to a target, and of which another one takes the place.
type superseded struct {
	layer
	covered bool // the other one replaces all that it replaces, so it does no harm under that
}

// splitSuperseded divides what is applied to a target. What a patch was built upon stays, though it may be an older one of its name.
func splitSuperseded(spec *patch.Spec, layers []layer) (out []superseded, others []layer) {
	for _, l := range layers {
		if takesPlaceOf(spec, l.PatchFile) && !spec.IsUpon(l.buildID) {
			out = append(out, superseded{l, covers(spec, l.Spec) && !changesValues(l.Spec)})
		} else {
			others = append(others, l)
		}
	}
	return out, others
}

// takesPlaceOf tells whether a patch takes the place of another one. A mitigation is there until there is a fix of all that
// it is for, or another mitigation.
func takesPlaceOf(spec *patch.Spec, old *PatchFile) bool {
	return spec.Supersedes(old.Spec.Name, old.sum) || isMitigated(spec, old.Spec)
}

// isMitigated tells whether another patch is a mitigation of what this one replaces.
func isMitigated(spec, other *patch.Spec) bool { return other.Mitigation != nil && covers(spec, other) }

func changesValues(spec *patch.Spec) bool {
	return slices.ContainsFunc(spec.Sites, func(s patch.Site) bool { return s.Kind == patch.SiteBytes })
}

// checkSuperseded refuses to take a patch away from under one that was built upon it and stays.
func checkSuperseded(spec *patch.Spec, v *view, out []superseded, others []layer) error {
	for _, old := range out {
		for _, l := range others {
			if l.Spec.IsUpon(old.buildID) {
				return &Refusal{Code: lpnl.RefusalCovered,
					Message: fmt.Sprintf("patch %s takes the place of patch %s, upon which patch %s was built, which is %s in %v; revert that one first",
						spec.Name, old.Spec.Name, l.Spec.Name, l.report.State, v)}
			}
		}
	}
	return nil
}

// supersede applies a patch, and restores in the same window those of which it takes the place. If threads stay in their code, and
// the new one replaces all that they replace, it is applied upon them: no call comes to their code any more.
func (a *attempt) supersede() Outcome {
	var before []lpnl.Report
	var names []string
	upon := true
	for _, s := range a.others {
		before, names = append(before, s.report), append(names, s.report.Patch)
		upon = upon && s.covered
	}
	o := a.options
	first := o
	if upon {
		first.Timeout = min(o.Timeout, quiescentTry)
	}
	first.Supersede = nil
	for _, r := range before {
		first.Supersede = append(first.Supersede, r.Hash)
	}
	out := a.replace(before, first)
	if !upon || RefusalCode(out.Err) != lpnl.RefusalThreadActive {
		return out
	}
	o.Timeout, o.Supersede = o.Timeout-first.Timeout, nil
	again := a.op(a.verb, o)
	again.Report.Attempts += out.Report.Attempts
	if again.Err == nil {
		again.Note = strings.Join(append([]string{fmt.Sprintf("%s stays under it: %v", strings.Join(names, ", "), out.Err)}, notes(again.Note)...), "; ")
	}
	return again
}
