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
)

// Config says what to run.
type Config struct {
	Program string   // soak, as test/fixtures builds it
	Patches []string // files of patches for it, see the constants
	Threads []int    // of each target
	Workers int      // how many lpctl at once
	Clients int      // how many clients that stay connected
	Time    time.Duration
	Seed    uint64               // of all that is decided at random
	Log     func(string, ...any) // takes progress and errors, as fmt.Printf
}

// The patches in Config.Patches: several functions that belong together, a single function, and all of these once more.
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
	stopping atomic.Bool
	tally    *tally

	mu      sync.Mutex
	clients []*client // that are under way
}

// Run does what cfg says, cleans up, and returns what happened.
func Run(cfg Config) Result {
	s := &soak{Config: cfg, tally: newTally()}
	s.Log("soak: seed %d, %v, %d targets of %v threads, %d lpctl and %d other clients at once", s.Seed, s.Time,
		len(s.Threads), s.Threads, s.Workers, s.Clients)
	for i, n := range s.Threads {
		t := newTarget(s, i, n)
		s.targets = append(s.targets, t)
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

// wait lets the time pass, and says every minute how it goes.
func (s *soak) wait() {
	end := time.Now().Add(s.Time)
	for left := s.Time; left > 0; left = time.Until(end) {
		time.Sleep(min(left, time.Minute))
		r := s.tally.result()
		s.Log("soak: %v to go, %d cycles, %d errors", max(0, time.Until(end)).Round(time.Second), r.Cycles(), r.Errors)
	}
}

// errorf counts and prints something that must not happen.
func (s *soak) errorf(format string, args ...any) {
	if n := s.tally.failed(); n <= maxErrors {
		s.Log("soak: ERROR: "+format, args...)
	}
}

// maxErrors is how many errors are printed; all are counted.
const maxErrors = 20

// cleanUp takes all patches out, looks whether every target has the old code again, and ends the targets.
func (s *soak) cleanUp() {
	s.revertAll()
	for _, t := range s.targets {
		s.wantVersions(t, versionOld, versionOld)
		t.quit()
	}
}

// cleanTries is how often all patches are reverted at most: one may be in use, or cover another.
const cleanTries = 10

// revertAll reverts all patches in all targets until there is nothing to do.
func (s *soak) revertAll() {
	var last []*call
	for range cleanTries {
		last = nil
		for _, patch := range s.Patches {
			c := s.lpctl("revert", patch, "--all", option("timeout", 5*timeout), "--json")
			s.judge(c, true)
			s.Log("soak: %s", c)
			if slices.ContainsFunc(c.reports, func(r report) bool { return r.Error == nil || r.Error.Code != "not-loaded" }) {
				last = append(last, c)
			}
		}
		if last == nil {
			return
		}
	}
	s.errorf("the patches cannot be taken out:\n%v", last)
}
