// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
)

// Selection says which processes are meant.
type Selection struct {
	PIDs   []int    // of processes or of threads in them
	Exe    []string // program files: all processes that run one of them
	Unit   []string // systemd units: all their processes
	Cgroup []string // control groups: all processes in them and below
	All    bool     // every process that maps a file which the patch changes, or that has the patch by that name
}

// Empty tells whether nothing was selected.
func (sel Selection) Empty() bool { return len(sel.PIDs) == 0 && !sel.group() }

// group tells whether a selection can have more processes a moment later.
func (sel Selection) group() bool { return len(sel.Exe)+len(sel.Unit)+len(sel.Cgroup) > 0 || sel.All }

// Miss is a part of a selection that has no target.
type Miss struct {
	Kind    MissKind
	Message string // a sentence
	of      string // the selector that has missed
}

// MissKind is what follows from a Miss.
type MissKind int

// Kinds of a Miss.
const (
	MissNone    MissKind = iota // there is no such process
	MissSettled                 // none of its processes has the patch that is to be taken out of them
	MissUnseen                  // none is known, but there are processes that could not be looked at
)

// Found is what a selection comes to.
type Found struct {
	Targets []proc.Process // each once
	Failed  []Outcome      // what keeps us from those that were named by pid
	Misses  []Miss
	Unseen  []error         // what kept us from processes of which it is not known whether they are meant
	named   map[int]bool    // pids of Targets that were named
	pids    map[int]bool    // of all Targets
	unseen  map[string]bool // texts of Unseen
}

// selector is a part of a selection that matches any number of processes.
type selector struct {
	option string
	does   string // what one of them does: "runs /usr/bin/x"
	find   func() (list []proc.Process, unseen []error, err error)
	narrow bool // of those only the ones that the patch concerns
}

// Find returns what a selection comes to, for a verb with a patch. Of a program, a unit or a control group it takes only
// the processes that the patch concerns; see concerned. Without a patch it takes all. A process that cannot be looked at is
// left out, for a security module may hide single ones even from root, and is among Unseen; where nobody else is found, the
// Miss tells of the first.
func (s *Session) Find(verb Verb, sel Selection, p PatchRef) (*Found, error) {
	f := &Found{named: map[int]bool{}, pids: map[int]bool{}, unseen: map[string]bool{}}
	for _, pid := range sel.PIDs {
		t, err := s.proc.Process(pid)
		if err != nil {
			r := lpnl.Report{Patch: p.Name, PID: pid, Comm: t.Comm}
			f.Failed = append(f.Failed, Outcome{Process: t, Report: r, Err: err})
			continue
		}
		f.named[t.PID] = true
		f.add(t)
	}
	s.seen = nil
	if sel.group() && p != (PatchRef{}) {
		// Who may not patch is told so, not that there is nothing to patch.
		if err := s.look(); err != nil {
			return nil, err
		}
	}
	for _, by := range s.selectors(verb, sel, p) {
		list, unseen, err := by.find()
		if errors.Is(err, fs.ErrNotExist) { // the program: a selector of another kind finds nobody
			f.miss(by, MissNone, fmt.Sprintf("there is no file %s", strings.TrimPrefix(by.does, "runs ")))
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", by.option, err)
		}
		if err := s.take(f, by, verb, p, list, unseen); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// add takes up processes that are not there yet.
func (f *Found) add(list ...proc.Process) {
	for _, t := range list {
		if !f.pids[t.PID] {
			f.Targets, f.pids[t.PID] = append(f.Targets, t), true
		}
	}
}

func (s *Session) selectors(verb Verb, sel Selection, p PatchRef) []selector {
	var list []selector
	for _, by := range []struct {
		option, does string
		names        []string
		find         func(string) ([]proc.Process, []error, error)
	}{
		{"--exe", "runs ", sel.Exe, s.proc.ByExe},
		{"--unit", "belongs to the unit ", sel.Unit, s.proc.ByUnit},
		{"--cgroup", "is in the control group ", sel.Cgroup, s.proc.ByCgroup},
	} {
		for _, name := range by.names {
			find := func() ([]proc.Process, []error, error) { return by.find(name) }
			list = append(list, selector{by.option, by.does + name, find, p != PatchRef{}})
		}
	}
	if sel.All {
		list = append(list, selector{"--all", needed(p), func() ([]proc.Process, []error, error) { return s.all(verb, p) }, false})
	}
	return list
}

// needed is what a process does that a patch concerns.
func needed(p PatchRef) string {
	if p.File == nil {
		return fmt.Sprintf("has a patch %q loaded", p.Name)
	}
	var files []string
	for _, image := range changed(p.File.Spec) {
		files = append(files, fmt.Sprintf("%s (%s)", label(image), describe(image.BuildID, image.SHA256)))
	}
	return fmt.Sprintf("maps %s, which the patch changes", strings.Join(files, " or "))
}

// take adds what a selector has found, or says what it has missed.
func (s *Session) take(f *Found, by selector, verb Verb, p PatchRef, list []proc.Process, unseen []error) error {
	kept, kind, none := list, MissNone, "no process "+by.does
	if by.narrow && len(list) > 0 {
		var ended int
		var err error
		if kept, ended, err = s.concerned(verb, p, list); err != nil {
			return err
		}
		if ended < len(list) {
			none = fmt.Sprintf("no process that %s %s", by.does, needed(p))
			known, err := s.anywhere(p.Name)
			switch {
			case err != nil:
				return err
			case p.File != nil:
			case !known:
				unseen = nil // the kernel sees all
			case takesOut(verb):
				kind = MissSettled
			}
		}
	}
	f.add(kept...)
	if len(kept) > 0 {
		f.unsee(unseen)
		return nil
	}
	if n := len(unseen); n > 0 {
		kind, none = MissUnseen, fmt.Sprintf("%s, as far as can be seen; of %d it is not known: %v", none, n, unseen[0])
		f.unsee(unseen[1:])
	}
	f.miss(by, kind, none)
	return nil
}

// unsee adds who could not be looked at. Several selectors may have met the same.
func (f *Found) unsee(list []error) {
	for _, err := range list {
		if text := err.Error(); !f.unseen[text] {
			f.Unseen, f.unseen[text] = append(f.Unseen, err), true
		}
	}
}

// miss adds that a selector has found nobody.
func (f *Found) miss(by selector, kind MissKind, message string) {
	f.Misses = append(f.Misses, Miss{kind, message, by.option + " " + by.does})
}

// concerned returns those processes that a patch concerns, and how many ended meanwhile. A patch file concerns a process
// that maps what it changes, in whatever version, and one that cannot be looked at: the reason why such a one cannot be
// patched is an answer, its absence would be none. A name concerns those that have the patch; where one of the list has
// it, also those that map what it changes, unless it is to be taken out.
func (s *Session) concerned(verb Verb, p PatchRef, list []proc.Process) (kept []proc.Process, ended int, err error) {
	var spec *patch.Spec
	has := map[int]bool{}
	if p.File == nil || takesOut(verb) {
		having, err := s.having(p.Name)
		if err != nil {
			return nil, 0, err
		}
		for _, t := range having {
			has[t.PID] = true
		}
	}
	if p.File != nil {
		spec = p.File.Spec
	} else if !takesOut(verb) {
		spec = s.mappedSpec(p.Name, slices.DeleteFunc(slices.Clone(list), func(t proc.Process) bool { return !has[t.PID] }))
	}
	maps, errs := make([]bool, len(list)), make([]error, len(list))
	proc.Each(len(list), func(i int) { maps[i], errs[i] = s.mapsChanged(spec, list[i], false) })
	for i, t := range list {
		switch err := errs[i]; {
		case has[t.PID] || maps[i] || err != nil && !Gone(err):
			kept = append(kept, t)
		case err != nil:
			ended++
		}
	}
	return kept, ended, nil
}

// mappedSpec is the descriptor of a patch that processes have, by one that still maps what was applied: the owner of a process may
// have it map another patch there, and has no say in what others need. It is nil if there is none.
func (s *Session) mappedSpec(name string, having []proc.Process) *patch.Spec {
	var status []lpnl.Report
	for _, t := range having {
		found, _ := s.named(s.view(t), name)
		status = append(status, found...)
	}
	told := NewAbouts(s.proc)
	told.Learn(status)
	for _, r := range status {
		if f := told.known[r.Hash]; f != nil {
			return f.Spec
		}
	}
	return nil
}

// mapsChanged tells whether a process maps a file that a patch changes; not exactly: or another version of one.
func (s *Session) mapsChanged(spec *patch.Spec, t proc.Process, exactly bool) (bool, error) {
	if spec == nil {
		return false, nil
	}
	v := s.view(t)
	list, err := v.files()
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(changed(spec), func(image *patch.Image) bool {
		return s.find(image, v, list) != nil || !exactly && alike(image, list) != nil
	}) {
		return true, nil
	}
	return false, unread(t, list)
}

// changed returns the images that a patch changes; it refers to the others only.
func changed(spec *patch.Spec) []*patch.Image {
	var list []*patch.Image
	for i := range spec.Images {
		if slices.ContainsFunc(spec.Sites, func(site patch.Site) bool { return site.Image == i }) {
			list = append(list, &spec.Images[i])
		}
	}
	return list
}

// all returns the processes that map a file which the patch changes, or that have a patch of that name. Of a file that is
// to be taken out it returns both: a process may have unmapped what was changed.
func (s *Session) all(verb Verb, p PatchRef) (list []proc.Process, unseen []error, err error) {
	having, err := s.having(p.Name)
	if err != nil || p.File == nil {
		return having, nil, err
	}
	list, unseen, err = s.proc.Select(func(t proc.Process) (bool, error) { return s.mapsChanged(p.File.Spec, t, true) })
	if takesOut(verb) {
		list, unseen = append(list, having...), nil // who has the patch, the kernel knows
	}
	return list, unseen, err
}

// anywhere tells whether any process has a patch of that name loaded. A name that none has may be mistyped, and then nobody
// knows whether there is nothing to do.
func (s *Session) anywhere(name string) (bool, error) {
	now, err := s.snapshot()
	return err == nil && len(withName(now.all, name)) > 0, err
}

// having returns the processes that have a patch of that name loaded.
func (s *Session) having(name string) ([]proc.Process, error) {
	now, err := s.snapshot()
	if err != nil {
		return nil, err
	}
	var list []proc.Process
	for _, r := range withName(now.all, name) {
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
