// SPDX-License-Identifier: GPL-2.0

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
	exitFailed  exitStatus = 1
	exitRefused exitStatus = 2
	exitNothing exitStatus = 3 // only where it is proved
	exitSome    exitStatus = 4
	exitNone    exitStatus = 5
	exitActive  exitStatus = 6
)

// exitMeanings has what each status means, in order. --help prints it, and a test compares the documents with it.
var exitMeanings = []string{
	exitDone:    "done",
	exitFailed:  "an error: wrong usage, input or output, bad input, no such process, no module",
	exitRefused: "refused; nothing was changed",
	exitNothing: "nothing to do: everything is already as requested",
	exitSome:    "some of several targets failed, or what was compared does not agree",
	exitNone:    "no target matched what was named; with --allow-none that is 3",
	exitActive:  "done, but calls under way are still in the code from before",
}

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

// unmatched makes an error for status 5, or for 3 where that is well.
func unmatched(text string, quiet, well bool) *exitError {
	if !well {
		return &exitError{status: exitNone, err: errors.New(text)}
	}
	return &exitError{status: exitNothing, err: errors.New("nothing to do: " + text), reported: quiet}
}

// statusOf returns the exit status that belongs to an error.
func statusOf(err error) exitStatus {
	var e *exitError
	var stays *apply.Stays
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &stays):
		return exitSome
	case errors.As(err, &e):
		return e.status
	case apply.RefusalCode(err) != lpnl.RefusalNone, lpnl.RefusesSignature(err):
		return exitRefused
	}
	return exitFailed
}

// statusOfOutcome returns the exit status of an operation on one target. Where threads are still in code from before, it is not done
// with, even if it was asked for earlier.
func statusOfOutcome(o apply.Outcome) exitStatus {
	s := statusOf(o.Err)
	if o.Settled {
		s = exitNothing
	}
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
	failed := count[exitFailed] + count[exitRefused] + count[exitSome] + count[exitNone]
	switch {
	case failed > 0 && failed < len(list), count[exitSome] > 0:
		return exitSome
	case count[exitFailed] > 0:
		return exitFailed
	case count[exitRefused] > 0:
		return exitRefused
	case count[exitNone] > 0:
		return exitNone
	case count[exitActive] > 0:
		return exitActive
	case count[exitNothing] == len(list):
		return exitNothing
	}
	return exitDone
}
