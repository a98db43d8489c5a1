package apply

import (
	"errors"
	"fmt"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
)

// maxRounds is how often RunSelected looks for processes that were forked meanwhile. A child of a process that is done
// inherits what was done to it, so one more round than the longest chain of forks that were under way is enough.
const maxRounds = 100

// group tells whether a selection can have more processes a moment later.
func (sel Selection) group() bool {
	return sel.Exe != "" || sel.Unit != "" || sel.Cgroup != "" || sel.All
}

// RunSelected carries out a verb on all processes that are selected. Those may fork meanwhile: a child that was forked
// before its parent's turn has the parent's old state. So it looks again until a look that began after the last change
// finds nobody for whom there is anything to do.
func (s *Session) RunSelected(verb Verb, p Patch, sel Selection, o lpnl.Options) ([]Outcome, error) {
	targets, list, err := s.Targets(sel, p)
	if err != nil {
		return nil, err
	}
	list = append(list, s.Run(verb, p, targets, o)...)
	if verb == lpnl.VerbCheck || !sel.group() {
		return list, nil
	}
	seen := map[proc.Process]bool{}
	for range maxRounds {
		var more []proc.Process
		for _, t := range targets {
			seen[life(t)] = true
		}
		if targets, _, err = s.Targets(sel, p); err != nil {
			return list, err
		}
		for _, t := range targets {
			if !seen[life(t)] {
				more = append(more, t)
			}
		}
		changed := false
		for _, out := range s.Run(verb, p, more, o) {
			done := settled(verb, out.Err)
			if Gone(out.Err) || done && out.Report.ActiveThreads == 0 {
				continue
			}
			list, changed = append(list, out), changed || !done
		}
		if !changed {
			return list, nil
		}
	}
	return list, fmt.Errorf("processes are forked faster than they are dealt with; %d looks found new ones each time", maxRounds)
}

// life is what does not change of a process while it lives.
func life(t proc.Process) proc.Process { return proc.Process{PID: t.PID, StartTime: t.StartTime} }

// settled tells whether a process was refused because it is in the state that the verb leads to.
func settled(verb Verb, err error) bool {
	var refused *lpnl.Refused
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Report.Refusal {
	case lpnl.RefusalAlready:
		return true
	case lpnl.RefusalNotApplied:
		return verb == lpnl.VerbRestore
	case lpnl.RefusalNotLoaded:
		return verb == lpnl.VerbRestore || verb == lpnl.VerbUnload || verb == Revert
	}
	return false
}
