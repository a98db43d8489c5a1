// SPDX-License-Identifier: GPL-2.0

// Package apply is the transaction: it joins a patch file with the files that a running process maps, gives the kernel
// what it needs, and carries out a verb on one target after another. It is the only package that knows patches,
// processes and the kernel at once.
package apply

import (
	"errors"
	"fmt"
	"slices"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
)

// Verb is what a person asks for: the kernel's verbs, and Revert.
type Verb = lpnl.Verb

// Revert is restore and unload.
const Revert Verb = "revert"

// Kernel is what a Session needs of the kernel; *lpnl.Client is one.
type Kernel interface {
	Transfer(*lpnl.Patch) error
	Op(lpnl.Verb, lpnl.Hash, lpnl.Target, lpnl.Options) (lpnl.Report, error)
	Status() ([]lpnl.Report, error)
}

// Session carries out verbs. It remembers which files it has identified, which processes were too slow to be looked at, and
// which patches it has transferred, and what the kernel said of the targets in the round that is under way.
type Session struct {
	kernel      Kernel
	proc        proc.FS
	known       known
	pasts       pasts
	strangers   map[proc.FileID]bool // files that cannot be read, and are not among the kernel's patches
	transferred map[lpnl.Hash]bool   // the kernel keeps them while it has this client
	seen        *snapshot            // nil: to be taken when it is needed
}

// New returns a Session with a kernel and a mounted proc file system.
func New(k Kernel, fs proc.FS) *Session {
	return &Session{
		kernel: k, proc: fs, known: known{files: map[proc.FileID]identity{}}, pasts: pasts{of: map[proc.Process]*past{}},
		strangers: map[proc.FileID]bool{}, transferred: map[lpnl.Hash]bool{},
	}
}

// Outcome is what became of one target.
type Outcome struct {
	Process  proc.Process
	Report   lpnl.Report // complete if the kernel was asked, else which patch and process this is
	Err      error       // with a RefusalCode: refused, nothing changed
	Settled  bool        // of an Err: the process is already as the verb would leave it
	Note     string      // something to know of what was done, a sentence
	Replaced []string    // patches in the place of which one was applied, by name
}

// Failed tells whether the process is there, and not as the verb was to leave it.
func (o *Outcome) Failed() bool { return o.Err != nil && !o.Settled && !Gone(o.Err) }

// remarks are what is to be said of an operation besides the kernel's report.
type remarks struct {
	note     string
	replaced []string
}

// Patch names a patch: by File, or by the name under which targets have it loaded.
type Patch struct {
	File *File // nil: by name
	Name string
}

// Run carries out a verb on each target in turn; a failure does not keep it from the next one.
func (s *Session) Run(verb Verb, p Patch, targets []proc.Process, o lpnl.Options) []Outcome {
	s.seen = nil
	return s.round(verb, p, targets, o)
}

// round is Run with the snapshot that there is.
func (s *Session) round(verb Verb, p Patch, targets []proc.Process, o lpnl.Options) []Outcome {
	var list []Outcome
	if len(targets) > 1 { // who keeps us from his mappings does so beside others, and not again at his turn
		first := slices.DeleteFunc(slices.Clone(targets), func(t proc.Process) bool { return s.pasts.get(t).wasSeen() })
		proc.Each(len(first), func(i int) { _, _ = s.view(first[i]).files() })
	}
	for _, t := range targets {
		list = append(list, s.one(verb, p, t, o))
	}
	return list
}

// one carries out a verb on one process.
func (s *Session) one(verb Verb, p Patch, t proc.Process, o lpnl.Options) Outcome {
	r, say, err := s.run(verb, p, t, o)
	settled, err := s.settle(verb, p, t, r.Hash, err)
	if r.PID == 0 {
		r.PID, r.Comm, r.Patch = t.PID, t.Comm, p.Name
	}
	return Outcome{Process: t, Report: r, Err: err, Settled: settled, Note: say.note, Replaced: say.replaced}
}

// run holds on to the process from before it is looked at to after the kernel is done with it: the kernel is told pid and
// start time, and no other process can have had the pid in between if it is still alive.
func (s *Session) run(verb Verb, p Patch, t proc.Process, o lpnl.Options) (lpnl.Report, remarks, error) {
	held, err := s.proc.Hold(t)
	if err != nil {
		return lpnl.Report{}, remarks{}, err
	}
	defer held.Close()
	r, say, err := s.runHeld(verb, p, t, o)
	if !held.Alive() && !Gone(err) {
		err = &proc.Error{Message: fmt.Sprintf("%v ended meanwhile", t), Err: proc.ErrNoProcess}
	}
	return r, say, err
}

// runHeld asks the kernel anew where the target is not any more as the snapshot has it.
func (s *Session) runHeld(verb Verb, p Patch, t proc.Process, o lpnl.Options) (lpnl.Report, remarks, error) {
	v := s.view(t)
	r, say, err := s.try(verb, p, v, o)
	if errors.Is(err, errStale) || p.File == nil && lost(err) {
		if v, err = s.freshView(t); err != nil {
			return lpnl.Report{}, remarks{}, err
		}
		r, say, err = s.try(verb, p, v, o)
	}
	if p.File == nil && unknown(err) { // somebody else unloaded it meanwhile
		r, err = lpnl.Report{}, notLoaded(p.Name, t)
	}
	return r, say, err
}

func (s *Session) try(verb Verb, p Patch, v *view, o lpnl.Options) (lpnl.Report, remarks, error) {
	if err := s.checkUpon(verb, p, v, o); err != nil {
		return lpnl.Report{}, remarks{}, err
	}
	hash, err := s.resolve(verb, p, v)
	if err != nil {
		return lpnl.Report{}, remarks{}, err
	}
	spec := s.spec(p, v)
	if o.AllowActive, err = allowable(spec, p, o.AllowActive); err != nil {
		return lpnl.Report{}, remarks{}, err
	}
	others, err := s.checkBase(verb, spec, hash, v, o)
	if err != nil {
		return lpnl.Report{}, remarks{}, err
	}
	if others, err = s.withNamed(v, others, o.Supersede); err != nil {
		return lpnl.Report{}, remarks{}, err
	}
	a := s.attempt(v, hash)
	a.lone = lone(spec)
	if verb == lpnl.VerbApply && (len(others) > 0 || o.Replace) {
		if a.mapped, a.blind = s.layers(v); errors.Is(a.blind, errStale) {
			return lpnl.Report{}, remarks{}, errStale
		}
	}
	r, err := s.do(verb, a, v, others, o)
	r, note, err := unclipped(spec, a.note, r, err)
	return r, remarks{note, a.replaced}, err
}

// do asks the kernel for the verb. others are the patches that an apply takes the place of.
func (s *Session) do(verb Verb, a *attempt, v *view, others []superseded, o lpnl.Options) (lpnl.Report, error) {
	switch {
	case len(others) > 0:
		return a.supersede(verb, others, o)
	case verb == Revert:
		return a.revert(o)
	case verb == lpnl.VerbApply && o.Replace:
		before, err := s.applied(v, a.hash)
		if err != nil {
			return lpnl.Report{}, err
		}
		return a.replace(verb, before, o)
	}
	return a.op(verb, o)
}

// unclipped gives an outcome the names of a patch back that were clipped for the kernel.
func unclipped(spec *patch.Spec, note string, r lpnl.Report, err error) (lpnl.Report, string, error) {
	full := unclip(spec)
	r.Message, r.Function = full.Replace(r.Message), full.Replace(r.Function)
	cause := err
	var stays *Stays
	if errors.As(err, &stays) {
		cause = stays.Cause
	}
	var refused *lpnl.Refused
	if errors.As(cause, &refused) {
		refused.Report.Message, refused.Report.Function = full.Replace(refused.Report.Message), full.Replace(refused.Report.Function)
	}
	return r, full.Replace(note), err
}

// resolve returns the kernel's name of a patch for a target, after it has seen to it that the kernel has the patch.
func (s *Session) resolve(verb Verb, p Patch, v *view) (lpnl.Hash, error) {
	if p.File == nil {
		return s.loaded(verb, p.Name, v)
	}
	images, err := s.match(p.File.Spec, v)
	if err != nil {
		return lpnl.Hash{}, err
	}
	object, err := s.object(p.File, v.PID, images)
	if err != nil {
		return lpnl.Hash{}, err
	}
	defer object.close()
	hash := object.patch.Hash
	if s.transferred[hash] {
		return hash, nil
	}
	tables(&object.patch, p.File.Spec)
	err = s.kernel.Transfer(&object.patch)
	s.transferred[hash] = err == nil
	return hash, err
}

// loaded finds the one patch of that name in a target. The kernel refuses to take out what is not there any more; but what is
// to be applied, it would load again.
func (s *Session) loaded(verb Verb, name string, v *view) (lpnl.Hash, error) {
	found, err := s.named(v, name)
	if err != nil {
		return lpnl.Hash{}, err
	}
	switch len(found) {
	case 1:
		if !takesOut(verb) {
			_, err = s.stateNow(v, found[0])
		}
		return found[0].Hash, err
	case 0:
		return lpnl.Hash{}, notLoaded(name, v.Process)
	}
	return lpnl.Hash{}, fmt.Errorf("%v has %d patches named %q; say which one by its file", v, len(found), name)
}

func notLoaded(name string, t proc.Process) error {
	return lacking(name, t, "%v has no patch %q loaded; give the patch file, or see \"lpctl status\"")
}

// revert restores and unloads. A patch that was not applied is only unloaded; one that cannot be unloaded, because the
// program holds pointers into it or threads are in it, is only restored.
func (a *attempt) revert(o lpnl.Options) (lpnl.Report, error) {
	restored, err := a.op(lpnl.VerbRestore, o)
	switch RefusalCode(err) {
	case lpnl.RefusalNotApplied, lpnl.RefusalAlready:
		err, restored = nil, lpnl.Report{}
	}
	if err != nil {
		restored.Verb = Revert
		return restored, err
	}
	r, err := a.op(lpnl.VerbUnload, o)
	if err != nil && restored.Verb != "" && !Gone(err) {
		return a.stays(restored, r, err)
	}
	if err == nil {
		a.note = "" // who was in code from before has left it, or it could not be unloaded
	}
	r.Verb = Revert
	r.Attempts += restored.Attempts
	if restored.Stop > r.Stop { // of the two windows, report the longer one
		r.Threads, r.Stop, r.StopLimit, r.LongestThread = restored.Threads, restored.Stop, restored.StopLimit, restored.LongestThread
		r.Gate, r.Barrier, r.Check, r.Write, r.Release = restored.Gate, restored.Barrier, restored.Check, restored.Write, restored.Release
		r.Lock = restored.Lock
	}
	return r, err
}

// stays is the end of a revert that has restored a patch and could not unload it. The error is a *Stays, but where nothing
// more can come of it, or threads that are in the patch have yet to leave it.
func (a *attempt) stays(restored, unload lpnl.Report, err error) (lpnl.Report, error) {
	restored.Verb = Revert
	if lost(err) { // somebody else unloaded it meanwhile
		a.note, restored.State, restored.ActiveThreads = "", lpnl.StateNone, 0
		return restored, nil
	}
	if unload.Refusal == lpnl.RefusalPinned {
		a.note = err.Error() // that is as far as it goes
		return restored, nil
	}
	stays := &Stays{Patch: restored.Patch, Cause: err}
	if a.stillIn(&restored, unload) {
		a.note = stays.Error()
		return restored, nil
	}
	a.note = ""
	return restored, stays
}

// Stays is the error of a revert that has restored a patch, and could not unload it.
type Stays struct {
	Patch string
	Cause error
}

// Error implements error. There is no Unwrap, for with a refusal nothing would be changed.
func (e *Stays) Error() string {
	return fmt.Sprintf("patch %s is restored and stays mapped: %v; revert it again later", e.Patch, e.Cause)
}

// stillIn tells whether threads are in the code of a patch that was restored, and could not be unloaded. Those of before the
// restore may have left since; the one that the kernel names has not.
func (a *attempt) stillIn(restored *lpnl.Report, unload lpnl.Report) bool {
	if again, err := a.recount(); err == nil {
		copyActive(restored, again)
	}
	if restored.ActiveThreads == 0 && unload.Refusal == lpnl.RefusalThreadActive {
		restored.ActiveThreads, restored.ActiveTID, restored.ActivePatch = 1, unload.TID, restored.Patch
	}
	return restored.ActiveThreads > 0
}
