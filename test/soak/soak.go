// SPDX-License-Identifier: GPL-2.0

// Package soak drives lpctl, many at once, against programs (test/target/soak.cc) that check their own results, while
// others kill both at random. It counts what was done, and everything that must not happen is an error. It needs the
// module, so it runs in a virtual machine: `make soak`, by way of test/cases.
package soak

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lpatch/pkg/lpnl"
)

// Config says what to run.
type Config struct {
	Targets []Target
	Workers int // how many lpctl at once
	Clients int // how many clients that stay connected
	Time    time.Duration

	// Patience is for what takes a moment: to start, to answer, to die. Emulated machines are slow.
	Patience time.Duration

	Seed uint64               // of all that is decided at random
	Log  func(string, ...any) // takes progress and errors, as fmt.Printf
}

// Target is a program to run, and how.
type Target struct {
	*Program
	Threads int
}

// Program is one way of test/fixtures to build soak.cc.
type Program struct {
	Path    string
	Patches []string // files of patches for it, see the constants

	// Pins says that a patch whose functions were called is registered with the runtime of C++, and cannot be unloaded
	// any more (Documentation/patch-author-guide.md).
	Pins bool
}

// The patches in Program.Patches: several functions that belong together, a single function, and a newer version of the
// first, of the same name, that replaces all of these.
const (
	several = iota
	lone
	third
)

// roles have their own streams of random numbers, so that one does not depend on how far another is.
const (
	roleKiller uint64 = iota
	roleAuditor
	roleWorker // and those above it
)

// soak is one run.
type soak struct {
	Config
	targets  []*target
	programs []*Program // of the targets, each once
	stopping atomic.Bool
	tally    *tally

	mu      sync.Mutex
	clients []*client // that are under way
}

// Run does what cfg says, cleans up, and returns what happened.
func Run(cfg Config) Result {
	s := &soak{Config: cfg, tally: newTally()}
	s.Log("soak: seed %d, %v, %d targets, %d lpctl and %d other clients at once", s.Seed, s.Time, len(s.Targets), s.Workers, s.Clients)
	for i, what := range s.Targets {
		t := newTarget(s, i, what)
		s.targets = append(s.targets, t)
		if !slices.Contains(s.programs, what.Program) {
			s.programs = append(s.programs, what.Program)
		}
		s.Log("soak: target %d: %s of %d threads", i, what.Path, what.Threads)
		t.start()
	}
	var busy sync.WaitGroup
	busy.Go(func() { s.kill(s.random(roleKiller)) })
	busy.Go(func() { s.audit(s.random(roleAuditor)) })
	for i := range s.Workers {
		busy.Go(func() { s.work(s.random(roleWorker + uint64(i))) })
	}
	for i := range s.Clients {
		busy.Go(func() { s.stay(s.random(roleWorker + uint64(s.Workers+i))) })
	}
	s.wait()
	s.stopping.Store(true)
	busy.Wait()
	s.Log("soak: cleaning up")
	s.cleanUp()
	return s.tally.result()
}

func (s *soak) random(role uint64) *rand.Rand { return rand.New(rand.NewPCG(s.Seed, role)) }

// sleep sleeps, but not beyond the end.
func (s *soak) sleep(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end) && !s.stopping.Load(); {
		time.Sleep(50 * time.Millisecond)
	}
}

// wait lets the time pass, and says every minute how it goes. On a slow machine it goes on until a little of everything was
// done.
func (s *soak) wait() {
	end := time.Now().Add(s.Time)
	for left := s.Time; left > 0; left = time.Until(end) {
		time.Sleep(min(left, time.Minute))
		r := s.tally.result()
		s.Log("soak: %v to go, %d cycles, %d errors", max(0, time.Until(end)).Round(time.Second), r.Cycles(), r.Failures())
	}
	for late := end.Add(s.Patience); !s.tally.result().Tested() && time.Now().Before(late); {
		time.Sleep(100 * time.Millisecond)
	}
}

// errorf counts something that must not happen, by its kind, which is a word or two, and prints it.
func (s *soak) errorf(kind, format string, args ...any) {
	switch n := s.tally.failed(kind); {
	case n < maxErrors:
		s.Log("soak: ERROR: "+format, args...)
	case n == maxErrors:
		s.Log("soak: ERROR: "+format+"\nmore of this kind (%s) are only counted", append(args, kind)...)
	}
}

// maxErrors is how many errors of a kind are printed; all are counted.
const maxErrors = 4

// cleanUp takes all patches out, looks whether every target has the old code again, and ends the targets, and with them
// the patches that stay mapped to the end.
func (s *soak) cleanUp() {
	for _, p := range s.programs {
		s.revertAll(p)
	}
	for _, t := range s.targets {
		s.wantVersions(t, versionOld, versionOld)
		t.quit()
	}
}

// cleanTries is how often all patches are reverted at most: one may be in use, or cover another.
const cleanTries = 10

// revertAll reverts all patches of a program in all targets until there is nothing to do.
func (s *soak) revertAll(p *Program) {
	var last []*call
	for range cleanTries {
		last = nil
		for _, patch := range p.Patches {
			c := s.lpctl("revert", patch, "--all", option("timeout", 5*timeout), "--json")
			s.judge(p, c, true)
			s.Log("soak: %s", c)
			if slices.ContainsFunc(c.reports, func(r report) bool { return !r.reverted(p) }) {
				last = append(last, c)
			}
		}
		if last == nil {
			return
		}
	}
	s.errorf("clean-up", "the patches cannot be taken out:\n%v", last)
}

// reverted tells whether a report of a revert says that nothing of the patch is left, or as little as can be.
func (r report) reverted(p *Program) bool {
	switch {
	case r.Error == nil:
		return r.State == p.afterRevert() || r.State == lpnl.StateNone.String()
	case r.Error.Code == "pinned":
		return p.Pins
	}
	return slices.Contains([]string{"not-loaded", "target-gone", "image-missing"}, r.Error.Code)
}

// afterRevert is the state of a patch that was called and then reverted.
func (p *Program) afterRevert() string {
	if p.Pins {
		return lpnl.StateRestored.String()
	}
	return lpnl.StateNone.String()
}
