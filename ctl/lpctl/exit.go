package main

import (
	"errors"
	"fmt"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
)

// exitStatus of the process; scripts rely on the values.
type exitStatus int

const (
	exitDone    exitStatus = 0
	exitFailed  exitStatus = 1 // usage, I/O, bad input, no module
	exitRefused exitStatus = 2 // nothing changed
	exitNothing exitStatus = 3 // nothing to do: all is as it was asked for, which is proved
	exitSome    exitStatus = 4 // some of several targets failed, or do not agree
	exitNone    exitStatus = 5 // no target matched
	exitActive  exitStatus = 6 // done, but calls under way are still in the code from before
)

// exitError asks for an exit status.
type exitError struct {
	status   exitStatus
	err      error
	reported bool // all was said that there is to say
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// nothing makes an error for status 3.
func nothing(err error) error { return &exitError{status: exitNothing, err: err} }

// refused makes an error for status 2.
func refused(err error) error {
	return &exitError{status: exitRefused, err: fmt.Errorf("refused: %w", err)}
}

// statusOf returns the exit status that belongs to an error.
func statusOf(err error) exitStatus {
	var e *exitError
	var refused *lpnl.Refused
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &e):
		return e.status
	case errors.As(err, &refused) && refused.Report.Refusal == lpnl.RefusalAlready:
		return exitNothing
	case errors.As(err, &refused), lpnl.RefusesSignature(err):
		return exitRefused
	}
	return exitFailed
}

// statusOfOutcome returns the exit status of an operation on one target. Where threads are still in code from before, it is not done
// with, even if it was asked for earlier.
func statusOfOutcome(o apply.Outcome) exitStatus {
	s := statusOf(o.Err)
	if o.Report.ActiveThreads > 0 && (s == exitDone || s == exitNothing) {
		switch o.Report.Verb {
		case lpnl.VerbApply, lpnl.VerbRestore, apply.Revert:
			return exitActive
		}
	}
	return s
}

// combine returns the exit status of several targets. A target on which there was nothing to do has not failed.
func combine(list []exitStatus) exitStatus {
	count := map[exitStatus]int{}
	for _, s := range list {
		count[s]++
	}
	failed := count[exitFailed] + count[exitRefused]
	switch {
	case failed > 0 && failed < len(list):
		return exitSome
	case count[exitFailed] > 0:
		return exitFailed
	case failed > 0:
		return exitRefused
	case count[exitActive] > 0:
		return exitActive
	case count[exitNothing] == len(list):
		return exitNothing
	}
	return exitDone
}
