// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"errors"
	"fmt"
	"slices"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
)

// Result is what became of a selection.
type Result struct {
	Outcomes []Outcome
	Misses   []Miss
	Unseen   []error // what kept us from processes of which it is not known whether they are meant
}

// RunSelected carries out a verb on all processes that are selected. Those may fork meanwhile: a child that was forked
// before its parent's turn has the parent's old state. So it looks again until a look that began after the last change
// finds nobody to whom anything can be done: what is refused is no change, and who forks so could go on for ever. Who forks
// faster than that is among Unseen. Processes that were found, not named, and ended before their turn are no
// part of the result; where nothing else is, it has a Miss that says so.
func (s *Session) RunSelected(verb Verb, p PatchRef, sel Selection, o lpnl.Options) (Result, error) {
	found, err := s.Find(verb, sel, p)
	if err != nil {
		return Result{}, err
	}
	r := Result{Outcomes: found.Failed, Misses: found.Misses, Unseen: found.Unseen}
	j := job{verb, p, o}
	for _, out := range s.round(j, found.Targets) {
		if !Gone(out.Err) || found.named[out.Process.PID] {
			r.Outcomes = append(r.Outcomes, out)
		}
	}
	if verb != lpnl.VerbCheck && sel.group() {
		err = s.lookAgain(&r, found.Targets, sel, j)
	}
	if err == nil && len(r.Outcomes)+len(r.Misses) == 0 {
		r.Misses = []Miss{{Message: "the processes ended before their turn, and there are no others"}}
	}
	return r, err
}

// lookAgain goes on with processes that were not among the first targets.
func (s *Session) lookAgain(r *Result, targets []proc.Process, sel Selection, j job) error {
	seen := map[proc.Process]bool{}
	var others []Outcome // of the last look: with them there was nothing to do
	defer func() {
		if len(r.Outcomes) == 0 { // who was there first has ended: these are who there is
			r.Outcomes = others
		}
	}()
	for range s.limits.Rounds {
		for _, t := range targets {
			seen[life(t)] = true
		}
		found, err := s.Find(j.verb, sel, j.patch)
		if err != nil {
			return err
		}
		r.Unseen = found.Unseen
		// What a later look finds was no miss; what it misses may have been dealt with, or have ended.
		// The sentence of the same selector may be another by now: others that it counts have begun or ended.
		r.Misses = slices.DeleteFunc(r.Misses, func(m Miss) bool {
			return !slices.ContainsFunc(found.Misses, func(again Miss) bool { return again.of == m.of })
		})
		targets = slices.DeleteFunc(found.Targets, func(t proc.Process) bool { return seen[life(t)] })
		changed := false
		others = nil
		for _, out := range s.round(j, targets) {
			if Gone(out.Err) {
				continue
			}
			if out.Settled && out.Report.ActiveThreads == 0 {
				others = append(others, out)
				continue
			}
			r.Outcomes, changed = append(r.Outcomes, out), changed || hasChanged(out)
		}
		if !changed {
			return nil
		}
	}
	r.Unseen = append(r.Unseen, fmt.Errorf("processes fork faster than they are patched: each of %d looks found new ones; try again when they fork less", s.limits.Rounds))
	return nil
}

// hasChanged tells whether something was done to a process that its children inherit.
func hasChanged(o Outcome) bool {
	var stays *Stays
	return o.Err == nil || errors.As(o.Err, &stays)
}

// life is what does not change of a process while it lives.
func life(t proc.Process) proc.Process { return proc.Process{PID: t.PID, StartTime: t.StartTime} }
