// SPDX-License-Identifier: GPL-2.0

package soak

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Versions of the two functions of soak.cc that a census asks for, see parts.cc.
const (
	versionOld   = 0
	versionPatch = 1 // of patch several or lone
	versionThird = 2
)

// step is something that is done to a target with which nobody else meddles, and what its threads must see then.
type step struct {
	verb    string
	patch   int
	replace bool
	tally   int
	lone    int
	refused []string // with one of these codes; nil if it must be done
}

// notThere are refusals of what is to be done to a patch that has been restored, or has left the target.
var notThere = []string{"already", "not-loaded"}

// audits are what is done by turns. Each begins without patches.
var audits = [][]step{
	{{verb: "apply", patch: several, tally: versionPatch}, {verb: "revert", patch: several}},
	{{verb: "apply", patch: lone, lone: versionPatch}, {verb: "revert", patch: lone}},
	{ // what is built for a function as the file has it does not go upon a patch of that
		{verb: "apply", patch: lone, lone: versionPatch},
		{verb: "apply", patch: third, lone: versionPatch, refused: []string{"site-taken"}},
		{verb: "apply", patch: lone, lone: versionPatch, refused: []string{"already"}},
		{verb: "restore", patch: lone},
		{verb: "restore", patch: lone, refused: []string{"already"}},
	},
	{ // a newer one of the same name takes the place of the older, or lies upon it if threads stay in that
		{verb: "apply", patch: several, tally: versionPatch},
		{verb: "apply", patch: third, tally: versionThird, lone: versionThird},
		{verb: "apply", patch: lone, tally: versionThird, lone: versionThird, refused: []string{"site-taken"}},
		{verb: "restore", patch: several, tally: versionThird, lone: versionThird, refused: append(notThere, "covered")},
	},
	{
		{verb: "apply", patch: several, tally: versionPatch},
		{verb: "apply", patch: lone, tally: versionPatch, lone: versionPatch},
		{verb: "apply", patch: third, replace: true, tally: versionThird, lone: versionThird},
		{verb: "restore", patch: several, tally: versionThird, lone: versionThird, refused: notThere},
		{verb: "revert", patch: third},
	},
}

// audit is alone with a target now and then, and looks whether what was done is what its threads see.
func (s *soak) audit(random *rand.Rand) {
	for !s.stopping.Load() {
		s.sleep(time.Duration(2000+random.IntN(4000)) * time.Millisecond)
		t := s.targets[random.IntN(len(s.targets))]
		t.alone.Lock()
		if s.strip(t) && s.wantVersions(t, versionOld, versionOld) && s.steps(t, audits[random.IntN(len(audits))]) {
			s.tally.count(s.tally.done, "audit")
		}
		t.alone.Unlock()
	}
}

// strip takes all patches off, whatever their order.
func (s *soak) strip(t *target) bool {
	for range t.Patches {
		for _, patch := range t.Patches {
			c := s.alone(t, step{verb: "revert"}, patch)
			if c == nil || len(c.reports) != 1 {
				return false
			}
			if r := c.reports[0]; !r.reverted(t.Program) && (r.Error == nil || r.Error.Code != "covered") {
				return false
			}
		}
	}
	return true
}

func (s *soak) alone(t *target, do step, patch string) *call {
	return s.on(t, func(pid int) *call {
		args := []string{do.verb, patch, option("timeout", timeout), "--json", "--pid", fmt.Sprint(pid)}
		if do.replace {
			args = append(args, "--replace")
		}
		return s.lpctl(args...)
	})
}

// steps does them and says whether all could be done. That a thread is in the way, or that somebody kills, is no error.
func (s *soak) steps(t *target, list []step) bool {
	for _, do := range list {
		before := t.disturbed()
		c := s.alone(t, do, t.Patches[do.patch])
		if c == nil || len(c.reports) != 1 || t.disturbed() != before {
			return false
		}
		code := ""
		if e := c.reports[0].Error; e != nil {
			code = e.Code
		}
		switch {
		case slices.Contains(busy, code):
			return false
		case code == "" && do.refused != nil, code != "" && !slices.Contains(do.refused, code):
			s.errorf("audit refusal", "target %d: want refusal %q, have:\n%s\nlast was done to it:\n%s", t.id, do.refused, c, t.past())
			return false
		case do.verb == "revert" && c.reports[0].State != t.afterRevert():
			s.errorf("audit state", "target %d: want state %q, have:\n%s\nlast was done to it:\n%s", t.id, t.afterRevert(), c, t.past())
			return false
		}
		if !s.wantVersions(t, do.tally, do.lone) {
			return false
		}
	}
	return true
}

// wantVersions asks all threads of a target which versions they see. It is false too if the target was disturbed.
func (s *soak) wantVersions(t *target, tally, lone int) bool {
	c, ok := t.census()
	if !ok {
		return false
	}
	if c.tally[tally] != t.Threads || c.lone[lone] != t.Threads {
		s.errorf("audit versions", "target %d: all %d threads must see version %d of tally and %d of lone, but so many see versions 0, 1 and 2: "+
			"%v of tally, %v of lone\nlast was done to it:\n%s", t.id, t.Threads, tally, lone, c.tally, c.lone, t.past())
		return false
	}
	return true
}
