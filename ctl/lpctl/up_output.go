// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
	"fmt"
	"sync"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/names"
	"lpatch/pkg/progress"
)

// upJSON is what up did to a process, or would do, as --json prints it.
type upJSON struct {
	Verb    string `json:"verb"` // check, apply or revert
	Service string `json:"service"`
	targetJSON
	Replaced []string `json:"replaced"` // patches in the place of which this one was applied
}

// upEntryJSON is a boot entry that up made, or could not make.
type upEntryJSON struct {
	Entry      string     `json:"entry"` // the patch
	Kept       bool       `json:"kept"`
	Registered bool       `json:"registered"` // it is applied to what starts from now on
	Replaced   []string   `json:"replaced"`   // entries in the place of which it was registered
	Error      *errorJSON `json:"error"`
}

func newUpJSON(verb apply.Verb, service string, o apply.Outcome) upJSON {
	return upJSON{Verb: string(verb), Service: service, targetJSON: newTargetJSON(o.Report, o.Err), Replaced: append([]string{}, o.Replaced...)}
}

// object prints an object, if objects are wanted.
func (u *upRun) object(v any) {
	if u.c.Bool("json") {
		u.lost = cmp.Or(u.lost, printJSON(u.c.Writer, v))
	}
}

// tell says what came of a step: a line for the service, or an object for each process. One that has ended is none any more.
func (u *upRun) tell(verb apply.Verb, s *apply.Step) {
	done, failed := 0, 0
	for _, o := range s.Outcomes {
		if apply.Gone(o.Err) {
			continue
		}
		u.all = append(u.all, statusOfOutcome(o))
		object := newUpJSON(verb, s.Service, o)
		object.About = s.Patch.Spec.About
		u.object(object)
		switch {
		case o.Err == nil || o.Settled:
			done++
			u.changed = u.changed || o.Err == nil && verb == lpnl.VerbApply
		default:
			failed++
			complain(u.c.ErrWriter, o)
		}
		if o.Note != "" && !u.c.Bool("quiet") {
			fmt.Fprintf(u.c.ErrWriter, "lpctl: note: %v: %s\n", o.Process, o.Note)
		}
	}
	what := "applied to"
	if verb == lpnl.VerbCheck {
		what = "would be applied to"
		if len(s.Outcomes) == 0 { // it is built upon others
			done = len(s.Targets)
			u.tellUnasked(s)
		}
	}
	if u.c.Bool("quiet") || u.c.Bool("json") {
		return
	}
	text := fmt.Sprintf("%s: %s %s %s", names.Visible(s.Service), s.Patch.Spec.Name, what, plurals(done, "process", "processes"))
	if failed > 0 {
		text += fmt.Sprintf(", not to %d", failed)
	}
	_ = printLine(u.c.Writer, "%s", text)
}

// tellUnasked prints an object for each target of a step of which the kernel was not asked.
func (u *upRun) tellUnasked(s *apply.Step) {
	for _, t := range s.Targets {
		o := newUpJSON(lpnl.VerbCheck, s.Service, apply.Outcome{Report: lpnl.Report{Patch: s.Patch.Spec.Name, PID: t.PID, Comm: t.Comm}})
		o.State, o.About = "", s.Patch.Spec.About
		o.Note = "the kernel was not asked: the patch is built upon others, which are applied before it"
		u.object(o)
	}
}

// tellEntry prints an object for a boot entry that was made, or that should have been.
func (u *upRun) tellEntry(p *apply.ScanPatch, b *bootRun, err error) {
	out := upEntryJSON{Entry: p.Spec.Name, Kept: b.added, Registered: b.active, Replaced: append([]string{}, b.replaced...)}
	if err != nil {
		out.Error = &errorJSON{Code: code(err), Message: err.Error()}
	}
	u.object(out)
}

// conclude says what there is now.
func (u *upRun) conclude(after *apply.Scan) error {
	u.all = append(u.all, reportScan(u.c, after)...)
	n := newScanNumbers(after, len(u.patches), true)
	if u.c.Bool("json") {
		for _, err := range after.Unseen {
			u.object(newUpJSON("", "", apply.Outcome{Err: unseenError{err}}))
		}
		u.object(scanSummaryJSON{n})
		return u.lost
	}
	if u.c.Bool("quiet") {
		return nil
	}
	return printLine(u.c.Writer, "%s", scanNeeds(n))
}

// askedKernel is a kernel that keeps in mind about which processes it was asked.
type askedKernel struct {
	kernel
	mu   sync.Mutex
	pids map[int]bool // nil: nobody wants to know
}

// Op asks the kernel to carry out a verb.
func (k *askedKernel) Op(verb lpnl.Verb, hash lpnl.Hash, t lpnl.Target, o lpnl.Options) (lpnl.Report, error) {
	k.mu.Lock()
	if k.pids != nil {
		k.pids[t.PID] = true
	}
	k.mu.Unlock()
	return k.kernel.Op(verb, hash, t, o)
}

// asking shows on a terminal, until it is stopped, about how many processes of a plan the kernel was asked from now on.
func (u *upRun) asking(doing string, p *apply.Plan) *progress.Line {
	targets := map[int]bool{}
	for _, s := range p.Steps {
		for _, t := range s.Targets {
			targets[t.PID] = true
		}
	}
	k := u.kernel
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pids = map[int]bool{}
	return u.progress.Line(func() string {
		k.mu.Lock()
		defer k.mu.Unlock()
		return doing + " " + progress.Bar(len(k.pids), len(targets), "processes")
	})
}

func looking() string { return "looking at processes" }
