// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"fmt"
	"slices"
	"strings"

	"lpatch/pkg/lpnl"
)

// replace applies a patch, or checks whether it could be, and reverts others that are applied before: the kernel restores them in the window in which it applies the new one,
// and what no thread uses any more is unloaded afterwards. What stays mapped does no harm, and the note says so.
func (a *attempt) replace(before []lpnl.Report, o lpnl.Options) Outcome {
	out := a.op(a.verb, o)
	if out.Err != nil || a.verb == lpnl.VerbCheck {
		return out
	}
	notes := notes(out.Note)
	for _, old := range before {
		out.Replaced = append(out.Replaced, old.Patch)
	}
	for _, old := range a.fromAbove(before) {
		err := a.unload(old, o)
		switch {
		case err == nil || lost(err): // the latter: somebody else unloaded it
			a.mapped = slices.DeleteFunc(a.mapped, func(l layer) bool { return l.report.Hash == old.Hash })
		case Gone(err):
			out.Err = err
			return out
		case RefusalCode(err) == lpnl.RefusalPinned:
			notes = append(notes, fmt.Sprintf("patch %s is restored: %v", old.Patch, err))
		default: // the new one is applied all the same
			notes = append(notes, fmt.Sprintf("patch %s is restored and stays mapped: %v; unload it later", old.Patch, err))
		}
	}
	if len(out.Replaced) > 0 {
		notes = append([]string{"replaced " + strings.Join(out.Replaced, ", ")}, notes...)
	}
	out.Note = strings.Join(notes, "; ")
	return out
}

// unload unmaps a patch that was replaced, if none that is mapped, applied or not, refers to it.
func (a *attempt) unload(old lpnl.Report, o lpnl.Options) error {
	if a.blind != nil {
		return a.blind
	}
	if upon := a.upon(old); len(upon) > 0 {
		return fmt.Errorf("patch %s, which is %v, is built upon it", upon[0].Spec.Name, upon[0].report.State)
	}
	return a.ask(lpnl.VerbUnload, old.Hash, lpnl.Options{MaxStop: o.MaxStop, Timeout: quiescentTry}).Err
}

// upon are the mapped patches that are built upon one.
func (a *attempt) upon(old lpnl.Report) (list []layer) {
	i := slices.IndexFunc(a.mapped, func(l layer) bool { return l.report.Hash == old.Hash })
	if i < 0 {
		return nil
	}
	for _, l := range a.mapped {
		if l.Spec.IsUpon(a.mapped[i].buildID) {
			list = append(list, l)
		}
	}
	return list
}

// fromAbove brings those that are built upon others before these.
func (a *attempt) fromAbove(list []lpnl.Report) []lpnl.Report {
	height := heights(len(list), func(i, j int) bool {
		return slices.ContainsFunc(a.upon(list[j]), func(l layer) bool { return l.report.Hash == list[i].Hash })
	})
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return height[j] - height[i] })
	var out []lpnl.Report
	for _, i := range order {
		out = append(out, list[i])
	}
	return out
}

// heights number n patches so that each has more than those that it is built upon.
func heights(n int, isUpon func(i, j int) bool) []int {
	height := make([]int, n)
	for range n { // no chain is longer
		for i := range n {
			for j := range n {
				if isUpon(i, j) {
					height[i] = max(height[i], height[j]+1)
				}
			}
		}
	}
	return height
}

// notes is a list of one note, or of none.
func notes(note string) []string {
	if note == "" {
		return nil
	}
	return []string{note}
}
