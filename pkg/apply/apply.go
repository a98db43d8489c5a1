// SPDX-License-Identifier: GPL-2.0

// Package apply is the transaction: it joins a patch file with the files that a running process maps, gives the kernel
// what it needs, and carries out a verb on one target after another. It is the only package that knows patches,
// processes and the kernel at once.
package apply

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"lpatch/pkg/lpnl"
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
	limits      limits
}

// New returns a Session with a kernel and a mounted proc file system.
func New(k Kernel, fs proc.FS) *Session {
	return &Session{
		kernel: k, proc: fs, known: known{files: map[proc.FileID]identity{}}, pasts: pasts{of: map[proc.Process]*past{}},
		strangers: map[proc.FileID]bool{}, transferred: map[lpnl.Hash]bool{},
		limits: limits{Look: 10 * time.Second, Read: 1 << 30, Recount: 5 * time.Second, Rounds: 100}, // tests have less
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

// job is what is to be done to each of some targets.
type job struct {
	verb    Verb
	patch   PatchRef
	options lpnl.Options
}

// PatchRef names a patch: by File, or by the name under which targets have it loaded.
type PatchRef struct {
	File *PatchFile // nil: by name
	Name string
}

// Run carries out a verb on each target in turn; a failure does not keep it from the next one.
func (s *Session) Run(verb Verb, p PatchRef, targets []proc.Process, o lpnl.Options) []Outcome {
	s.seen = nil
	return s.round(job{verb, p, o}, targets)
}

// round is Run with the snapshot that there is.
func (s *Session) round(j job, targets []proc.Process) []Outcome {
	var list []Outcome
	if len(targets) > 1 { // who keeps us from his mappings does so beside others, and not again at his turn
		first := slices.DeleteFunc(slices.Clone(targets), func(t proc.Process) bool { return s.pasts.get(t).wasSeen() })
		proc.Each(len(first), func(i int) { _, _ = s.view(first[i]).files() })
	}
	for _, t := range targets {
		list = append(list, s.one(j, t))
	}
	return list
}

// one does a job on one process.
func (s *Session) one(j job, t proc.Process) Outcome {
	out := s.run(j, t)
	out.Process = t
	s.settle(j, &out)
	if out.Report.PID == 0 {
		out.Report.PID, out.Report.Comm, out.Report.Patch = t.PID, t.Comm, j.patch.Name
	}
	return out
}

// run holds on to the process from before it is looked at to after the kernel is done with it: the kernel is told pid and
// start time, and no other process can have had the pid in between if it is still alive.
func (s *Session) run(j job, t proc.Process) Outcome {
	held, err := s.proc.Hold(t)
	if err != nil {
		return Outcome{Err: err}
	}
	defer held.Close()
	out := s.runHeld(j, t)
	if !held.Alive() && !Gone(out.Err) {
		out.Err = &proc.Error{Message: fmt.Sprintf("%v ended meanwhile", t), Err: proc.ErrNoProcess}
	}
	return out
}

// runHeld tries once more where the target is not any more as the snapshot has it.
func (s *Session) runHeld(j job, t proc.Process) Outcome {
	out := s.attempt(j, s.view(t)).run()
	named := j.patch.File == nil
	if errors.Is(out.Err, errStale) || named && lost(out.Err) {
		v, err := s.freshView(t)
		if err != nil {
			return Outcome{Err: err}
		}
		out = s.attempt(j, v).run()
	}
	if named && unknown(out.Err) { // somebody else unloaded it meanwhile
		return Outcome{Err: notLoaded(j.patch.Name, t)}
	}
	return out
}
