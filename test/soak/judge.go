// SPDX-License-Identifier: GPL-2.0

package soak

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lpatch/pkg/lpnl"
)

// busy are refusals that may be none a moment later. A process of which many threads map and unmap on a starved machine cannot be
// looked at in time.
var busy = []string{"unseen", "thread-active", "thread-running", "thread-signal-stack", "stack-unreadable", "deadline"}

// states are refusals because of the state that another client brought the target to.
var states = map[string][]string{
	"check":   {"already", "site-taken"}, // the latter: upon a patch that replaces what this one was built for
	"load":    {"already"},
	"apply":   {"already", "site-taken"},
	"restore": {"already", "not-applied", "not-loaded", "covered"},
	"unload":  {"not-loaded", "still-applied"},
	"revert":  {"not-loaded", "still-applied", "covered"},
}

// legitimate tells whether a verb may be refused so with a patch for the program.
func (p *Program) legitimate(verb, code string) bool {
	if code == "pinned" {
		return p.Pins && (verb == "unload" || verb == "revert")
	}
	return verb != "status" && slices.Contains(busy, code) || slices.Contains(states[verb], code)
}

// endings are refusals because the target has ended, or is just executing another program: its memory has nothing of what
// was found a moment before.
var endings = []string{"target-gone", "image-missing", "error"}

// judge counts what a call with a patch for the program did, and finds what it must not have done. If its targets were
// disturbed, or found and not named, they may be gone.
func (s *soak) judge(p *Program, c *call, disturbed bool) {
	switch {
	case c.killed:
		s.tally.count(s.tally.kills, "lpctl")
		return
	case c.failed:
		s.errorf(c.verb+" failed", "%s: %s\nlast was done to the targets:\n%s", c, c.said, s.past())
		return
	case c.idle:
		s.tally.count(s.tally.refused, "no-target")
		return
	case c.verb == "status":
		s.tally.count(s.tally.done, "status")
	}
	for _, r := range c.reports {
		switch {
		case r.Error == nil && c.verb == "status":
		case r.Error == nil:
			s.tally.count(s.tally.done, c.verb)
			if c.verb == "revert" && r.State == lpnl.StateNone.String() {
				s.tally.count(s.tally.done, "unload")
			}
			s.tally.stopped(r)
		case p.legitimate(c.verb, r.Error.Code), disturbed && slices.Contains(endings, r.Error.Code):
			s.tally.count(s.tally.refused, r.Error.Code)
			s.tally.stopped(r)
		default:
			s.errorf(c.verb+" "+r.Error.Code, "%s\nlast was done to the targets:\n%s", c, s.past())
		}
	}
}

// past is what was done to all targets last.
func (s *soak) past() string {
	var all []string
	for _, t := range s.targets {
		all = append(all, fmt.Sprintf("  target %d, process %d:\n%s", t.id, t.process(), t.past()))
	}
	return strings.Join(all, "\n")
}

// watch complains if something is not over in good time, and says where the kernel's threads for operations are. What it
// returns ends it.
func (s *soak) watch(what string) (over func()) {
	timer := time.AfterFunc(s.Patience, func() {
		s.errorf("hangs", "%s hangs\n%slast was done to the targets:\n%s", what, stacks(), s.past())
	})
	return func() { timer.Stop() }
}

// stacks are the kernel stacks of the threads that are in the module.
func stacks() string {
	var out strings.Builder
	dirs, _ := filepath.Glob("/proc/[0-9]*/task/[0-9]*")
	for _, dir := range dirs {
		comm, _ := os.ReadFile(dir + "/comm")
		stack, _ := os.ReadFile(dir + "/stack")
		if strings.Contains(string(stack), "lp_") || strings.Contains(string(stack), "lpatch_") {
			fmt.Fprintf(&out, "%s %s%s", dir, comm, stack)
		}
	}
	return out.String()
}
