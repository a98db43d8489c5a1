// SPDX-License-Identifier: GPL-2.0

package apply_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/lpnltest"
)

// TestRecount counts again in processes that have threads in old code, and leaves out those that have ended.
func TestRecount(t *testing.T) {
	exe, p := start(t)
	k := &lpnltest.Kernel{Active: map[lpnl.Verb]lpnltest.Active{lpnl.VerbApply: {Threads: 3, TID: 9, Function: "f"}}, Left: []int{2}}
	s := session(t, k)
	file := write(t, spec(t))
	s.Run(lpnl.VerbApply, file, []proc.Process{p}, lpnl.Options{})
	k.Active = nil
	quiet := startAnother(t, exe)
	s.Run(lpnl.VerbApply, file, []proc.Process{quiet}, lpnl.Options{})
	status := func() []lpnl.Report {
		t.Helper()
		c, err := k.Client()
		if err != nil {
			t.Fatal(err)
		}
		list, err := c.Status()
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	ended := status()[0]
	ended.PID = 1 << 30
	got := s.Recount(append(status(), ended))
	if len(got) != 2 || got[0].ActiveThreads != 2 || got[0].ActiveTID != 9 || got[0].ActiveFunction != "f" || got[1].ActiveThreads != 0 {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff([]int{p.PID}, k.Recounted); diff != "" {
		t.Errorf("counted in (-want +got):\n%s", diff)
	}
	k.Refuse = map[lpnl.Verb]lpnltest.Refusal{lpnl.VerbRecount: {Refusal: lpnl.RefusalDeadline, Errno: syscall.ETIME, Message: "too long"}}
	got = s.Recount(status())
	if got[0].ActiveThreads != 2 || got[0].Message != "who is still in old code could not be counted again: too long" || got[1].Message != "" {
		t.Errorf("refused: %+v", got)
	}
	k.Refuse[lpnl.VerbRecount] = lpnltest.Refusal{Refusal: lpnl.RefusalNotLoaded, Errno: syscall.ENOENT, Message: "gone"}
	if got = s.Recount(status()); len(got) != 1 || got[0].PID != quiet.PID {
		t.Errorf("of a patch that is gone: %+v", got)
	}
}

// TestHostileRecount has one process of a user keep its threads from being counted for as long as all of that user's may.
func TestHostileRecount(t *testing.T) {
	exe, p := start(t)
	other := startAnother(t, exe)
	k := &lpnltest.Kernel{Active: map[lpnl.Verb]lpnltest.Active{lpnl.VerbApply: {Threads: 1, TID: 9, Function: "f"}}}
	s := session(t, k)
	s.Limits().Recount = 0
	s.Run(lpnl.VerbApply, write(t, spec(t)), []proc.Process{p, other}, lpnl.Options{})
	k.Refuse = map[lpnl.Verb]lpnltest.Refusal{lpnl.VerbRecount: {Refusal: lpnl.RefusalDeadline, Errno: syscall.ETIME, Message: "too long"}}
	c, err := k.Client()
	if err != nil {
		t.Fatal(err)
	}
	status, err := c.Status()
	if err != nil {
		t.Fatal(err)
	}
	const failed = "who is still in old code could not be counted again: "
	var got []string
	for _, r := range s.Recount(status) {
		got = append(got, r.Message)
	}
	if diff := cmp.Diff([]string{failed + "too long", fmt.Sprintf("%sother processes of user %d took too long", failed, os.Getuid())}, got); diff != "" {
		t.Error(diff)
	}
}

func startAnother(t *testing.T, exe string) proc.Process {
	t.Helper()
	cmd := exec.Command(exe, "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return mapped(t, cmd.Process.Pid, exe)
}

// TestActiveAlready: where the patch is applied already, who is still in old code is counted again.
func TestActiveAlready(t *testing.T) {
	exe, p := start(t)
	k := &lpnltest.Kernel{Active: map[lpnl.Verb]lpnltest.Active{lpnl.VerbApply: {Threads: 1, TID: 9, Function: "f"}}}
	s := session(t, k)
	other := startAnother(t, exe)
	file := write(t, spec(t))
	s.Run(lpnl.VerbApply, file, []proc.Process{p, other}, lpnl.Options{})
	out := s.Run(lpnl.VerbApply, file, []proc.Process{p, other}, lpnl.Options{})
	for _, o := range out {
		if o.Err == nil || o.Report.ActiveThreads != 1 || o.Report.Verb != lpnl.VerbApply {
			t.Errorf("%+v", o)
		}
	}
	if !slices.Equal(k.Recounted, []int{p.PID, other.PID}) {
		t.Errorf("counted in %v", k.Recounted)
	}
}
