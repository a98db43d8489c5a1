package soak

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lpatch/pkg/apply"
)

// verbs in the proportions in which they are done.
var verbs = []string{
	"apply", "apply", "apply", "apply", "apply", "restore", "restore", "restore", "revert", "revert",
	"load", "unload", "unload", "check", "status",
}

// deed is what is to be done next.
type deed struct {
	verb    string
	patch   int
	target  int
	replace bool
	all     bool // on all targets and their children
	byExe   bool // if all: by the file that they execute, and not by what they map
	byName  bool // of the patch, and not by its file
}

func (s *soak) choose(random *rand.Rand) deed {
	d := deed{
		verb: verbs[random.IntN(len(verbs))], patch: random.IntN(len(s.Patches)), target: random.IntN(len(s.targets)),
		all: random.IntN(8) == 0, byExe: random.IntN(2) == 0,
	}
	replace, byName := random.IntN(4) == 0, random.IntN(2) == 0
	switch d.verb {
	case "apply", "check":
		d.replace = replace
	case "restore", "unload", "revert":
		d.byName = byName
	}
	return d
}

// args are those of lpctl, without the targets.
func (d deed) args(patches []string) []string {
	patch := patches[d.patch]
	if d.byName {
		patch = strings.TrimSuffix(filepath.Base(patch), ".lp")
	}
	args := []string{d.verb, patch, option("timeout", timeout), "--json"}
	if d.replace {
		args = append(args, "--replace")
	}
	return args
}

// work calls lpctl for one thing after another.
func (s *soak) work(random *rand.Rand) {
	for !s.stopping.Load() {
		d := s.choose(random)
		switch {
		case d.verb == "status":
			s.judge(s.lpctl("status", "--json"), false)
		case d.all:
			selection := []string{"--all"}
			if d.byExe {
				selection = []string{"--exe", s.Program}
			}
			s.onAll(func() *call { return s.lpctl(slices.Concat(d.args(s.Patches), selection)...) })
		default:
			s.onOne(s.targets[d.target], func(pid int) *call {
				return s.lpctl(append(d.args(s.Patches), "--pid", fmt.Sprint(pid))...)
			})
		}
	}
}

// stay is work for a client that stays. Each connects anew now and then.
func (s *soak) stay(random *rand.Rand) {
	for !s.stopping.Load() {
		client, err := newSession(s)
		if err != nil {
			s.errorf("%v", err)
			return
		}
		for n := 10 + random.IntN(100); n > 0 && !s.stopping.Load(); n-- {
			d := s.choose(random)
			switch {
			case d.verb == "status":
			case d.all:
				s.onAll(func() *call { return client.do(d.verb, d.patch, apply.Selection{All: true}, d.replace) })
			default:
				s.onOne(s.targets[d.target], func(pid int) *call {
					return client.do(d.verb, d.patch, apply.Selection{PIDs: []int{pid}}, d.replace)
				})
			}
			time.Sleep(time.Duration(random.IntN(50)) * time.Millisecond)
		}
		client.close()
	}
}

// onOne does something to a target, unless somebody wants to be alone with it.
func (s *soak) onOne(t *target, do func(pid int) *call) {
	if !t.alone.TryRLock() {
		time.Sleep(time.Millisecond)
		return
	}
	defer t.alone.RUnlock()
	s.on(t, do)
}

// on does something to the process of a target. Without one it waits a little and returns nil.
func (s *soak) on(t *target, do func(pid int) *call) *call {
	before, pid := t.disturbed(), t.process()
	if pid == 0 {
		time.Sleep(10 * time.Millisecond)
		return nil
	}
	c := do(pid)
	t.note("%s", c)
	s.judge(c, t.disturbed() != before)
	return c
}

func (s *soak) onAll(do func() *call) {
	for _, t := range s.targets {
		if !t.alone.TryRLock() {
			time.Sleep(time.Millisecond)
			return
		}
		defer t.alone.RUnlock()
	}
	c := do()
	for _, t := range s.targets {
		t.note("%s", c)
	}
	s.judge(c, true)
}
