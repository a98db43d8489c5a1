// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
)

// attempt is one job on one target. The fields below the view are filled in by prepare.
type attempt struct {
	session *Session
	job
	view   *view
	spec   *patch.Spec  // of the patch, or nil
	hash   lpnl.Hash    // the kernel's name of it
	lone   string       // the one function of the patch, if calls of it that are under way may finish in the old code
	others []superseded // the patches that an apply takes the place of
	mapped []layer      // of a target in which patches are replaced
	blind  error        // why it is not known what those are
}

func (s *Session) attempt(j job, v *view) *attempt { return &attempt{session: s, job: j, view: v} }

// run does the job. Where the snapshot is out of date, the error is errStale or one of the kernel; see lost.
func (a *attempt) run() Outcome {
	if err := a.prepare(); err != nil {
		return Outcome{Err: err}
	}
	out := a.do()
	out.unclip(a.spec)
	return out
}

// prepare finds out what the job needs, and refuses what need not be asked of the kernel.
func (a *attempt) prepare() error {
	for _, step := range []func() error{a.checkUpon, a.resolve, a.findSpec, a.checkBase, a.findNamed, a.findMapped} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// resolve finds the kernel's name of the patch for the target, after it has seen to it that the kernel has the patch.
func (a *attempt) resolve() error {
	f := a.patch.File
	if f == nil {
		return a.findLoaded()
	}
	s := a.session
	images, err := s.match(f.Spec, a.view)
	if err != nil {
		return err
	}
	object, err := s.object(f, a.view.PID, images)
	if err != nil {
		return err
	}
	defer object.close()
	a.hash = object.patch.Hash
	if s.transferred[a.hash] {
		return nil
	}
	tables(&object.patch, f.Spec)
	err = s.kernel.Transfer(&object.patch)
	s.transferred[a.hash] = err == nil
	return err
}

// findLoaded finds the one patch of that name in the target. The kernel refuses to take out what is not there any more; but what is
// to be applied, it would load again.
func (a *attempt) findLoaded() error {
	found, err := a.session.named(a.view, a.patch.Name)
	if err != nil {
		return err
	}
	switch len(found) {
	case 1:
		a.hash = found[0].Hash
		if !takesOut(a.verb) {
			_, err = a.session.stateNow(a.view, found[0])
		}
		return err
	case 0:
		return notLoaded(a.patch.Name, a.view.Process)
	}
	return fmt.Errorf("%v has %d patches named %q; say which one by its file", a.view, len(found), a.patch.Name)
}

func notLoaded(name string, t proc.Process) error {
	return lacking(name, t, "%v has no patch %q loaded; give the patch file, or see \"lpctl status\"")
}

// file is that of the patch, or what the target has mapped of it, or nil.
func (a *attempt) file() *PatchFile {
	if a.patch.File != nil {
		return a.patch.File
	}
	found, _ := a.session.named(a.view, a.patch.Name)
	for _, r := range found {
		if f, err := a.session.fileAt(a.view, r.MappedAt); err == nil {
			return f
		}
	}
	return nil
}

// findSpec finds the descriptor of the patch, and with it the functions that may be active.
func (a *attempt) findSpec() (err error) {
	if f := a.file(); f != nil {
		a.spec = f.Spec
	}
	a.lone = lone(a.spec)
	a.options.AllowActive, err = allowable(a.spec, a.patch, a.options.AllowActive)
	return err
}

// findNamed adds patches that are to go, by the kernel's names of them, to those that are known to.
func (a *attempt) findNamed() error {
	wanted := a.options.Supersede
	if len(wanted) == 0 {
		return nil
	}
	now, err := a.session.snapshot()
	if err != nil {
		return err
	}
	for _, r := range now.of[a.view.PID] {
		if slices.Contains(wanted, r.Hash) && !slices.ContainsFunc(a.others, func(s superseded) bool { return s.report.Hash == r.Hash }) {
			a.others = append(a.others, superseded{layer: layer{report: r}})
		}
	}
	return nil
}

// findMapped finds out what the target has mapped, if patches go.
func (a *attempt) findMapped() error {
	if a.verb == lpnl.VerbApply && (len(a.others) > 0 || a.options.Replace) {
		if a.mapped, a.blind = a.session.layers(a.view); errors.Is(a.blind, errStale) {
			return errStale
		}
	}
	return nil
}

// do has the kernel do it.
func (a *attempt) do() Outcome {
	switch {
	case len(a.others) > 0:
		return a.supersede()
	case a.verb == Revert:
		return a.revert()
	case a.verb == lpnl.VerbApply && a.options.Replace:
		before, err := a.session.applied(a.view, a.hash)
		if err != nil {
			return Outcome{Err: err}
		}
		return a.replace(before, a.options)
	}
	return a.op(a.verb, a.options)
}

// finishing is the note of an operation after which there are threads in code from before.
const finishing = "calls that were under way finish in the code that they began in, or never leave it; \"lpctl status\" tells how many are left"

// op does one of the kernel's verbs. Where the patch is in the wanted state already, but somebody was still in code from
// before, it finds out who is there now.
func (a *attempt) op(verb lpnl.Verb, o lpnl.Options) Outcome {
	out := a.quiescent(verb, o)
	switch {
	case out.Report.ActiveThreads == 0 || verb == lpnl.VerbCheck:
	case out.Err == nil:
		out.Note = finishing
	case settled(verb, out.Err):
		if again, err := a.session.count(a.view.Process, a.hash); err == nil {
			copyActive(&out.Report, again)
		}
	}
	return out
}

// quiescentTry is how long a patch of one function waits for a moment in which no thread seems to be in it: long enough
// for calls that are short. A return address that an earlier call left on the stack of a sleeping thread stays there.
const quiescentTry = 100 * time.Millisecond

// quiescent does a verb. Quiescence keeps new code from meeting old code that it does not fit. Where a patch replaces a single
// function, and nothing else, there is no such meeting: a call that is under way is a call from before the patch. So if
// the function does not become quiescent soon, it is allowed to be active, and the outcome says who is in it.
func (a *attempt) quiescent(verb lpnl.Verb, o lpnl.Options) Outcome {
	if a.lone == "" || o.Replace || verb == lpnl.VerbUnload || verb == lpnl.VerbLoad || slices.Contains(o.AllowActive, a.lone) {
		return a.ask(verb, a.hash, o)
	}
	first := o
	first.Timeout = min(o.Timeout, quiescentTry)
	out := a.ask(verb, a.hash, first)
	if RefusalCode(out.Err) != lpnl.RefusalThreadActive {
		return out
	}
	o.AllowActive = append(slices.Clone(o.AllowActive), a.lone)
	o.Timeout -= first.Timeout
	again := a.ask(verb, a.hash, o)
	again.Report.Attempts += out.Report.Attempts
	return again
}

// ask asks the kernel for a verb with a patch.
func (a *attempt) ask(verb lpnl.Verb, hash lpnl.Hash, o lpnl.Options) Outcome {
	r, err := a.session.kernel.Op(verb, hash, targetOf(a.view.Process), o)
	return Outcome{Report: r, Err: err}
}

// targetOf is a process as the kernel is told.
func targetOf(t proc.Process) lpnl.Target { return lpnl.Target{PID: t.PID, StartTime: t.StartTime} }

// unclip gives an outcome the names of a patch back that were clipped for the kernel.
func (o *Outcome) unclip(spec *patch.Spec) {
	full := unclip(spec)
	o.Report.Message, o.Report.Function, o.Note = full.Replace(o.Report.Message), full.Replace(o.Report.Function), full.Replace(o.Note)
	cause := o.Err
	var stays *Stays
	if errors.As(cause, &stays) {
		cause = stays.Cause
	}
	var refused *lpnl.Refused
	if errors.As(cause, &refused) {
		refused.Report.Message, refused.Report.Function = full.Replace(refused.Report.Message), full.Replace(refused.Report.Function)
	}
}
