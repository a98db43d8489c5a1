// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lpatch/pkg/lpnl"
)

// opThreads returns the kernel threads that do operations on a process.
func opThreads(t *testing.T, pid int) []int {
	t.Helper()
	var list []int
	for _, p := range pids(t) {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p))
		if err == nil && strings.TrimSpace(string(comm)) == fmt.Sprintf("lpatch/%d", pid) {
			list = append(list, p)
		}
	}
	return list
}

// operates tells whether an operation on a process is in a function of the kernel.
func operates(t *testing.T, pid int, function string) bool {
	t.Helper()
	return slices.ContainsFunc(opThreads(t, pid), func(thread int) bool { return inKernel(thread, function) })
}

// waitInside waits until an operation on a process is in a function of the kernel.
func waitInside(t *testing.T, pid int, function string) {
	t.Helper()
	waitFor(t, "the operation to be in "+function, func() bool { return operates(t, pid, function) })
}

// wantSymbols fails if no stack can have these functions, because a compiler inlined one or somebody renamed it. The list of
// all takes a while to read.
func wantSymbols(t *testing.T, functions ...string) {
	t.Helper()
	symbols, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		t.Fatal(err)
	}
	for _, function := range functions {
		if !strings.Contains(string(symbols), " "+function+"\t[lpatch]\n") && !strings.Contains(string(symbols), " "+function+"\n") {
			t.Fatalf("the kernel has no function %s", function)
		}
	}
}

// manyFixups adds a page of data to a patch, and so many fix-ups that a load takes a while.
func manyFixups(p *lpnl.Patch) {
	p.Segments = append(p.Segments, lpnl.Segment{Vaddr: pageSize, Size: pageSize, Prot: lpnl.SegmentProtRead | lpnl.SegmentProtWrite})
	for i := range 20000 {
		place := uint64(pageSize + 8*(i%512))
		p.Fixups = append(p.Fixups, lpnl.Fixup{Place: place, Image: -1, Addend: int64(place), Kind: lpnl.FixupKindAbs64})
	}
}

// ending is a way in which a target ends, or goes on as something else.
type ending struct {
	name  string
	end   func(*victim)
	lives bool // the memory is still there afterwards
}

var endings = []ending{
	{name: "kill", end: func(v *victim) { syscall.Kill(v.pid, syscall.SIGKILL) }},
	{name: "exec", end: func(v *victim) { fmt.Fprintln(v.in, "exec") }},
	{name: "quit", end: func(v *victim) { fmt.Fprintln(v.in, "quit") }},
	{name: "orphan", end: func(v *victim) { fmt.Fprintln(v.in, "orphan") }, lives: true},
}

// TestTargetDiesAt ends the target in each way at each step of an operation: before and between the fix-ups, while the
// operation waits for another client's, while its own window is open, and while it waits for a thread to leave a function.
//
//machine:preempts
func TestTargetDiesAt(t *testing.T) {
	wantSymbols(t, "lp_op_lock_target", "lp_attempts")
	rival := dial(t)
	q := rawPatch(t, fixtures+"victim", "value")
	transfer(t, rival, q)
	for _, step := range []string{"fixups", "lock", "window", "retry"} {
		for _, e := range endings {
			t.Run(step+"-"+e.name, func(t *testing.T) { dieAt(t, step, e, rival, q) })
		}
	}
	rival.Close()
	removeModule(t)
}

func dieAt(t *testing.T, step string, e ending, rival *lpnl.Client, q *lpnl.Patch) {
	v := startVictim(t, "victim", "-t", "2", "-m", "sleep")
	c := dial(t)
	calls := newCounter(t, v, "calls")
	p := rawPatch(t, v.path, map[bool]string{true: "dwell", false: "value"}[step == "retry"])
	verb := lpnl.VerbApply
	switch step {
	case "fixups":
		verb = lpnl.VerbLoad
		manyFixups(p)
	case "lock":
		occupy(t, rival, q, v)
	case "window":
		setDelay(t, 500*time.Millisecond)
	case "retry":
		v.ask("dwell")
	}
	transfer(t, c, p)
	done := make(chan error, 1)
	go func() {
		_, err := c.Op(verb, p.Hash, lpnl.Target{PID: v.pid}, lpnl.Options{MaxStop: 5 * time.Second, Timeout: patience(2 * time.Second)})
		done <- err
	}()
	switch step {
	case "fixups":
		waitFor(t, "the mapping", func() bool { return strings.Contains(maps(t, v.pid), "/raw") })
	case "lock":
		waitInside(t, v.pid, "lp_op_lock_target")
	case "window":
		waitFor(t, "the window", func() bool { return held(t, v.pid) })
		setDelay(t, 0)
	case "retry":
		waitInside(t, v.pid, "lp_attempts")
	}
	e.end(v)
	if step == "lock" {
		release(t)
	}
	err := <-done
	var refused *lpnl.Refused
	if err != nil && (!errors.As(err, &refused) || refused.Report.Message == "") {
		t.Fatalf("%s: %v, which is no sentence", verb, err)
	}
	if e.lives {
		wantAlive(t, c, calls, step, err)
		syscall.Kill(v.pid, syscall.SIGKILL)
	}
	wantNoTargets(t, c)
	c.Close()
	waitFor(t, "the patch file to be free", func() bool { return isFree(p.File.Name()) })
}

// wantAlive looks at a process whose first thread has ended: the others go on, and the operation was carried out.
func wantAlive(t *testing.T, c *lpnl.Client, calls counter, step string, err error) {
	t.Helper()
	at := calls.read()
	waitFor(t, "the other threads to go on", func() bool { return calls.read() != at })
	want := lpnl.StateApplied
	switch step {
	case "fixups":
		want = lpnl.StateLoaded
	case "retry":
		want = lpnl.StateNone // the thread that dwells is one of the others
	}
	if state, _ := stateOf(t, c); state != want || (err != nil) != (want == lpnl.StateNone) {
		t.Fatalf("the state is %v, want %v; %v", state, want, err)
	}
}

// occupied is how long occupy keeps a window open that nobody releases: longer than any operation of the tests may wait.
const occupied = 15 * time.Second

// occupy opens another client's window, which ends with the test, or at release.
func occupy(t *testing.T, rival *lpnl.Client, q *lpnl.Patch, of *victim) {
	t.Helper()
	setDelay(t, occupied)
	done := make(chan bool)
	go func() {
		defer close(done)
		rival.Op(lpnl.VerbCheck, q.Hash, lpnl.Target{PID: of.pid}, rawOptions)
	}()
	t.Cleanup(func() {
		release(t)
		<-done
	})
	waitFor(t, "a window", func() bool { return held(t, of.pid) })
	setDelay(t, 0)
}

// TestLpctlTargetDies kills the target while lpctl waits for another client's operation on it: it says what happened.
//
//machine:slow
func TestLpctlTargetDies(t *testing.T) {
	wantSymbols(t, "lp_op_lock_target")
	v := startVictim(t, "victim", "-t", "2", "-m", "sleep")
	rival := dial(t)
	q := rawPatch(t, v.path, "value")
	transfer(t, rival, q)
	occupy(t, rival, q, v)
	ended := make(chan bool)
	go func() {
		defer close(ended)
		waitInside(t, v.pid, "lp_op_lock_target")
		syscall.Kill(v.pid, syscall.SIGKILL)
		v.cmd.Wait()
		release(t)
	}()
	status, stdout, stderr := run(t, exec.Command("lpctl", "apply", fixtures+"victim.lp", "--pid", fmt.Sprint(v.pid)))
	<-ended
	if want := fmt.Sprintf("lpctl: victim[%d] ended meanwhile\n", v.pid); status != 1 || stdout != "" || stderr != want {
		t.Fatalf("lpctl apply: %d\n%s%swant %s", status, stdout, stderr, want)
	}
	wantNoTargets(t, rival)
}
