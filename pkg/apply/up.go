// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lpatch/pkg/boot"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
)

// Plan is what there is to do to bring processes in line with patches.
type Plan struct {
	Scan    *Scan
	Steps   []*Step // in the order in which they are to be done
	session *Session
	sel     Selection
}

// Step is one patch that processes of one service lack.
type Step struct {
	Service  string
	Patch    *ScanPatch
	Targets  []proc.Process
	Outcomes []Outcome // of the targets, once the step was tried
}

// Plan scans processes, and says which patches they lack that can be applied. A patch that is built upon others comes after those.
func (s *Session) Plan(patches []*ScanPatch, sel Selection, required bool) (*Plan, error) {
	found, err := s.Scan(patches, sel, required)
	if err != nil {
		return nil, err
	}
	type key struct {
		service string
		patch   *ScanPatch
	}
	p := &Plan{Scan: found, session: s, sel: sel}
	steps := map[key]*Step{}
	for i := range found.Findings {
		f := &found.Findings[i]
		if !f.fits {
			continue
		}
		k := key{f.Service, f.patch}
		if steps[k] == nil {
			steps[k] = &Step{Service: f.Service, Patch: f.patch}
			p.Steps = append(p.Steps, steps[k])
		}
		steps[k].Targets = append(steps[k].Targets, f.Process)
	}
	rank := ranks(p.Steps)
	slices.SortStableFunc(p.Steps, func(a, b *Step) int {
		return cmp.Or(rank[a.Patch]-rank[b.Patch], strings.Compare(a.Patch.Spec.Name, b.Patch.Spec.Name), strings.Compare(a.Service, b.Service))
	})
	return p, nil
}

// ranks number patches so that each has more than those that it is built upon.
func ranks(steps []*Step) map[*ScanPatch]int {
	var patches []*ScanPatch
	for _, s := range steps {
		if !slices.Contains(patches, s.Patch) {
			patches = append(patches, s.Patch)
		}
	}
	of := map[*ScanPatch]int{}
	for i, height := range heights(len(patches), func(i, j int) bool { return patches[i].Spec.IsUpon(patches[j].buildID) }) {
		of[patches[i]] = height
	}
	return of
}

// Concerns tells whether a process of a service has what a patch is for.
func (p *Plan) Concerns(service string) bool {
	return slices.ContainsFunc(p.Scan.Findings, func(f Finding) bool { return f.Service == service })
}

// Split takes the steps of one service out of the plan.
func (p *Plan) Split(service string) *Plan {
	out := &Plan{Scan: p.Scan, session: p.session, sel: p.sel}
	p.Steps = slices.DeleteFunc(p.Steps, func(s *Step) bool {
		if s.Service == service {
			out.Steps = append(out.Steps, s)
		}
		return s.Service == service
	})
	return out
}

// Check has the kernel say what would come of the steps, and changes nothing. Of one that is built upon others it cannot tell before
// those are applied.
func (p *Plan) Check(o lpnl.Options) {
	p.session.seen = nil
	for _, s := range p.Steps {
		if len(s.Patch.Spec.Upon) == 0 {
			s.Outcomes = p.session.runStep(lpnl.VerbCheck, s, s.Targets, o)
		}
	}
}

// Apply does the steps, but for targets of which a check has said that they are refused for a reason that does not pass. told gets each
// step when it is done.
func (p *Plan) Apply(o lpnl.Options, told func(*Step)) {
	p.session.seen = nil
	for _, s := range p.Steps {
		s.Outcomes = p.session.apply(s, o)
		told(s)
	}
}

func (s *Session) apply(step *Step, o lpnl.Options) []Outcome {
	var out []Outcome
	todo := step.Targets
	if len(step.Outcomes) > 0 {
		todo = nil
		for _, checked := range step.Outcomes {
			if lasts(checked.Err) {
				out = append(out, checked)
			} else {
				todo = append(todo, checked.Process)
			}
		}
	}
	if len(todo) == 0 {
		return out
	}
	return append(out, s.runStep(lpnl.VerbApply, step, todo, o)...)
}

// lasts tells whether a refusal is one that trying again does not change.
func lasts(err error) bool {
	switch RefusalCode(err) {
	case lpnl.RefusalNone, lpnl.RefusalThreadActive, lpnl.RefusalThreadRunning, lpnl.RefusalThreadSignalStack, lpnl.RefusalStackUnreadable, lpnl.RefusalDeadline,
		lpnl.RefusalAlready, lpnl.RefusalSiteUnreadable:
		return false
	}
	return true
}

// Revert takes off again what the steps have applied, the last one first, also from processes of their service that were forked
// meanwhile and have it from their parents. What that was applied in place of stays off, and is named. The error is that it is not
// known who was forked.
func (p *Plan) Revert(o lpnl.Options) (out []Outcome, replaced []string, err error) {
	for range maxPasses {
		children, err := p.inherited()
		if err != nil {
			return out, replaced, err
		}
		n := len(out)
		p.session.seen = nil
		for _, s := range slices.Backward(p.Steps) {
			todo := children[s]
			for _, applied := range s.Outcomes {
				if applied.Err == nil && n == 0 {
					todo = append(todo, applied.Process)
					replaced = append(replaced, applied.Replaced...)
				}
			}
			if len(todo) > 0 {
				out = append(out, p.session.runStep(Revert, s, todo, o)...)
			}
		}
		if len(out) == n {
			break
		}
	}
	slices.Sort(replaced)
	return out, slices.Compact(replaced), nil
}

// inherited are the processes that have the patch of a step, and are neither its targets nor had it before.
func (p *Plan) inherited() (map[*Step][]proc.Process, error) {
	var patches []*ScanPatch
	for _, s := range p.Steps {
		patches = append(patches, s.Patch)
	}
	now, err := p.session.Scan(patches, p.sel, false)
	if err != nil {
		return nil, err
	}
	out := map[*Step][]proc.Process{}
	for _, s := range p.Steps {
		for i := range now.Findings {
			f := &now.Findings[i]
			if f.patch == s.Patch && f.Service == s.Service && f.State == ScanPatched && f.Why == "" &&
				!slices.ContainsFunc(s.Targets, func(t proc.Process) bool { return life(t) == life(f.Process) }) && !p.had(s, f.Process) {
				out[s] = append(out[s], f.Process)
			}
		}
	}
	return out, nil
}

// had tells whether a process had the patch of a step before.
func (p *Plan) had(s *Step, t proc.Process) bool {
	return slices.ContainsFunc(p.Scan.Findings, func(f Finding) bool {
		return f.patch == s.Patch && f.State == ScanPatched && life(f.Process) == life(t)
	})
}

// runStep carries out a verb on targets with the patch of the step, which is opened for as long. It asks the kernel for no snapshot
// of its own: there may be as many steps as programs.
func (s *Session) runStep(verb Verb, step *Step, targets []proc.Process, o lpnl.Options) []Outcome {
	f, err := step.Patch.reopen()
	if err != nil {
		var out []Outcome
		for _, t := range targets {
			out = append(out, Outcome{Process: t, Report: lpnl.Report{Patch: step.Patch.Spec.Name, PID: t.PID, Comm: t.Comm}, Err: err})
		}
		return out
	}
	defer func() { _ = f.Close() }()
	return s.round(job{verb, PatchRef{File: f, Name: f.Spec.Name}, o}, targets)
}

// ErrKept is for a patch that has a boot entry already, or is that of one.
var ErrKept = errors.New("there is a boot entry of it already")

// ToKeep are the patches to make boot entries of: all but those in whose place another one of them is, that can have an entry.
func ToKeep(list []*ScanPatch) []*ScanPatch {
	over := precedence(len(list), func(i, j int) bool { return displaces(list[i].PatchFile, list[j].PatchFile) })
	var out []*ScanPatch
	for j, p := range list {
		replaced := false
		for i, by := range list {
			replaced = replaced || over(i, j) && covers(by.Spec, p.Spec) && Bootable(by.Spec) == nil
		}
		if !replaced {
			out = append(out, p)
		}
	}
	return out
}

// Keep passes a patch to add, which makes a boot entry of it, unless there is one of the same file. The entry is given what is asked
// for by one of that name.
func (p *ScanPatch) Keep(r boot.Registry, add func(*PatchFile, *boot.Entry) error) error {
	fresh := &boot.Entry{OnFailure: boot.Run, Boots: boot.DefaultBoots}
	entries, _ := r.List() // of what cannot be read lpctl boot list says so
	for _, e := range entries {
		if e.Name != p.Spec.Name {
			continue
		}
		fresh.OnFailure, fresh.Boots = e.OnFailure, e.Boots
		if kept, err := r.Patch(e); err == nil {
			f, err := OpenFile(kept)
			if err == nil {
				_ = f.Close()
				if f.sum == p.sum {
					return ErrKept
				}
			}
		}
	}
	f, err := p.reopen()
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return add(f, fresh)
}

// reopen opens the file again, which must be the same.
func (p *ScanPatch) reopen() (*PatchFile, error) {
	f, err := Open(p.file.Name())
	if err != nil {
		return nil, err
	}
	if f.sum != p.sum {
		_ = f.Close()
		return nil, fmt.Errorf("%s has changed since it was looked at; try again", p.file.Name())
	}
	return f, nil
}
