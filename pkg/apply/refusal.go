// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"errors"
	"os"
	"syscall"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
)

// Refusal is the error for what this package refuses itself. What the kernel refuses is an *lpnl.Refused. Either way nothing
// was changed.
type Refusal struct {
	Code     lpnl.Refusal
	Function string // that is in the way, as the patch names it, or ""
	Message  string // a sentence
}

// Error implements error.
func (e *Refusal) Error() string { return e.Message }

// RefusalCode tells why an operation was refused, whoever refused it. It is lpnl.RefusalNone for other errors, and for none.
func RefusalCode(err error) lpnl.Refusal {
	var own *Refusal
	var kernel *lpnl.Refused
	switch {
	case errors.As(err, &own):
		return own.Code
	case errors.As(err, &kernel):
		return kernel.Report.Refusal
	}
	return lpnl.RefusalNone
}

// unknown tells whether the kernel does not know a patch by its hash. It forgets one that is in no target and that no client
// holds, as this one holds those that it transferred.
func unknown(err error) bool {
	var e *lpnl.Error
	return errors.As(err, &e) && e.Errno == syscall.ENOENT
}

// lost tells whether the kernel says that a patch is in a target no more, and possibly in none.
func lost(err error) bool {
	var refused *lpnl.Refused
	return unknown(err) || errors.As(err, &refused) && refused.Report.Refusal == lpnl.RefusalNotLoaded
}

// absent tells whether the process, or the patch in it, is gone by now.
func absent(err error) bool {
	switch RefusalCode(err) {
	case lpnl.RefusalNotLoaded, lpnl.RefusalTargetGone, lpnl.RefusalTargetChanged:
		return true
	}
	return Gone(err) || unknown(err)
}

// Gone tells whether an operation failed because the process ended.
func Gone(err error) bool {
	return errors.Is(err, os.ErrProcessDone) || errors.Is(err, proc.ErrNoProcess)
}
