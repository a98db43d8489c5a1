// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"errors"
	"slices"
	"sync"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
)

// snapshot is what the kernel told of all targets at one moment. It tells of all or none, and takes the longer the more there
// are, so it is asked once per round. What changes after that shows in three ways: a target maps a patch that is not in the
// snapshot; the kernel refuses; and where it would not refuse, a recount, which asks of one patch in one target, says so.
type snapshot struct {
	all   []lpnl.Report
	of    map[int][]lpnl.Report // by pid
	files fileCache             // patches that targets have mapped, as far as they were read
}

// errStale is for what a snapshot has otherwise than the target is by now. With a view that is fresh it does not come.
var errStale = errors.New("the target has changed since it was looked at")

// look asks the kernel for a new snapshot.
func (s *Session) look() error {
	all, err := s.kernel.Status()
	if err != nil {
		return err
	}
	s.seen = &snapshot{all: all, of: map[int][]lpnl.Report{}}
	for _, r := range all {
		s.seen.of[r.PID] = append(s.seen.of[r.PID], r)
	}
	return nil
}

// snapshot returns that of this round.
func (s *Session) snapshot() (*snapshot, error) {
	if s.seen == nil {
		if err := s.look(); err != nil {
			return nil, err
		}
	}
	return s.seen, nil
}

// view is a target as it is looked at before an operation. What it maps is read when it is needed, and once; not if
// that took too long before.
type view struct {
	proc.Process
	*look
	maps  func() ([]proc.Mapping, error)
	files func() ([]candidate, error)
	fresh bool // the snapshot is not older than the view
}

func (s *Session) view(t proc.Process) *view {
	v := &view{Process: t, look: &look{past: s.pasts.get(t), limits: &s.limits, left: s.limits.Look}}
	v.maps = sync.OnceValues(func() ([]proc.Mapping, error) {
		if err := v.tooSlow(); err != nil {
			return nil, err
		}
		maps, err := s.proc.Maps(t.PID)
		return maps, v.note(err)
	})
	v.files = sync.OnceValues(func() ([]candidate, error) { return s.identified(v) })
	return v
}

// freshView is a view with a new snapshot.
func (s *Session) freshView(t proc.Process) (*view, error) {
	v := s.view(t)
	v.fresh = true
	return v, s.look()
}

// reports tells which patches a target has. One that maps a patch which is not in the snapshot, as a child does that was
// forked after it, takes a new one.
func (s *Session) reports(v *view) ([]lpnl.Report, error) {
	now, err := s.snapshot()
	if err != nil {
		return nil, err
	}
	if has := now.of[v.PID]; v.fresh || len(s.unaccounted(v, has)) == 0 {
		return has, nil
	}
	v.fresh = true
	if err := s.look(); err != nil {
		return nil, err
	}
	has := s.seen.of[v.PID]
	for _, c := range s.unaccounted(v, has) {
		if c.err != nil {
			s.strangers[c.file] = true
		}
	}
	return has, nil
}

// unaccounted are the patches that a target maps beside those that are reported, and files that might be one: what cannot be
// read, and was not found to be none. Of a target that cannot be looked at there are none.
func (s *Session) unaccounted(v *view, has []lpnl.Report) []candidate {
	list, _ := v.files()
	return slices.DeleteFunc(slices.Clone(list), func(c candidate) bool {
		return !c.mayBePatch() || c.err != nil && s.strangers[c.file] || slices.ContainsFunc(has, func(r lpnl.Report) bool {
			return c.mapping.Start-r.MappedAt < max(r.MappedBytes, 1)
		})
	})
}

// named are the patches of a name that a target has.
func (s *Session) named(v *view, name string) ([]lpnl.Report, error) {
	now, err := s.snapshot()
	if err != nil {
		return nil, err
	}
	if found := withName(now.of[v.PID], name); len(found) > 0 {
		return found, nil
	}
	has, err := s.reports(v)
	return withName(has, name), err
}

func withName(list []lpnl.Report, name string) []lpnl.Report {
	return slices.DeleteFunc(slices.Clone(list), func(r lpnl.Report) bool { return r.Patch != name })
}

// applied are the patches but for one that are applied to a target. Those that were may have been taken off since.
func (s *Session) applied(v *view, except lpnl.Hash) ([]lpnl.Report, error) {
	has, err := s.reports(v)
	if err != nil {
		return nil, err
	}
	var list []lpnl.Report
	for _, r := range has {
		state := r.State
		if !effective(state) || r.Hash == except { // another one may have its place by now
			if state, err = s.stateNow(v, r); err != nil {
				return nil, err
			}
		}
		if effective(state) && r.Hash != except {
			list = append(list, r)
		}
	}
	return list, nil
}

// stateNow tells in which state a patch of the snapshot is by now. Whether it has drifted only a snapshot tells.
func (s *Session) stateNow(v *view, r lpnl.Report) (lpnl.State, error) {
	if v.fresh {
		return r.State, nil
	}
	now, err := s.count(v.Process, r.Hash)
	switch {
	case err != nil && now.State == lpnl.StateNone: // else it is there, and only who is in it could not be counted
		return lpnl.StateNone, errStale
	case effective(now.State) && effective(r.State):
		return r.State, nil
	}
	return now.State, nil
}
