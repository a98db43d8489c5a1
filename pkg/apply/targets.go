package apply

import (
	"fmt"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
)

// Selection says which processes are meant.
type Selection struct {
	PIDs []int  // of processes or of threads in them
	Exe  string // a program file: all processes that run it
	Unit string // a systemd unit: all its processes
	// Cgroup is a control group: all processes in it and below.
	Cgroup string
	All    bool // every process that maps the patch's images, or has the patch by that name
}

// Empty tells whether nothing was selected.
func (s Selection) Empty() bool {
	return len(s.PIDs) == 0 && s.Exe == "" && s.Unit == "" && s.Cgroup == "" && !s.All
}

// Targets returns the selected processes, each once, and what keeps us from those that were named by pid.
func (s *Session) Targets(sel Selection, p Patch) ([]proc.Process, []Outcome, error) {
	var failed []Outcome
	var list []proc.Process
	seen := map[int]bool{}
	add := func(more ...proc.Process) {
		for _, t := range more {
			if !seen[t.PID] {
				seen[t.PID] = true
				list = append(list, t)
			}
		}
	}
	for _, pid := range sel.PIDs {
		t, err := s.proc.Process(pid)
		if err != nil {
			r := lpnl.Report{Patch: p.Name, PID: pid, Comm: t.Comm}
			failed = append(failed, Outcome{Process: t, Report: r, Err: err})
			continue
		}
		add(t)
	}
	for _, by := range []struct {
		option string
		name   string
		find   func(string) ([]proc.Process, error)
	}{{"--exe", sel.Exe, s.proc.ByExe}, {"--unit", sel.Unit, s.proc.ByUnit}, {"--cgroup", sel.Cgroup, s.proc.ByCgroup}} {
		if by.name == "" {
			continue
		}
		some, err := by.find(by.name)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", by.option, err)
		}
		add(some...)
	}
	if sel.All {
		some, err := s.all(p)
		if err != nil {
			return nil, nil, err
		}
		add(some...)
	}
	return list, failed, nil
}

// all returns the processes that map all images of the patch. Those that cannot be looked at are left out: a security
// module may hide single processes even from root.
func (s *Session) all(p Patch) ([]proc.Process, error) {
	if p.File == nil {
		return s.having(p.Name)
	}
	// Who may not patch is told so, not that there is nothing to patch.
	if _, err := s.kernel.Status(); err != nil {
		return nil, err
	}
	every, err := s.proc.Processes()
	if err != nil {
		return nil, err
	}
	var list []proc.Process
	for _, t := range every {
		if _, err := s.match(p.File.Spec, t); err == nil {
			list = append(list, t)
		}
	}
	return list, nil
}

// having returns the processes that have a patch of that name loaded.
func (s *Session) having(name string) ([]proc.Process, error) {
	all, err := s.kernel.Status()
	if err != nil {
		return nil, err
	}
	var list []proc.Process
	for _, r := range all {
		if r.Patch != name {
			continue
		}
		t, err := s.proc.Process(r.PID)
		if Gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}
