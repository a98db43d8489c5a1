// SPDX-License-Identifier: GPL-2.0

package apply_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/lpnltest"
)

// forking is a kernel whose targets have a child at each of the first operations.
type forking struct {
	apply.Kernel
	t        *testing.T
	exe      string
	children int
}

func (k *forking) Op(verb lpnl.Verb, h lpnl.Hash, target lpnl.Target, o lpnl.Options) (lpnl.Report, error) {
	if k.children > 0 {
		k.children--
		cmd := exec.Command(k.exe, "100")
		if err := cmd.Start(); err != nil {
			k.t.Error(err)
		}
		k.t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		mapped(k.t, cmd.Process.Pid, k.exe)
	}
	return k.Kernel.Op(verb, h, target, o)
}

// TestRounds has processes come into being while others are patched: none is missed.
func TestRounds(t *testing.T) {
	exe, p := start(t)
	fake := &lpnltest.Kernel{}
	c, err := fake.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	k := &forking{Kernel: c, t: t, exe: exe}
	s := apply.New(k, proc.New("/proc"))
	file := write(t, spec(t))
	want := 1
	for _, step := range []struct {
		verb  apply.Verb
		sel   apply.Selection
		state lpnl.State
	}{
		{lpnl.VerbApply, apply.Selection{Exe: []string{exe}}, lpnl.StateApplied},
		{lpnl.VerbApply, apply.Selection{Exe: []string{exe}}, lpnl.StateApplied},
		{lpnl.VerbRestore, apply.Selection{Exe: []string{exe}}, lpnl.StateRestored},
	} {
		if step.verb == lpnl.VerbApply {
			k.children = 3
			want += 3
		}
		if _, err := s.RunSelected(step.verb, file, step.sel, lpnl.Options{}); err != nil {
			t.Fatal(err)
		}
		if len(fake.Records) != want {
			t.Fatalf("%s: %d of %d processes", step.verb, len(fake.Records), want)
		}
		for _, r := range fake.Records {
			if r.State != step.state {
				t.Fatalf("%s: %+v", step.verb, r)
			}
		}
	}
	// Who names a process means that one only.
	k.children = 1
	r, err := s.RunSelected(lpnl.VerbApply, file, apply.Selection{PIDs: []int{p.PID}}, lpnl.Options{})
	if err != nil || len(r.Outcomes) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
}

// TestHostileForks has a process fork whenever a process is asked for. Who is refused is not waited for again and again, and who is patched
// and forks on fails nothing that was done: it is told of as what could not be looked at.
func TestHostileForks(t *testing.T) {
	busy := map[lpnl.Verb]lpnltest.Refusal{lpnl.VerbApply: {Refusal: lpnl.RefusalThreadActive, Errno: syscall.EBUSY, Message: "busy"}}
	for _, c := range []struct {
		refuse   map[lpnl.Verb]lpnltest.Refusal
		outcomes int
		goesOn   bool
	}{
		{busy, 2, false},
		{nil, 6, true},
	} {
		exe, _ := start(t)
		client, err := (&lpnltest.Kernel{Refuse: c.refuse}).Client()
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		s := apply.New(&forking{Kernel: client, t: t, exe: exe, children: 10}, proc.New("/proc"))
		s.Limits().Rounds = 5
		r, err := s.RunSelected(lpnl.VerbApply, write(t, spec(t)), apply.Selection{Exe: []string{exe}}, lpnl.Options{})
		goesOn := slices.ContainsFunc(r.Unseen, func(err error) bool {
			return err.Error() == "processes fork faster than they are patched: each of 5 looks found new ones; try again when they fork less"
		})
		if err != nil || len(r.Outcomes) != c.outcomes || goesOn != c.goesOn {
			t.Errorf("%d outcomes, %v, %v; want %d, %t", len(r.Outcomes), r.Unseen, err, c.outcomes, c.goesOn)
		}
	}
}

// starting is a kernel beside which one more process that nobody can look at begins each time that it is asked.
type starting struct {
	apply.Kernel
	*madeUp
	t   *testing.T
	pid int
}

func (k *starting) Status() ([]lpnl.Report, error) {
	k.pid++
	k.process(k.t, k.pid, "/hidden", "/bin/true", "/bin/true")
	for _, name := range []string{"exe", "maps"} {
		hidden := filepath.Join(k.root, fmt.Sprint(k.pid), name)
		if err := errors.Join(os.Remove(hidden), os.Symlink(name, hidden)); err != nil {
			k.t.Fatal(err)
		}
	}
	return k.Kernel.Status()
}

// TestRoundsMiss has a selector that misses, while the number of processes of which it is not known changes.
func TestRoundsMiss(t *testing.T) {
	c, err := (&lpnltest.Kernel{}).Client()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := newMadeUp(t)
	s := apply.New(&starting{c, m, t, 20}, proc.New(m.root))
	r, err := s.RunSelected(lpnl.VerbApply, m.fix, apply.Selection{Exe: []string{"/bin/cat", m.prog}}, lpnl.Options{})
	if err != nil || len(r.Misses) != 1 || !strings.HasPrefix(r.Misses[0].Message, "no process runs /bin/cat, as far as can be seen; of 2 ") {
		t.Errorf("%+v, %v", r, err)
	}
}

// succeeding is a kernel whose first target ends as it is dealt with, after it has started another that is patched.
type succeeding struct {
	apply.Kernel
	t         *testing.T
	exe       string
	successor proc.Process
}

func (k *succeeding) Op(verb lpnl.Verb, h lpnl.Hash, target lpnl.Target, o lpnl.Options) (lpnl.Report, error) {
	if k.successor.PID != 0 {
		return k.Kernel.Op(verb, h, target, o)
	}
	k.successor = startAnother(k.t, k.exe)
	if _, err := k.Kernel.Op(verb, h, lpnl.Target{PID: k.successor.PID, StartTime: k.successor.StartTime}, o); err != nil {
		k.t.Fatal(err)
	}
	if err := syscall.Kill(target.PID, syscall.SIGKILL); err != nil {
		k.t.Fatal(err)
	}
	for range 1000 {
		if _, err := proc.New("/proc").Process(target.PID); apply.Gone(err) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	r := lpnl.Report{Refusal: lpnl.RefusalTargetGone, Message: "it has ended"}
	return r, &lpnl.Refused{Report: r}
}

// TestRoundsSuccessor has the only process end before its turn, and a successor that is as it should be.
func TestRoundsSuccessor(t *testing.T) {
	exe, _ := start(t)
	c, err := (&lpnltest.Kernel{}).Client()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	k := &succeeding{Kernel: c, t: t, exe: exe}
	r, err := apply.New(k, proc.New("/proc")).RunSelected(lpnl.VerbApply, write(t, spec(t)), apply.Selection{Exe: []string{exe}}, lpnl.Options{})
	if err != nil || len(r.Misses) != 0 || len(r.Outcomes) != 1 || !r.Outcomes[0].Settled || r.Outcomes[0].Process != k.successor {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestPIDReused gives a process that has ended, and whose pid is another's by now.
func TestPIDReused(t *testing.T) {
	_, p := start(t)
	p.StartTime--
	k := &lpnltest.Kernel{}
	out := session(t, k).Run(lpnl.VerbApply, write(t, spec(t)), []proc.Process{p}, lpnl.Options{})
	if !apply.Gone(out[0].Err) || out[0].Err.Error() != p.String()+" ended meanwhile" || len(k.Records) != 0 {
		t.Fatalf("%+v, records %+v", out[0], k.Records)
	}
}
