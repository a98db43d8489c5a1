// SPDX-License-Identifier: GPL-2.0

package soak

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// kill kills calls of lpctl often, and targets and their children now and then, and has targets execute themselves.
func (s *soak) kill(random *rand.Rand) {
	for !s.stopping.Load() {
		time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
		t := s.targets[random.IntN(len(s.targets))]
		switch n := random.IntN(50); {
		case n < 12:
			s.killClient(random)
		case n < 13:
			if t.kill() {
				s.tally.count(s.tally.kills, "target")
			}
		case n < 15:
			if t.execute() {
				s.tally.count(s.tally.kills, "exec")
			}
		case n < 19:
			s.killChild(t, random)
		}
	}
}

// killClient ends a call of lpctl that is under way.
func (s *soak) killClient(random *rand.Rand) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.clients) == 0 {
		return
	}
	c := s.clients[random.IntN(len(s.clients))]
	c.killed = true
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.errorf("kill", "killing lpctl: %v", err)
	}
}

// killChild ends a child of a target, which is no failure of the target.
func (s *soak) killChild(t *target, random *rand.Rand) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", t.process()))
	var children []int
	for _, list := range lists {
		data, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for field := range bytes.FieldsSeq(data) {
			var child int
			if _, err := fmt.Sscan(string(field), &child); err == nil {
				children = append(children, child)
			}
		}
	}
	// Its parent may have reaped it meanwhile; pids are not reused so soon.
	if len(children) > 0 && syscall.Kill(children[random.IntN(len(children))], syscall.SIGKILL) == nil {
		s.tally.count(s.tally.kills, "child")
	}
}
