// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"lpatch/pkg/lpnl"
)

// wantEnd runs lpctl and wants an exit status, a line on stdout, and nothing else there.
func wantEnd(t *testing.T, want int, line string, args ...string) {
	t.Helper()
	status, stdout, stderr := lpctl(t, args...)
	if status != want || !regexp.MustCompile("^"+line+"\n$").MatchString(stdout) {
		t.Fatalf("lpctl %s: exit status %d, want %d\n%s%swant %s", strings.Join(args, " "), status, want, stdout, stderr, line)
	}
}

// wantState asks lpctl what state a process is in, as people read it and as programs do.
func wantState(t *testing.T, pid int, state string, active int) {
	t.Helper()
	status, stdout, stderr := lpctl(t, "status", "--pid", fmt.Sprint(pid))
	if status != 0 || !strings.Contains(stdout, "  "+state+"  ") {
		t.Fatalf("status: %d, want %s\n%s%s", status, state, stdout, stderr)
	}
	_, stdout, _ = lpctl(t, "status", "--json", "--pid", fmt.Sprint(pid))
	var got struct {
		Active int `json:"active_threads"`
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || got.Active != active {
		t.Fatalf("%d active threads (%v), want %d: %s", got.Active, err, active, stdout)
	}
}

// TestActiveLoop patches a function that four threads never leave by themselves: whoever asks is told so until they have.
//
//machine:preempts
func TestActiveLoop(t *testing.T) {
	v := startVictim(t, "turns")
	lp, pid := fixtures+"turns.lp", fmt.Sprint(v.pid)
	v.ask("start 4")
	where := fmt.Sprintf(`turns\[%d\]: 1 function, 5 threads, stopped [0-9.]+ (µs|ms|s) \(limit 2 s\), `, v.pid)
	limits := []string{"--pid", pid, "--max-stop", "2s", "--timeout", "20s"}
	wantEnd(t, 0, `checked turns: can be applied to `+where+`4 threads would stay in old code: turn \(thread \d+\)`,
		append([]string{"check", lp}, limits...)...)
	wantEnd(t, 6, `applied turns to `+where+`4 threads in old code: turn \(thread \d+\)`, append([]string{"apply", lp}, limits...)...)
	wantState(t, v.pid, "applied, 4 calls in old code", 4)
	v.ask("leave 1")
	wantState(t, v.pid, "applied, 3 calls in old code", 3)
	status, _, stderr := lpctl(t, "apply", lp, "--pid", pid)
	if want := fmt.Sprintf(`^lpctl: turns\[%d\]: patch turns is applied in turns\[%d\] already, 3 threads in old code: turn \(thread \d+\)`+
		"\n$", v.pid, v.pid); status != 6 || !regexp.MustCompile(want).MatchString(stderr) {
		t.Fatalf("apply again: %d %s", status, stderr)
	}
	v.ask("start 1") // in the new code: nobody's business
	v.ask("leave 3") // whichever: three of four
	_, stdout, _ := lpctl(t, "status", "--prometheus")
	if n := strings.Count(stdout, `lpatch_threads_in_old_code{patch="turns",state="applied"} `); n != 1 {
		t.Fatalf("the metrics have the number %d times:\n%s", n, stdout)
	}
	v.ask("leave 1")
	wantState(t, v.pid, "applied", 0)
	status, _, stderr = lpctl(t, "apply", lp, "--pid", pid)
	if status != 3 {
		t.Fatalf("apply when nobody is in old code any more: %d %s", status, stderr)
	}
}

// TestActiveRestore takes out a patch that two threads never leave by themselves.
//
//machine:preempts
func TestActiveRestore(t *testing.T) {
	v := startVictim(t, "turns")
	lp, pid := fixtures+"turns.lp", fmt.Sprint(v.pid)
	limits := []string{"--pid", pid, "--max-stop", "2s", "--timeout", "2s"}
	wantDone(t, "applied turns to .*", append([]string{"apply", lp}, limits...)...)
	v.ask("start 2")
	in := fmt.Sprintf(`turns\[%d\]: .*, 2 threads in old code: patch turns \(thread \d+\)`, v.pid)
	wantEnd(t, 6, "restored turns in "+in, append([]string{"restore", "turns"}, limits...)...)
	wantState(t, v.pid, "restored, 2 calls in old code", 2)
	status, _, stderr := lpctl(t, append([]string{"restore", "turns"}, limits...)...)
	if status != 6 || !strings.Contains(stderr, "already, 2 threads in old code: patch turns (thread ") {
		t.Fatalf("restore again: %d %s", status, stderr)
	}
	v.ask("leave 2")
	wantState(t, v.pid, "restored", 0)

	wantDone(t, "applied turns to .*", append([]string{"apply", lp}, limits...)...)
	v.ask("start 1")
	status, stdout, stderr := lpctl(t, append([]string{"revert", "turns"}, limits...)...)
	if status != 6 || !strings.HasPrefix(stdout, "restored turns in ") || !strings.Contains(stdout, "1 thread in old code: patch turns") ||
		!strings.Contains(stderr, "patch turns is restored and stays mapped: thread ") {
		t.Fatalf("revert: %d\n%s%s", status, stdout, stderr)
	}
	v.ask("leave 1")
	wantDone(t, "reverted turns in .*", append([]string{"revert", "turns"}, limits...)...)
}

// TestActiveMain patches main alone, which is entered once.
//
//machine:preempts
func TestActiveMain(t *testing.T) {
	v := startVictim(t, "turns")
	pid := fmt.Sprint(v.pid)
	wantEnd(t, 6, fmt.Sprintf(`applied turns-main to turns\[%d\]: .*, 1 thread in old code: main \(thread %d\)`, v.pid, v.pid),
		"apply", fixtures+"turns-main.lp", "--pid", pid, "--max-stop", "2s", "--timeout", "20s")
	wantState(t, v.pid, "applied, 1 call in old code", 1)
}

// activePatch makes a patch by hand of turn(), and transfers it.
func activePatch(t *testing.T, c *lpnl.Client, v *victim, name string) *lpnl.Patch {
	t.Helper()
	p := rawPatchWith(t, v.path, "turn", forever)
	p.Name = name
	p.Hash[1] ^= name[0]
	transfer(t, c, p)
	return p
}

var allowTurn = lpnl.Options{MaxStop: rawOptions.MaxStop, Timeout: rawOptions.Timeout, AllowActive: []string{"turn"}}

// active does an operation and wants so many threads in that function or patch.
func active(t *testing.T, c *lpnl.Client, verb lpnl.Verb, p *lpnl.Patch, pid int, o lpnl.Options, n int, function, patch string) lpnl.Report {
	t.Helper()
	r, err := c.Op(verb, p.Hash, lpnl.Target{PID: pid}, o)
	if err != nil || r.ActiveThreads != n || r.ActiveFunction != function || r.ActivePatch != patch || (r.ActiveTID != 0) != (n > 0) {
		t.Fatalf("%s: %d threads in old code, %d in %s%s, %v; want %d, in %s%s", verb, r.ActiveThreads, r.ActiveTID, r.ActiveFunction,
			r.ActivePatch, err, n, function, patch)
	}
	return r
}

// TestRecount counts again, which stops only whom there is a reason to stop.
func TestRecount(t *testing.T) {
	v, quiet := startVictim(t, "turns"), startVictim(t, "turns")
	c := dial(t)
	p := activePatch(t, c, v, "loop")
	refuseWith(t, c, lpnl.VerbRecount, p, v.pid, lpnl.RefusalNotLoaded, fmt.Sprintf("patch loop is not in turns[%d]", v.pid))
	do(t, c, lpnl.VerbLoad, p, v.pid)
	if r := do(t, c, lpnl.VerbRecount, p, v.pid); r.Attempts != 0 {
		t.Fatalf("a process in which nothing was done yet was stopped: %+v", r)
	}
	v.ask("start 3")
	active(t, c, lpnl.VerbApply, p, v.pid, allowTurn, 3, "turn", "")
	do(t, c, lpnl.VerbApply, p, quiet.pid)
	if r := do(t, c, lpnl.VerbRecount, p, quiet.pid); r.Attempts != 0 || r.Verb != lpnl.VerbRecount || r.State != lpnl.StateApplied {
		t.Fatalf("a process without a thread in old code was stopped: %+v", r)
	}
	if r := active(t, c, lpnl.VerbRecount, p, v.pid, rawOptions, 3, "turn", ""); r.Attempts != 1 || r.Threads != 4 {
		t.Fatalf("counted with %d windows and %d threads", r.Attempts, r.Threads)
	}
	v.ask("leave 3")
	setDelay(t, 200*time.Millisecond)
	r := refuse(t, c, lpnl.VerbRecount, p, v.pid, lpnl.Options{MaxStop: 50 * time.Millisecond}, lpnl.RefusalDeadline)
	if r.ActiveThreads != 3 {
		t.Fatalf("after a recount that failed there are %d threads, want the 3 of before", r.ActiveThreads)
	}
	setDelay(t, 0)
	active(t, c, lpnl.VerbRecount, p, v.pid, rawOptions, 0, "", "")
	if r := do(t, c, lpnl.VerbRecount, p, v.pid); r.Attempts != 0 {
		t.Fatal("it was stopped again when everybody had left")
	}
}

// TestRecountUnreadable has a thread that nobody can read: that does not mean that those of before have left.
func TestRecountUnreadable(t *testing.T) {
	v := startVictim(t, "stacks")
	c := dial(t)
	p := rawPatchWith(t, v.path, "peek", ret)
	transfer(t, c, p)
	v.enter("fault")
	allow := rawOptions
	allow.AllowActive = []string{"peek"}
	active(t, c, lpnl.VerbApply, p, v.pid, allow, 1, "peek", "")
	tid := v.enter("alternate")
	short := lpnl.Options{MaxStop: rawOptions.MaxStop, Timeout: 100 * time.Millisecond}
	r := refuse(t, c, lpnl.VerbRecount, p, v.pid, short, lpnl.RefusalThreadSignalStack)
	why := fmt.Sprintf("thread %d (alternate) is on its alternate signal stack, and the stack that it left cannot be searched", tid)
	if r.ActiveThreads != 1 || r.Message != why {
		t.Fatalf("%d threads after %s", r.ActiveThreads, r.Message)
	}
	status, stdout, stderr := lpctl(t, "status", "--pid", fmt.Sprint(v.pid))
	note := fmt.Sprintf("lpctl: note: stacks[%d]: who is still in old code could not be counted again: %s\n", v.pid, why)
	if status != 0 || !strings.Contains(stdout, "  applied, 1 call in old code  ") || stderr != note {
		t.Fatalf("status: %d\n%s%s", status, stdout, stderr)
	}
	v.ask("leave")
	waitFor(t, "the thread to leave", func() bool { return do(t, c, lpnl.VerbRecount, p, v.pid).ActiveThreads == 0 })
}

// TestActiveWays counts a thread that is in the old code in any of the ways in which it would be in the way, and once.
//
//machine:preempts
func TestActiveWays(t *testing.T) {
	for _, how := range []string{"plain", "spin", "register", "deep", "split", "tiny", "huge", "signal", "vfork", "process"} {
		t.Run(how, func(t *testing.T) {
			v := startVictim(t, "stacks")
			c := dial(t)
			p := rawPatchWith(t, v.path, "outer", ret)
			transfer(t, c, p)
			tid := v.enter(how)
			allow := rawOptions
			allow.AllowActive = []string{"outer"}
			r := active(t, c, lpnl.VerbApply, p, v.pid, allow, 1, "outer", "")
			if r.ActiveTID != tid {
				t.Fatalf("thread %d, want %d", r.ActiveTID, tid)
			}
			v.ask("leave")
			waitFor(t, "the thread to leave", func() bool { return do(t, c, lpnl.VerbRecount, p, v.pid).ActiveThreads == 0 })
		})
	}
}

// TestActiveFork lets a process fork in old code: the child is not done with before its own thread has left.
//
//machine:preempts
func TestActiveFork(t *testing.T) {
	v := startVictim(t, "turns")
	c := dial(t)
	p := activePatch(t, c, v, "loop")
	v.ask("start 1")
	active(t, c, lpnl.VerbApply, p, v.pid, allowTurn, 1, "turn", "")
	var child int
	if _, err := fmt.Sscanf(v.ask("fork"), "child %d", &child); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(child, syscall.SIGKILL) })
	v.ask("leave 1")
	active(t, c, lpnl.VerbRecount, p, v.pid, rawOptions, 0, "", "")
	wantState(t, child, "applied, 1 call in old code", 1)
	if err := syscall.Kill(child, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the child's thread to leave", func() bool { return do(t, c, lpnl.VerbRecount, p, child).ActiveThreads == 0 })
	wantState(t, child, "applied", 0)
}

// TestActiveLayers has threads in old code, in the code of a patch that another one covers, and in that of one that was
// restored: all of it is code from before.
//
//machine:preempts
func TestActiveLayers(t *testing.T) {
	v := startVictim(t, "turns")
	c := dial(t)
	below, above := activePatch(t, c, v, "below"), activePatch(t, c, v, "above")
	v.ask("start 2")
	active(t, c, lpnl.VerbApply, below, v.pid, allowTurn, 2, "turn", "")
	active(t, c, lpnl.VerbApply, above, v.pid, allowTurn, 2, "turn", "")
	active(t, c, lpnl.VerbRestore, above, v.pid, allowTurn, 0, "", "")
	active(t, c, lpnl.VerbRestore, below, v.pid, allowTurn, 0, "", "") // they are where they belong
	v.ask("leave 2")
	do(t, c, lpnl.VerbUnload, below, v.pid)
	do(t, c, lpnl.VerbUnload, above, v.pid)

	w := startVictim(t, "victim")
	low, high := rawPatchWith(t, w.path, "straddle", forever), layer(t, c, w.path, "high", 2, "straddle")
	low.Name = "low"
	transfer(t, c, low)
	r := do(t, c, lpnl.VerbApply, low, w.pid)
	w.spin(fmt.Sprintf("call %#x", r.MappedAt))
	allow := allowTurn
	allow.AllowActive = []string{"straddle"}
	active(t, c, lpnl.VerbApply, high, w.pid, allow, 1, "", "low")
	active(t, c, lpnl.VerbRecount, low, w.pid, rawOptions, 0, "", "")
	active(t, c, lpnl.VerbRecount, high, w.pid, rawOptions, 1, "", "low")
	active(t, c, lpnl.VerbRestore, high, w.pid, allow, 0, "", "")
	active(t, c, lpnl.VerbRestore, low, w.pid, allow, 1, "", "low")
	short := lpnl.Options{MaxStop: rawOptions.MaxStop, Timeout: 100 * time.Millisecond}
	got := refuse(t, c, lpnl.VerbApply, high, w.pid, short, lpnl.RefusalThreadActive)
	if want := fmt.Sprintf("thread %d (victim) is executing patch low", got.TID); got.Message != want {
		t.Fatalf("%q, want %q", got.Message, want)
	}
	active(t, c, lpnl.VerbApply, high, w.pid, allow, 1, "", "low")
}

// TestActiveReplace replaces a patch with another one while threads are in the old function.
//
//machine:preempts
func TestActiveReplace(t *testing.T) {
	v := startVictim(t, "turns")
	c := dial(t)
	first, second := activePatch(t, c, v, "first"), activePatch(t, c, v, "second")
	v.ask("start 2")
	active(t, c, lpnl.VerbApply, first, v.pid, allowTurn, 2, "turn", "")
	replace := allowTurn
	replace.Replace = true
	active(t, c, lpnl.VerbApply, second, v.pid, replace, 2, "turn", "")
	list, err := c.Status()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		if want := map[string]int{"second": 2}[r.Patch]; r.PID == v.pid && r.ActiveThreads != want {
			t.Fatalf("patch %s, %v: %d threads in old code, want %d", r.Patch, r.State, r.ActiveThreads, want)
		}
	}
	v.ask("leave 2")
	active(t, c, lpnl.VerbRecount, second, v.pid, rawOptions, 0, "", "")
}
