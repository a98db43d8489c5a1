package apply

import (
	"errors"
	"fmt"
	"strings"

	"lpatch/pkg/lpnl"
)

// replace applies a patch and reverts all others: the kernel restores them in the window in which it applies the new one,
// and what no thread uses any more is unloaded afterwards. What stays mapped does no harm, and the note says so.
func (a *attempt) replace(o lpnl.Options) (lpnl.Report, error) {
	before, err := a.kernel.Status()
	if err != nil {
		return lpnl.Report{}, err
	}
	r, err := a.op(lpnl.VerbApply, o)
	if err != nil {
		return r, err
	}
	var names, notes []string
	if a.note != "" {
		notes = append(notes, a.note)
	}
	for _, old := range before {
		if old.PID != a.target.PID || old.Hash == a.hash || old.State != lpnl.StateApplied && old.State != lpnl.StateDrifted {
			continue
		}
		names = append(names, old.Patch)
		_, err := a.kernel.Op(lpnl.VerbUnload, old.Hash, a.target, lpnl.Options{MaxStop: o.MaxStop, Timeout: quiescentTry})
		var refused *lpnl.Refused
		switch {
		case errors.As(err, &refused) && refused.Report.Refusal == lpnl.RefusalPinned:
			notes = append(notes, fmt.Sprintf("patch %s is restored: %s", old.Patch, refused.Report.Message))
		case errors.As(err, &refused):
			notes = append(notes, fmt.Sprintf("patch %s is restored and stays mapped: %s; unload it later", old.Patch, refused.Report.Message))
		case unknown(err): // somebody else unloaded it meanwhile
		case err != nil:
			return r, err
		}
	}
	if len(names) > 0 {
		notes = append([]string{"replaced " + strings.Join(names, ", ")}, notes...)
	}
	a.note = strings.Join(notes, "; ")
	return r, nil
}
