// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"fmt"
	"strings"

	"lpatch/pkg/lpnl"
)

// replace applies a patch, or checks whether it could be, and reverts others that are applied before: the kernel restores them in the window in which it applies the new one,
// and what no thread uses any more is unloaded afterwards. What stays mapped does no harm, and the note says so.
func (a *attempt) replace(verb lpnl.Verb, before []lpnl.Report, o lpnl.Options) (lpnl.Report, error) {
	r, err := a.op(verb, o)
	if err != nil || verb == lpnl.VerbCheck {
		return r, err
	}
	var names []string
	notes := notes(a.note)
	for _, old := range before {
		names = append(names, old.Patch)
		_, err := a.kernel.Op(lpnl.VerbUnload, old.Hash, a.target, lpnl.Options{MaxStop: o.MaxStop, Timeout: quiescentTry})
		switch {
		case err == nil || lost(err): // the latter: somebody else unloaded it
		case Gone(err):
			return r, err
		case reportOf(err).Refusal == lpnl.RefusalPinned:
			notes = append(notes, fmt.Sprintf("patch %s is restored: %v", old.Patch, err))
		default: // the new one is applied all the same
			notes = append(notes, fmt.Sprintf("patch %s is restored and stays mapped: %v; unload it later", old.Patch, err))
		}
	}
	if len(names) > 0 {
		notes = append([]string{replacedNote + strings.Join(names, ", ")}, notes...)
	}
	a.note = strings.Join(notes, "; ")
	return r, nil
}

// replacedNote begins a note that names the patches in the place of which one was applied.
const replacedNote = "replaced "

// replacedIn are the patches that a note names so.
func replacedIn(note string) []string {
	text, ok := strings.CutPrefix(note, replacedNote)
	if !ok {
		return nil
	}
	text, _, _ = strings.Cut(text, "; ")
	return strings.Split(text, ", ")
}

// notes is a list of one note, or of none.
func notes(note string) []string {
	if note == "" {
		return nil
	}
	return []string{note}
}
