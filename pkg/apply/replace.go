package apply

import (
	"fmt"
	"strings"

	"lpatch/pkg/lpnl"
)

// replace applies a patch and reverts all others that are applied before: the kernel restores them in the window in which it applies the new one,
// and what no thread uses any more is unloaded afterwards. What stays mapped does no harm, and the note says so.
func (a *attempt) replace(before []lpnl.Report, o lpnl.Options) (lpnl.Report, error) {
	r, err := a.op(lpnl.VerbApply, o)
	if err != nil {
		return r, err
	}
	return r, a.unloadAll(before, o)
}

// unloadAll unloads patches that were replaced, as far as that is possible, and notes it.
func (a *attempt) unloadAll(before []lpnl.Report, o lpnl.Options) error {
	var names, notes []string
	if a.note != "" {
		notes = append(notes, a.note)
	}
	for _, old := range before {
		names = append(names, old.Patch)
		_, err := a.kernel.Op(lpnl.VerbUnload, old.Hash, a.target, lpnl.Options{MaxStop: o.MaxStop, Timeout: quiescentTry})
		switch {
		case err == nil || lost(err): // the latter: somebody else unloaded it
		case Gone(err):
			return err
		case reportOf(err).Refusal == lpnl.RefusalPinned:
			notes = append(notes, fmt.Sprintf("patch %s is restored: %v", old.Patch, err))
		default: // the new one is applied all the same
			notes = append(notes, fmt.Sprintf("patch %s is restored and stays mapped: %v; unload it later", old.Patch, err))
		}
	}
	if len(names) > 0 {
		notes = append([]string{"replaced " + strings.Join(names, ", ")}, notes...)
	}
	a.note = strings.Join(notes, "; ")
	return nil
}
