// SPDX-License-Identifier: GPL-2.0

package soak

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// call is one call of lpctl, or one of a client that stays (session), and what came of it.
type call struct {
	verb    string
	args    []string
	reports []report
	status  string // how it ended, for messages
	said    string // on stderr
	killed  bool   // by the killer: nothing is to be judged
	idle    bool   // it found no target
	failed  bool   // it ended in a way that it must not
}

// report is what of a line of lpctl --json is of interest here.
type report struct {
	PID      int          `json:"pid"`
	Patch    string       `json:"patch"`
	State    string       `json:"state"`
	Attempts int          `json:"attempts"`
	StopNS   int64        `json:"stop_ns"`
	Error    *reportError `json:"error"`
}

type reportError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// String tells what was called and what came of it.
func (c *call) String() string {
	var out []string
	for _, r := range c.reports {
		one := fmt.Sprintf("%d %s", r.PID, r.State)
		if r.Error != nil {
			one = fmt.Sprintf("%d %s (%s)", r.PID, r.Error.Code, r.Error.Message)
		}
		out = append(out, one)
	}
	s := fmt.Sprintf("%s: %s: %s", strings.Join(c.args, " "), c.status, strings.Join(out, ", "))
	if len(c.reports) == 0 {
		s += c.said
	}
	return strings.TrimSpace(s)
}

// client is a call of lpctl that is under way.
type client struct {
	cmd    *exec.Cmd
	killed bool
}

// lpctl calls it. The killer may end it at any time.
func (s *soak) lpctl(args ...string) *call {
	c := &call{verb: args[0], args: args, status: "not started", failed: true}
	var stdout, stderr bytes.Buffer
	l := &client{cmd: exec.Command("lpctl", args...)}
	l.cmd.Stdout, l.cmd.Stderr = &stdout, &stderr
	if err := l.cmd.Start(); err != nil {
		c.said = err.Error()
		return c
	}
	defer s.watch("lpctl " + strings.Join(args, " "))()
	s.mu.Lock()
	s.clients = append(s.clients, l)
	s.mu.Unlock()
	// It is reaped only when the killer does not know of it any more: its pid is never another's.
	err := waitUnreaped(l.cmd.Process.Pid)
	s.mu.Lock()
	s.clients = slices.DeleteFunc(s.clients, func(r *client) bool { return r == l })
	s.mu.Unlock()
	err = errors.Join(err, ignoreExit(l.cmd.Wait()))
	c.status, c.said = l.cmd.ProcessState.String(), stderr.String()
	c.finish(l, stdout.Bytes(), err)
	return c
}

// finish reads what a client printed.
func (c *call) finish(l *client, stdout []byte, err error) {
	ws, _ := l.cmd.ProcessState.Sys().(syscall.WaitStatus)
	c.killed = l.killed && ws.Signaled() && ws.Signal() == syscall.SIGKILL
	for line := range bytes.Lines(stdout) {
		var r report
		err = errors.Join(err, json.Unmarshal(line, &r))
		c.reports = append(c.reports, r)
	}
	if err != nil {
		c.said += err.Error()
	}
	const noTarget = 5
	c.idle = len(c.reports) == 0 && ws.ExitStatus() == noTarget
	ended := ws.Exited() && (len(c.reports) > 0 || c.idle || ws.ExitStatus() == 0)
	c.failed = !c.killed && (err != nil || !ended)
}

// ignoreExit leaves out what is no error: how the command ended.
func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// waitUnreaped waits for the end of a child and leaves it a zombie.
func waitUnreaped(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
