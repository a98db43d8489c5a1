// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
)

// TestStates takes one function through all states and looks at the map of the target at each.
func TestStates(t *testing.T) {
	v := startVictim(t, "victim", "-t", "2", "-m", "spin")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	do(t, c, lpnl.VerbCheck, p, v.pid)
	if strings.Contains(maps(t, v.pid), "/raw") {
		t.Fatal("check mapped the patch")
	}
	r := do(t, c, lpnl.VerbLoad, p, v.pid)
	v.wantValue(1)
	if line := fmt.Sprintf("%x-%x r-xp", r.MappedAt, r.MappedAt+4096); !strings.Contains(maps(t, v.pid), line) {
		t.Fatalf("no %s in\n%s", line, maps(t, v.pid))
	}
	refuseWith(t, c, lpnl.VerbLoad, p, v.pid, lpnl.RefusalAlready,
		fmt.Sprintf("patch raw is loaded in victim[%d] already", v.pid))
	refuseWith(t, c, lpnl.VerbRestore, p, v.pid, lpnl.RefusalNotApplied,
		fmt.Sprintf("patch raw is not applied in victim[%d]", v.pid))
	do(t, c, lpnl.VerbApply, p, v.pid)
	v.wantValue(2)
	refuseWith(t, c, lpnl.VerbApply, p, v.pid, lpnl.RefusalAlready,
		fmt.Sprintf("patch raw is applied in victim[%d] already", v.pid))
	refuseWith(t, c, lpnl.VerbUnload, p, v.pid, lpnl.RefusalStillApplied,
		fmt.Sprintf("patch raw is applied in victim[%d], restore it first", v.pid))
	wantHeld(t, "with a patch applied")
	do(t, c, lpnl.VerbRestore, p, v.pid)
	v.wantValue(1)
	refuseWith(t, c, lpnl.VerbRestore, p, v.pid, lpnl.RefusalAlready,
		fmt.Sprintf("patch raw is restored in victim[%d] already", v.pid))
	do(t, c, lpnl.VerbUnload, p, v.pid)
	if strings.Contains(maps(t, v.pid), "/raw") {
		t.Fatal("unload left the mapping")
	}
	refuseWith(t, c, lpnl.VerbUnload, p, v.pid, lpnl.RefusalNotLoaded,
		fmt.Sprintf("patch raw is not in victim[%d]", v.pid))
	v.wantNoWrong()
}

// TestThreads patches 1, 16 and 256 threads that sleep, and up to 64 that spin, of which two can run; fewer on a slow kernel.
//
//machine:slow
//machine:preempts
func TestThreads(t *testing.T) {
	for mode, most := range map[string]int{"spin": 64, "sleep": 256} {
		for _, n := range []int{1, 16, most / slowness} {
			t.Run(fmt.Sprintf("%s-%d", mode, n), func(t *testing.T) {
				v := startVictim(t, "victim", "-t", fmt.Sprint(n), "-m", mode)
				c := dial(t)
				cycle(t, c, v, rawPatch(t, v.path, "value"), 1+16/n)
				v.wantNoWrong()
			})
		}
	}
}

// TestBusyProcessors patches a process with 4 busy threads per processor, often.
//
//machine:slow
//machine:preempts
func TestBusyProcessors(t *testing.T) {
	v := startVictim(t, "victim", "-t", "8", "-m", "spin")
	c := dial(t)
	cycle(t, c, v, rawPatch(t, v.path, "value"), often(80))
	v.wantNoWrong()
}

// TestChurn patches while threads are created and ended all the time: 250 cycles (fewer on slow kernels), with a look at the result
// after each.
//
//machine:slow
//machine:preempts
func TestChurn(t *testing.T) {
	v := startVictim(t, "victim", "-t", "4", "-m", "sleep", "-c")
	c := dial(t)
	cycle(t, c, v, rawPatch(t, v.path, "value"), often(250))
	v.wantNoWrong()
	if _, _, born := v.stats(); born < often(250) {
		t.Fatalf("only %d threads were born meanwhile", born)
	}
}

// TestSharedMemory patches a process that shares its memory with one that is not of its thread group.
func TestSharedMemory(t *testing.T) {
	v := startVictim(t, "victim", "-v")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	if r := do(t, c, lpnl.VerbApply, p, v.pid); r.Threads != 2 {
		t.Fatalf("%d threads were stopped, want 2", r.Threads)
	}
	do(t, c, lpnl.VerbRestore, p, v.pid)
	do(t, c, lpnl.VerbUnload, p, v.pid)
	cycle(t, c, v, rawPatch(t, v.path, "value"), 50)
	v.wantNoWrong()
}

// TestNoEINTR freezes a process 100 times whose threads sleep in the sixteen system calls that signals, ptrace and the
// cgroup freezer end or restart: none of them returns. Its parent sees no SIGCHLD and no stop.
//
//machine:preempts
func TestNoEINTR(t *testing.T) {
	children := make(chan os.Signal, 16)
	signal.Notify(children, syscall.SIGCHLD)
	defer signal.Stop(children)
	v := startVictim(t, "eintr")
	c := dial(t)
	cycle(t, c, v, rawPatch(t, v.path, "value"), 50)
	if got := v.ask("stats"); got != "stats threads 16 returned 0 eintr 0" {
		t.Fatalf("after 100 freezes: %s", got)
	}
	select {
	case <-children:
		t.Fatal("the parent got SIGCHLD")
	default:
	}
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, v.pid, &info, unix.WSTOPPED|unix.WCONTINUED|unix.WEXITED|unix.WNOHANG, nil)
	if err != nil || info.Signo != 0 {
		t.Fatalf("the parent saw a change of state: %+v, %v", info, err)
	}
}

// TestTraced patches a process that strace traces, all its threads.
//
//machine:preempts
func TestTraced(t *testing.T) {
	v := startVictim(t, "victim", "-t", "4", "-m", "sleep")
	trace := exec.Command("strace", "-f", "-p", fmt.Sprint(v.pid), "-o", t.TempDir()+"/trace")
	if err := trace.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		trace.Process.Signal(syscall.SIGTERM)
		trace.Wait()
	}()
	waitFor(t, "strace to attach", func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.pid))
		return err == nil && strings.Contains(string(b), fmt.Sprintf("TracerPid:\t%d\n", trace.Process.Pid))
	})
	c := dial(t)
	cycle(t, c, v, rawPatch(t, v.path, "value"), 20)
	v.wantNoWrong()
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience(30 * time.Second)); time.Now().Before(deadline); {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}
