// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
)

// steps are the system calls of lpctl by which it changes something outside of itself, or lets go of something. It is
// killed on the way into each of them, so that the kernel has done what came before, and not this one.
var steps = map[uint64]bool{
	unix.SYS_CLOSE: true, unix.SYS_WRITE: true, unix.SYS_EXIT_GROUP: true, unix.SYS_PIDFD_OPEN: true, unix.SYS_SOCKET: true,
	unix.SYS_BIND: true, unix.SYS_SETSOCKOPT: true, unix.SYS_SENDMSG: true, unix.SYS_SENDTO: true, unix.SYS_RECVMSG: true,
}

// talks are those of them by which it talks to the kernel module.
var talks = map[uint64]bool{unix.SYS_SENDMSG: true, unix.SYS_SENDTO: true, unix.SYS_RECVMSG: true}

// keeps are those by which lpctl boot changes what is kept for the next boot. The requests to the kernel come between them.
var keeps = map[uint64]bool{
	unix.SYS_FSYNC: true, unix.SYS_MKDIRAT: true, unix.SYS_RENAMEAT: true, unix.SYS_RENAMEAT2: true, unix.SYS_UNLINKAT: true,
	unix.SYS_EXIT_GROUP: true,
}

// tracee is a program under ptrace that is killed at a step.
type tracee struct {
	pid   int
	steps map[uint64]bool
	inner map[int]bool // threads that are inside a system call
	left  int          // steps to go
	at    uint64       // the system call at which it was killed
	died  bool
}

// killAtStep runs lpctl and kills it at the k-th of these system calls. It returns the number of the call, or false if lpctl
// was done before. All threads count together.
func killAtStep(t *testing.T, steps map[uint64]bool, k int, args ...string) (uint64, bool) {
	t.Helper()
	runtime.LockOSThread() // the tracer is a thread
	defer runtime.UnlockOSThread()
	path, err := exec.LookPath("lpctl")
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	p, err := os.StartProcess(path, append([]string{"lpctl"}, args...), &os.ProcAttr{
		Env: os.Environ(), Files: []*os.File{null, null, null}, Sys: &syscall.SysProcAttr{Ptrace: true, Setpgid: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release() // reaped below, with its threads
	var ws unix.WaitStatus
	if _, err := unix.Wait4(p.Pid, &ws, 0, nil); err != nil {
		t.Fatal(err)
	}
	options := unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(p.Pid, options); err != nil {
		t.Fatal(err)
	}
	tr := &tracee{pid: p.Pid, steps: steps, inner: map[int]bool{}, left: k}
	if err := unix.PtraceSyscall(p.Pid, 0); err != nil {
		t.Fatal(err)
	}
	for {
		tid, err := unix.Wait4(-p.Pid, &ws, unix.WALL, nil)
		if errors.Is(err, unix.ECHILD) {
			return tr.at, tr.died
		}
		if err == nil && ws.Stopped() {
			tr.stopped(tid, ws)
		}
	}
}

// stopped deals with one stop of a thread, and lets it go on.
func (tr *tracee) stopped(tid int, ws unix.WaitStatus) {
	deliver := 0
	switch sig := ws.StopSignal(); sig {
	case unix.SIGTRAP | 0x80:
		tr.inner[tid] = !tr.inner[tid]
		var regs unix.PtraceRegs
		if !tr.inner[tid] || unix.PtraceGetRegs(tid, &regs) != nil || !tr.steps[regs.Orig_rax] {
			break
		}
		if tr.left--; tr.left == 0 {
			tr.at, tr.died = regs.Orig_rax, true
			unix.Kill(tr.pid, unix.SIGKILL)
			return
		}
	case unix.SIGTRAP, unix.SIGSTOP: // a new thread
	default:
		deliver = int(sig)
	}
	unix.PtraceSyscall(tid, deliver) // no error but that it is gone
}

// stateOf is the one record's state, with its hash, or StateNone.
func stateOf(t *testing.T, c *lpnl.Client) (lpnl.State, lpnl.Hash) {
	t.Helper()
	list, err := c.Status()
	if err != nil || len(list) > 1 {
		t.Fatalf("status: %+v, %v", list, err)
	}
	if len(list) == 0 {
		return lpnl.StateNone, lpnl.Hash{}
	}
	return list[0].State, list[0].Hash
}

// bring takes the target from any state to another, by what the kernel has.
func bring(t *testing.T, c *lpnl.Client, v *victim, lp string, want lpnl.State) {
	t.Helper()
	for range 10 {
		state, hash := stateOf(t, c)
		verb := lpnl.VerbUnload
		switch {
		case state == want:
			return
		case state == lpnl.StateNone:
			if status, _, stderr := lpctl(t, "load", lp, "--pid", fmt.Sprint(v.pid)); status != 0 {
				t.Fatalf("load: %d %s", status, stderr)
			}
			continue
		case state == lpnl.StateApplied:
			verb = lpnl.VerbRestore
		case want != lpnl.StateNone:
			verb = lpnl.VerbApply
		}
		if _, err := c.Op(verb, hash, lpnl.Target{PID: v.pid}, rawOptions); err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
	}
	t.Fatalf("the target does not come to state %v", want)
}

// wantWhole looks whether the target is in one of two states altogether: what the kernel says of it, what its function
// does, and what is mapped agree, and it goes on.
func wantWhole(t *testing.T, c *lpnl.Client, v *victim, lp string, calls counter, states ...lpnl.State) lpnl.State {
	t.Helper()
	state, _ := stateOf(t, c)
	found := false
	for _, s := range states {
		found = found || s == state
	}
	if !found {
		t.Fatalf("the state is %v, want one of %v", state, states)
	}
	if state == lpnl.StateApplied {
		v.wantValue(2)
	} else {
		v.wantValue(1)
	}
	if mapped := strings.Contains(maps(t, v.pid), lp); mapped != (state != lpnl.StateNone) {
		t.Fatalf("the state is %v, and the patch is mapped: %v", state, mapped)
	}
	at := calls.read()
	waitFor(t, "the threads to go on", func() bool { return calls.read() != at })
	return state
}

// killed is a verb of lpctl that is killed at each of its steps, and the states of the target before, after and meanwhile.
type killed struct {
	verb          string
	from, via, to lpnl.State
	steps         map[uint64]bool
}

// TestLpctlKilled kills lpctl at each step of a verb: the target is in the old or in the new state, goes on, and the
// verb can be done again. In the end nothing of all the killed ones is left in the kernel.
//
//machine:only 6.12
func TestLpctlKilled(t *testing.T) {
	const none, loaded, applied, restored = lpnl.StateNone, lpnl.StateLoaded, lpnl.StateApplied, lpnl.StateRestored
	killEach(t, []killed{
		{"load", none, none, loaded, steps},
		{"check", none, none, none, talks}, // what only looks changes nothing between its talks
		{"apply", none, none, applied, steps},
		{"status", applied, applied, applied, talks},
		{"restore", applied, applied, restored, steps},
	})
}

// TestLpctlUnloadKilled is the same for what comes last.
//
//machine:only 6.12
func TestLpctlUnloadKilled(t *testing.T) {
	killEach(t, []killed{
		{"unload", lpnl.StateRestored, lpnl.StateRestored, lpnl.StateNone, talks},
		{"revert", lpnl.StateApplied, lpnl.StateRestored, lpnl.StateNone, talks},
	})
}

func killEach(t *testing.T, tests []killed) {
	t.Helper()
	const none = lpnl.StateNone
	v := startVictim(t, "victim", "-t", "2", "-m", "sleep")
	lp, pid := fixtures+"victim-pie-gcc-O2.lp", fmt.Sprint(v.pid)
	calls := newCounter(t, v, "calls")
	for _, test := range tests {
		t.Run(test.verb, func(t *testing.T) {
			c := dial(t)
			args := []string{test.verb, lp, "--pid", pid, "--max-stop", "2s"}
			if test.verb == "status" {
				args = []string{test.verb, "--pid", pid}
			}
			for k := 1; ; k += 2 { // every second one: each takes a second, and a minute in all is enough
				bring(t, c, v, lp, test.from)
				at, died := killAtStep(t, test.steps, k, args...)
				// What the kernel was in the middle of, it completes or calls off.
				state := wantWhole(t, c, v, lp, calls, test.from, test.via, test.to)
				if died && !talks[at] {
					continue // the next round begins with the verb anyway
				}
				status, _, stderr := lpctl(t, args...)
				if status != 0 && !(status == 3 && state == test.to) {
					t.Fatalf("killed at step %d (system call %d), in state %v, and again: %d %s", k, at, state, status, stderr)
				}
				wantWhole(t, c, v, lp, calls, test.to)
				if !died {
					if k < 4 {
						t.Fatalf("lpctl %s has only %d steps", test.verb, k)
					}
					t.Logf("killed at every second of %d steps", k-1)
					break
				}
			}
			bring(t, c, v, lp, none)
		})
	}
	c := dial(t)
	waitFor(t, "the patch objects to go", func() bool {
		info, err := c.Info()
		return err == nil && info.Patches == 0 && info.Targets == 0
	})
	v.wantNoWrong()
	c.Close()
	lpctl(t, "drain")
	removeModule(t)
}

// TestBootKilled kills lpctl boot wherever it changes something: a program starts with the one function or the other, as
// the kernel has an entry or not, and the verb can be done again. In the end nothing is left.
//
//machine:only 6.12
func TestBootKilled(t *testing.T) {
	c := dial(t)
	add := []string{"add", fixtures + "start.lp", "--image", fixtures + "start"}
	boot := func(args ...string) (int, string) {
		status, _, complaint := lpctl(t, append([]string{"boot"}, args...)...)
		return status, complaint
	}
	registered := func() int {
		list, err := c.Boots()
		if err != nil {
			t.Fatal(err)
		}
		if got := exitOf(t, fixtures+"start"); got != 1+len(list) {
			t.Fatalf("with %d entries the program exits with %d", len(list), got)
		}
		return len(list)
	}
	t.Cleanup(func() { boot("remove", "start") })
	for _, test := range []struct {
		args    []string
		prepare func()
		after   int
	}{
		{add, func() { boot("remove", "start") }, 1},
		{[]string{"replay"}, func() { forgetBoots(t, c) }, 1}, // of what is left from add
		{[]string{"remove", "start"}, func() { boot(add...) }, 0},
	} {
		t.Run(test.args[0], func(t *testing.T) {
			for k := 1; ; k++ {
				test.prepare()
				at, died := killAtStep(t, keeps, k, append([]string{"boot"}, test.args...)...)
				n := registered()
				status, complaint := boot(test.args...)
				over := n == test.after && (status == 3 || status == 5) // the entry is gone
				if status != 0 && !over {
					t.Fatalf("killed at step %d (system call %d), and again: %d %s", k, at, status, complaint)
				}
				if n = registered(); n != test.after {
					t.Fatalf("killed at step %d (system call %d), and again: %d entries, want %d", k, at, n, test.after)
				}
				if !died {
					t.Logf("killed at every second of %d steps", k-1)
					break
				}
			}
		})
	}
	boot(add...)
	boot("remove", "start")
	for _, pattern := range []string{"/etc/lpctl/boot.d/*", "/var/lib/lpctl/store/*"} {
		if left, _ := filepath.Glob(pattern); len(left) > 0 {
			t.Errorf("%v is left", left)
		}
	}
}

// TestWatchKilled stops lpctl watch, so that it reads no events, and kills it: those who make them notice nothing.
//
//machine:only 6.12
func TestWatchKilled(t *testing.T) {
	v := startVictim(t, "victim", "-t", "2", "-m", "sleep")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	watch := exec.Command("lpctl", "watch")
	out, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { watch.Process.Kill(); watch.Wait() })
	seen := make(chan bool)
	go func() {
		n, _ := out.Read(make([]byte, 1))
		seen <- n == 1
	}()
	transfer(t, c, p)
	do(t, c, lpnl.VerbApply, p, v.pid)
	waitFor(t, "an event", func() bool {
		do(t, c, lpnl.VerbRestore, p, v.pid)
		do(t, c, lpnl.VerbApply, p, v.pid)
		select {
		case ok := <-seen:
			return ok
		default:
			return false
		}
	})
	watch.Process.Signal(unix.SIGSTOP)
	for range 300 { // more than its socket takes
		do(t, c, lpnl.VerbRestore, p, v.pid)
		do(t, c, lpnl.VerbApply, p, v.pid)
	}
	watch.Process.Kill()
	v.wantValue(2)
	do(t, c, lpnl.VerbRestore, p, v.pid)
	do(t, c, lpnl.VerbUnload, p, v.pid)
	v.wantValue(1)
	v.wantNoWrong()
}

// TestLpctlKilledInside kills lpctl while the kernel works for it: while it waits for another client's window, while its
// own is open, and while it waits for another operation on the same target. Only of an open window comes anything.
//
//machine:slow
//machine:preempts
func TestLpctlKilledInside(t *testing.T) {
	wantSymbols(t, "lp_op_lock_target", "lpatch_op_run")
	v := startVictim(t, "victim", "-t", "2", "-m", "sleep")
	lp := fixtures + "victim-pie-gcc-O2.lp"
	c, rival := dial(t), dial(t)
	q := rawPatch(t, v.path, "value")
	transfer(t, rival, q)
	calls := newCounter(t, v, "calls")
	for _, test := range []struct {
		verb     string
		from, to lpnl.State
	}{
		{"apply", lpnl.StateNone, lpnl.StateApplied},
		{"restore", lpnl.StateApplied, lpnl.StateRestored},
		{"unload", lpnl.StateRestored, lpnl.StateNone},
	} {
		for _, where := range []string{"lock", "window"} {
			t.Run(test.verb+"-"+where, func(t *testing.T) {
				bring(t, c, v, lp, test.from)
				if where == "lock" {
					occupy(t, rival, q, v)
				} else {
					setDelay(t, occupied)
				}
				cmd := exec.Command("lpctl", test.verb, lp, "--pid", fmt.Sprint(v.pid), "--max-stop", "5s")
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				waitFor(t, "lpctl to be in the kernel", func() bool {
					if !inKernel(cmd.Process.Pid, "lpatch_op_run") {
						return false
					}
					if where == "lock" {
						return operates(t, v.pid, "lp_op_lock_target")
					}
					return held(t, v.pid)
				})
				setDelay(t, 0)
				cmd.Process.Kill()
				states := []lpnl.State{test.from}
				if where == "window" {
					release(t)
					states = append(states, test.to)
				}
				cmd.Wait()
				release(t)
				wantWhole(t, c, v, lp, calls, states...)
				bring(t, c, v, lp, test.to)
			})
		}
	}
	bring(t, c, v, lp, lpnl.StateNone)
	v.wantNoWrong()
}

// inKernel tells whether a thread of a process is in a function of the kernel.
func inKernel(pid int, function string) bool {
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, task := range tasks {
		stack, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/stack", pid, task.Name()))
		if err == nil && strings.Contains(string(stack), " "+function+"+") {
			return true
		}
	}
	return false
}
