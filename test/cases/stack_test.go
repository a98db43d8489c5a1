// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
)

// shortly is for operations that are to be refused: long enough for several attempts.
var shortly = lpnl.Options{MaxStop: rawOptions.MaxStop, Timeout: time.Second}

// enter has a thread of stacks.c go where it is in the way, and returns its id.
func (v *victim) enter(how string) int {
	v.t.Helper()
	var tid int
	if line := v.ask("enter " + how); !parse(line, "in %d", &tid) {
		v.t.Fatalf("the program says %q", line)
	}
	return tid
}

// wantBusy applies p, which must be refused with this sentence about a thread, and lets the thread leave; then it must
// work.
func wantBusy(t *testing.T, c *lpnl.Client, v *victim, p *lpnl.Patch, tid int, refusal lpnl.Refusal, message string) {
	t.Helper()
	var r lpnl.Report
	for o := shortly; r.Attempts < 2; o.Timeout *= 4 { // a slow machine may make one attempt only
		r = refuse(t, c, lpnl.VerbApply, p, v.pid, o, refusal)
		if r.Message != message || r.TID != tid {
			t.Fatalf("refused because of thread %d with\n%s\nwant thread %d and\n%s", r.TID, r.Message, tid, message)
		}
		if r.Attempts < 2 && o.Timeout > patience(time.Minute) {
			t.Fatalf("%d attempts only in %v", r.Attempts, o.Timeout)
		}
	}
	if got := v.ask("leave"); got != "left" {
		t.Fatalf("the program says %q", got)
	}
	do(t, c, lpnl.VerbApply, p, v.pid)
	do(t, c, lpnl.VerbRestore, p, v.pid)
	do(t, c, lpnl.VerbUnload, p, v.pid)
	v.wantValue(1)
}

// ret is the body of a function that does nothing.
var ret = []byte{0xc3}

// TestBusyThreads finds a thread that is in the way however it is so, names it, and goes on when it has left.
//
//machine:preempts
func TestBusyThreads(t *testing.T) {
	const (
		executing = "is executing outer"
		stack     = "has on its stack an address inside outer"
		alternate = "is on its alternate signal stack, and the stack that it left cannot be searched"
	)
	for _, way := range []struct {
		how, sentence string
		refusal       lpnl.Refusal
	}{
		{"plain", stack, lpnl.RefusalThreadActive},
		{"spin", executing, lpnl.RefusalThreadActive},
		{"register", "has in a register an address inside outer", lpnl.RefusalThreadActive},
		{"deep", stack, lpnl.RefusalThreadActive},
		{"split", stack, lpnl.RefusalThreadActive},
		{"tiny", stack, lpnl.RefusalThreadActive},
		{"huge", stack, lpnl.RefusalThreadActive},
		{"signal", stack, lpnl.RefusalThreadActive},
		{"alternate", alternate, lpnl.RefusalThreadSignalStack},
		{"disarmed", alternate, lpnl.RefusalThreadSignalStack},
		{"vfork", stack, lpnl.RefusalThreadActive},
		{"process", stack, lpnl.RefusalThreadActive},
	} {
		t.Run(way.how, func(t *testing.T) {
			v := startVictim(t, "stacks")
			c := dial(t)
			p := rawPatchWith(t, v.path, "outer", ret)
			transfer(t, c, p)
			tid := v.enter(way.how)
			wantBusy(t, c, v, p, tid, way.refusal, fmt.Sprintf("thread %d (%s) %s", tid, way.how, way.sentence))
		})
	}
}

// TestDeepStack searches 8 MiB of the stack of a thread that runs, which can be done in the window only. With a limit of half
// of what that takes it is refused, and the search does not go on to its end. Nothing is measured but against itself: a
// machine that is busy with others makes times longer, never shorter, so one good try is enough.
//
//machine:preempts
func TestDeepStack(t *testing.T) {
	v := startVictim(t, "stacks")
	c := dial(t)
	p := rawPatchWith(t, v.path, "outer", ret)
	transfer(t, c, p)
	v.enter("deepspin")
	whole := time.Hour
	measure := func() {
		for range 10 {
			whole = min(whole, do(t, c, lpnl.VerbCheck, p, v.pid).Check)
		}
	}
	measure()
	var tries []time.Duration
	for range 100 {
		limit := (whole / 2).Truncate(time.Microsecond)
		r, err := c.Op(lpnl.VerbCheck, p.Hash, lpnl.Target{PID: v.pid}, lpnl.Options{MaxStop: limit})
		if err == nil {
			whole = r.Check // it was not alone before
			continue
		}
		if r.Refusal == lpnl.RefusalThreadRunning {
			continue // it did not come to its gate in time
		}
		want := fmt.Sprintf("stopping the 2 threads of stacks[%d] would take longer than the limit of %d us", v.pid, limit.Microseconds())
		if r.Message != want {
			t.Fatalf("refused with\n%s\nwant\n%s", r.Message, want)
		}
		if r.Stop < whole*3/4 {
			measure() // or it was the machine that became faster
		}
		if r.Stop < whole*3/4 {
			t.Logf("a search of %v was ended after %v", whole, r.Stop)
			v.ask("leave")
			return
		}
		tries = append(tries, r.Stop)
	}
	t.Fatalf("the search takes %v, and was never ended in the middle: %v", whole, tries)
}

// TestRestart finds a thread that sleeps in a system call whose instruction is the last of the overwritten ones: its
// instruction pointer is behind them, but when a signal restarts the call it is at that instruction.
func TestRestart(t *testing.T) {
	v := startVictim(t, "stacks")
	c := dial(t)
	p := rawPatchWith(t, v.path, "again", ret)
	p.Functions = nil
	transfer(t, c, p)
	tid := v.enter("restart")
	refused := func(call int, how string) {
		t.Helper()
		waitFor(t, fmt.Sprintf("thread %d to sleep in system call %d", tid, call), func() bool {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/syscall", v.pid, tid))
			return err == nil && strings.HasPrefix(string(b), fmt.Sprint(call, " "))
		})
		r := refuse(t, c, lpnl.VerbApply, p, v.pid, shortly, lpnl.RefusalThreadActive)
		if want := fmt.Sprintf("thread %d (restart) %s again", tid, how); r.Message != want {
			t.Fatalf("refused with\n%s\nwant\n%s", r.Message, want)
		}
	}
	refused(unix.SYS_READ, "is executing")
	if err := unix.Tgkill(v.pid, tid, unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	refused(unix.SYS_FUTEX, "has on its stack an address inside") // in the signal frame, of the call that was taken back
	if got := v.ask("leave"); got != "left" {
		t.Fatalf("the program says %q: the call was not restarted", got)
	}
	do(t, c, lpnl.VerbApply, p, v.pid)
	do(t, c, lpnl.VerbRestore, p, v.pid)
	do(t, c, lpnl.VerbUnload, p, v.pid)
	v.wantValue(1)
}

// TestEndlessStack has a stack of which nobody can say where it ends: refused.
//
//machine:preempts
func TestEndlessStack(t *testing.T) {
	v := startVictim(t, "stacks")
	c := dial(t)
	p := rawPatchWith(t, v.path, "outer", ret)
	transfer(t, c, p)
	tid := v.enter("lost")
	r := refuse(t, c, lpnl.VerbApply, p, v.pid, shortly, lpnl.RefusalStackUnreadable)
	if want := fmt.Sprintf("the stack of thread %d (lost) cannot be read", tid); r.Message != want {
		t.Fatalf("the sentence is %q, want %q", r.Message, want)
	}
	v.ask("leave") // or the process outlives the program
}

// TestLookalikes patches while a thread that is nowhere near the function has its stack in a mapping that is far too large to
// be searched, below a heap that is full of addresses of the function, or has words on it that look like an alternate stack.
func TestLookalikes(t *testing.T) {
	for _, how := range []string{"hugeaway", "heapaway", "alike"} {
		t.Run(how, func(t *testing.T) {
			v := startVictim(t, "stacks")
			c := dial(t)
			v.enter(how)
			p := rawPatchWith(t, v.path, "outer", ret)
			transfer(t, c, p)
			do(t, c, lpnl.VerbApply, p, v.pid)
			do(t, c, lpnl.VerbRestore, p, v.pid)
			do(t, c, lpnl.VerbUnload, p, v.pid)
			v.ask("leave")
			v.wantValue(1)
		})
	}
}

// probe puts a uprobe on an address of a program through tracefs, for the duration of the test. kind is p or r (at
// return). It returns what tells how often it was hit.
func probe(t *testing.T, kind, path, symbol string) func() int {
	t.Helper()
	write := func(file, text string, flag int) error {
		f, err := os.OpenFile(tracing+file, os.O_WRONLY|flag, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString(text)
		return err
	}
	event := fmt.Sprintf("%s:lpatch/%s %s:%#x\n", kind, symbol, path, lookUp(t, path, symbol).offset)
	if err := write("uprobe_events", event, os.O_APPEND); err != nil {
		t.Fatalf("%s: %v", event, err)
	}
	enable := "events/lpatch/" + symbol + "/enable"
	t.Cleanup(func() {
		if err := write(enable, "0", 0); err != nil {
			t.Error(err)
		}
		if err := write("uprobe_events", "-:lpatch/"+symbol, os.O_APPEND); err != nil {
			t.Error(err)
		}
	})
	if err := write(enable, "1", 0); err != nil {
		t.Fatal(err)
	}
	return func() int {
		t.Helper()
		profile, err := os.ReadFile(tracing + "uprobe_profile")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(profile)) {
			fields := strings.Fields(line)
			var hits int
			if len(fields) >= 3 && fields[1] == symbol && parse(fields[2], "%d", &hits) {
				return hits
			}
		}
		t.Fatalf("no %s in\n%s", symbol, profile)
		return 0
	}
}

// TestReturnProbe hides a return address behind a uretprobe.
func TestReturnProbe(t *testing.T) {
	v := startVictim(t, "stacks")
	c := dial(t)
	p := rawPatchWith(t, v.path, "outer", ret)
	transfer(t, c, p)
	hits := probe(t, "r", v.path, "inner")
	tid := v.enter("plain")
	wantBusy(t, c, v, p, tid, lpnl.RefusalThreadActive,
		fmt.Sprintf("thread %d (plain) has on its stack an address inside outer", tid))
	if n := hits(); n != 1 {
		t.Fatalf("the probe was hit %d times, want 1", n)
	}
}

// TestOutOfLine finds a thread in the middle of an instruction that it executes elsewhere, because there is a uprobe on it.
//
//machine:preempts
func TestOutOfLine(t *testing.T) {
	v := startVictim(t, "stacks")
	c := dial(t)
	p := rawPatchWith(t, v.path, "peek", ret)
	transfer(t, c, p)
	hits := probe(t, "p", v.path, "peek_load")
	tid := v.enter("fault")
	wantBusy(t, c, v, p, tid, lpnl.RefusalThreadActive, fmt.Sprintf("thread %d (fault) is executing peek", tid))
	if n := hits(); n != 1 {
		t.Fatalf("the probe was hit %d times, want 1", n)
	}
}
