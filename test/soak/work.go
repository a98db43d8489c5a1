// SPDX-License-Identifier: GPL-2.0

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
	patch   string // its file
	target  *target
	replace bool
	all     bool // on all targets of the same program, and their children
	byExe   bool // if all: by the file that they execute, and not by what they map
	byName  bool // of the patch, and not by its file; only where a single patch has it
}

func (s *soak) choose(random *rand.Rand) deed {
	d := deed{
		verb: verbs[random.IntN(len(verbs))], target: s.targets[random.IntN(len(s.targets))],
		all: random.IntN(8) == 0, byExe: random.IntN(2) == 0,
	}
	d.patch = d.target.Patches[random.IntN(len(d.target.Patches))]
	replace, byName := random.IntN(4) == 0, random.IntN(2) == 0
	switch d.verb {
	case "apply", "check":
		d.replace = replace
	case "restore", "unload", "revert":
		d.byName = byName && d.patch == d.target.Patches[lone]
	}
	return d
}

// args are those of lpctl, without the targets.
func (d deed) args() []string {
	patch := d.patch
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
			s.judge(d.target.Program, s.lpctl("status", "--json"), false)
		case d.all:
			selection := []string{"--all"}
			if d.byExe {
				selection = []string{"--exe", d.target.Path}
			}
			s.onAll(d.target.Program, func() *call { return s.lpctl(slices.Concat(d.args(), selection)...) })
		default:
			s.onOne(d.target, func(pid int) *call {
				return s.lpctl(append(d.args(), "--pid", fmt.Sprint(pid))...)
			})
		}
	}
}

// stay is work for a client that stays. Each connects anew now and then.
func (s *soak) stay(random *rand.Rand) {
	for !s.stopping.Load() {
		client, err := newSession(s)
		if err != nil {
			s.errorf("client", "%v", err)
			return
		}
		for n := 10 + random.IntN(100); n > 0 && !s.stopping.Load(); n-- {
			d := s.choose(random)
			switch {
			case d.verb == "status":
			case d.all:
				s.onAll(d.target.Program, func() *call { return client.do(d, apply.Selection{All: true}) })
			default:
				s.onOne(d.target, func(pid int) *call { return client.do(d, apply.Selection{PIDs: []int{pid}}) })
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
	s.judge(t.Program, c, t.disturbed() != before)
	return c
}

// onAll does something to all targets of a program, unless somebody wants to be alone with one.
func (s *soak) onAll(p *Program, do func() *call) {
	var targets []*target
	for _, t := range s.targets {
		if t.Program != p {
			continue
		}
		if !t.alone.TryRLock() {
			time.Sleep(time.Millisecond)
			return
		}
		defer t.alone.RUnlock()
		targets = append(targets, t)
	}
	c := do()
	for _, t := range targets {
		t.note("%s", c)
	}
	s.judge(p, c, true)
}
