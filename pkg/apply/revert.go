// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"fmt"

	"lpatch/pkg/lpnl"
)

// revert restores and unloads. A patch that was not applied is only unloaded; one that cannot be unloaded, because the
// program holds pointers into it or threads are in it, is only restored.
func (a *attempt) revert() Outcome {
	restored := a.op(lpnl.VerbRestore, a.options)
	switch RefusalCode(restored.Err) {
	case lpnl.RefusalNotApplied, lpnl.RefusalAlready:
		restored = Outcome{}
	}
	if restored.Err != nil {
		restored.Report.Verb = Revert
		return restored
	}
	out := a.op(lpnl.VerbUnload, a.options)
	was, r := &restored.Report, &out.Report
	if out.Err != nil && was.Verb != "" && !Gone(out.Err) {
		return a.stays(restored, out)
	}
	out.Note = "" // who was in code from before has left it, or it could not be unloaded
	if out.Err != nil {
		out.Note = restored.Note
	}
	r.Verb = Revert
	r.Attempts += was.Attempts
	if was.Stop > r.Stop { // of the two windows, report the longer one
		r.Threads, r.Stop, r.StopLimit, r.LongestThread = was.Threads, was.Stop, was.StopLimit, was.LongestThread
		r.Gate, r.Barrier, r.Check, r.Write, r.Release = was.Gate, was.Barrier, was.Check, was.Write, was.Release
		r.Lock = was.Lock
	}
	return out
}

// stays is the end of a revert that has restored a patch and could not unload it. The error is a *Stays, but where nothing
// more can come of it, or threads that are in the patch have yet to leave it.
func (a *attempt) stays(restored, unload Outcome) Outcome {
	r := &restored.Report
	r.Verb = Revert
	stays := &Stays{Patch: r.Patch, Cause: unload.Err}
	switch {
	case lost(unload.Err): // somebody else unloaded it meanwhile
		restored.Note, r.State, r.ActiveThreads = "", lpnl.StateNone, 0
	case RefusalCode(unload.Err) == lpnl.RefusalPinned:
		restored.Note = unload.Err.Error() // that is as far as it goes
	case a.stillIn(r, unload.Report):
		restored.Note = stays.Error()
	default:
		restored.Note, restored.Err = "", stays
	}
	return restored
}

// Stays is the error of a revert that has restored a patch, and could not unload it.
type Stays struct {
	Patch string
	Cause error
}

// Error implements error. There is no Unwrap, for with a refusal nothing would be changed.
func (e *Stays) Error() string {
	return fmt.Sprintf("patch %s is restored and stays mapped: %v; revert it again later", e.Patch, e.Cause)
}

// stillIn tells whether threads are in the code of a patch that was restored, and could not be unloaded. Those of before the
// restore may have left since; the one that the kernel names has not.
func (a *attempt) stillIn(restored *lpnl.Report, unload lpnl.Report) bool {
	if again, err := a.session.count(a.view.Process, a.hash); err == nil {
		copyActive(restored, again)
	}
	if restored.ActiveThreads == 0 && unload.Refusal == lpnl.RefusalThreadActive {
		restored.ActiveThreads, restored.ActiveTID, restored.ActivePatch = 1, unload.TID, restored.Patch
	}
	return restored.ActiveThreads > 0
}
