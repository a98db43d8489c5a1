// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
	"lpatch/test/vm/protocol"
)

// builtIn says whether lpatch is a part of the kernel, and no module that could be removed.
func builtIn() bool {
	const dir = "/sys/module/lpatch"
	_, err := os.Stat(dir)
	_, absent := os.Stat(dir + "/refcnt")
	return err == nil && errors.Is(absent, os.ErrNotExist)
}

// removeModule removes the module, which it must allow, and loads it again, unless it is built in.
func removeModule(t *testing.T) {
	t.Helper()
	if builtIn() {
		return
	}
	waitFor(t, "the module to be unused", func() bool {
		err := unix.DeleteModule("lpatch", unix.O_NONBLOCK)
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
			t.Fatal(err)
		}
		return err == nil
	})
	loadModule(t)
}

// wantHeld tries to remove the module, which it must not allow.
func wantHeld(t *testing.T, why string) {
	t.Helper()
	if builtIn() {
		return
	}
	if err := unix.DeleteModule("lpatch", unix.O_NONBLOCK); err != unix.EWOULDBLOCK {
		t.Fatalf("removing the module %s: %v, want EWOULDBLOCK", why, err)
	}
}

func loadModule(t *testing.T, params ...string) {
	t.Helper()
	f := open(t, protocol.ModulePath)
	if err := unix.FinitModule(int(f.Fd()), strings.Join(params, " "), 0); err != nil {
		t.Fatal(err)
	}
}

// loadKernels loads a module of the kernel's own, or test/delay, unless it is there or built in. It stays.
func loadKernels(t *testing.T, name, parameters string) {
	t.Helper()
	f, err := os.Open(filepath.Join(protocol.ModulesDir, name+".ko"))
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), parameters, 0); err != nil && err != unix.EEXIST {
		t.Fatalf("loading %s: %v", name, err)
	}
}

// wantGates waits until so many threads hold the module, as info-get and gates-get both tell it.
func wantGates(t *testing.T, c *lpnl.Client, want int) {
	t.Helper()
	waitFor(t, fmt.Sprint(want, " gates"), func() bool {
		info, err := c.Info()
		if err != nil {
			t.Fatal(err)
		}
		list, err := c.Gates()
		if err != nil {
			t.Fatal(err)
		}
		return info.Gates == want && len(list) == want
	})
}

// wantDoctor looks for a line in what doctor says.
func wantDoctor(t *testing.T, line string) {
	t.Helper()
	status, stdout, stderr := lpctl(t, "doctor")
	if status != 0 || !regexp.MustCompile("(?m)"+line).MatchString(stdout) {
		t.Fatalf("doctor: %d\n%s%swant %s", status, stdout, stderr, line)
	}
}

// TestRemoveWithTargets tries to remove the module while a target has a patch: refused, and doctor says why.
//
//machine:preempts
func TestRemoveWithTargets(t *testing.T) {
	v := startVictim(t, "victim")
	lp, pid := fixtures+"victim.lp", fmt.Sprint(v.pid)
	for _, verb := range []string{"load", "apply", "restore"} {
		if status, _, stderr := lpctl(t, verb, lp, "--pid", pid, "--max-stop", "2s"); status != 0 {
			t.Fatalf("%s: %d %s", verb, status, stderr)
		}
		wantHeld(t, "after "+verb)
		wantDoctor(t, `^ok +patches +1 patch object in 1 target; the module cannot be removed before they are reverted, see "lpctl status"$`)
	}
	if status, _, stderr := lpctl(t, "unload", lp, "--pid", pid, "--max-stop", "2s"); status != 0 {
		t.Fatalf("unload: %d %s", status, stderr)
	}
	v.wantValue(1)
	removeModule(t)
	v.wantValue(1)
}

// TestDrain has threads sleep through all that is done to them, so that they hold the module, and wakes them: of sixteen
// system calls the five that nothing restarts end with EINTR, the others do not even return.
//
//machine:preempts
func TestDrain(t *testing.T) {
	v := startVictim(t, "eintr")
	c := dial(t)
	cycle(t, c, v, rawPatch(t, v.path, "value"), 1)
	v.ask("stats") // its main thread has run
	wantGates(t, c, 16)
	list, err := c.Gates()
	if err != nil {
		t.Fatal(err)
	}
	tids := map[int]bool{}
	for _, g := range list {
		tids[g.TID] = true
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d", v.pid, g.TID)); err != nil || g.PID != v.pid || g.Comm != "eintr" {
			t.Fatalf("%+v is no thread of process %d: %v", g, v.pid, err)
		}
	}
	if len(tids) != 16 || tids[v.pid] {
		t.Fatalf("the threads are %v", list)
	}
	c.Close()
	wantHeld(t, "with gates queued")
	wantDoctor(t, fmt.Sprintf(`^ok +gates +16 sleeping threads hold the module until they run again: 16 of eintr\[%d\]; "lpctl drain" wakes them$`, v.pid))
	if got := v.ask("stats"); got != "stats threads 16 returned 0 eintr 0" {
		t.Fatalf("before the drain: %s", got)
	}
	wantDone(t, fmt.Sprintf(`drained eintr\[%d\]: 16 threads`, v.pid), "drain")
	wantSaid(t, 3, "nothing to do: no thread holds the module", "drain")
	waitFor(t, "five calls to be interrupted", func() bool { return v.ask("stats") == "stats threads 16 returned 5 eintr 5" })
	removeModule(t)
	if got := v.ask("stats"); got != "stats threads 16 returned 5 eintr 5" {
		t.Fatalf("after the drain: %s", got)
	}
	v.wantValue(1)
	cycle(t, dial(t), v, rawPatch(t, v.path, "value"), 1)
}

// TestDrainStopped drains a process that is stopped by a signal: it does not run, drain says why, and it passes its gates
// when it goes on.
//
//machine:preempts
func TestDrainStopped(t *testing.T) {
	v := startVictim(t, "victim", "-t", "2", "-m", "sleep")
	if err := syscall.Kill(v.pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(v.pid, &ws, syscall.WUNTRACED, nil); err != nil || !ws.Stopped() {
		t.Fatalf("the victim did not stop: %v, %v", ws, err)
	}
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	do(t, c, lpnl.VerbCheck, p, v.pid)
	wantGates(t, c, 3)
	status, stdout, stderr := lpctl(t, "drain", "--timeout", "300ms")
	want := fmt.Sprintf(`^lpctl: victim\[%d\]: 3 of 3 threads did not run, and the module cannot be removed: `+
		`thread \d+ is stopped by a signal; continue the process\n$`, v.pid)
	if status != 1 || stdout != "" || !regexp.MustCompile(want).MatchString(stderr) {
		t.Fatalf("drain: %d\n%s%swant %s", status, stdout, stderr, want)
	}
	// Twice is no more than once.
	if _, err := c.Drain(); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(v.pid, syscall.SIGCONT)
	wantGates(t, c, 0)
	v.wantValue(1)
	c.Close()
	removeModule(t)
	v.wantNoWrong()
}

// TestDrainKilled kills a process whose threads have been told to wake but cannot: nothing of them is left.
//
//machine:preempts
func TestDrainKilled(t *testing.T) {
	v := startVictim(t, "victim", "-t", "2", "-m", "sleep")
	syscall.Kill(v.pid, syscall.SIGSTOP)
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(v.pid, &ws, syscall.WUNTRACED, nil); err != nil || !ws.Stopped() {
		t.Fatalf("the victim did not stop: %v, %v", ws, err)
	}
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	do(t, c, lpnl.VerbCheck, p, v.pid)
	if n, err := c.Drain(); n != 3 || err != nil {
		t.Fatalf("%d threads were told to wake (%v), want 3", n, err)
	}
	syscall.Kill(v.pid, syscall.SIGKILL)
	v.cmd.Wait()
	wantGates(t, c, 0)
	c.Close()
	removeModule(t)
}

// TestDrainInWindow drains all the time while windows are open: a thread that is woken is held like any other.
//
//machine:preempts
func TestDrainInWindow(t *testing.T) {
	v := startVictim(t, "victim", "-t", "4", "-m", "sleep")
	c, drainer := dial(t), dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	stop, stopped := make(chan bool), make(chan bool)
	woken := 0
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				n, _ := drainer.Drain()
				woken += n
			}
		}
	}()
	calls := newCounter(t, v, "calls")
	setDelay(t, 300*time.Millisecond)
	looked := 0
	for try := 0; try < 30 && looked < 3; try++ {
		if wantStandstill(t, c, v, p, calls) {
			looked++
		}
	}
	setDelay(t, 0)
	for range 20 {
		do(t, c, lpnl.VerbApply, p, v.pid)
		v.wantValue(2)
		do(t, c, lpnl.VerbRestore, p, v.pid)
		v.wantValue(1)
	}
	close(stop)
	<-stopped
	if looked < 3 || woken == 0 {
		t.Fatalf("%d windows were open while the test looked, and %d threads were woken", looked, woken)
	}
	do(t, c, lpnl.VerbUnload, p, v.pid)
	if strings.Contains(maps(t, v.pid), "/raw") {
		t.Fatal("unload left the mapping")
	}
	v.wantNoWrong()
	t.Logf("%d threads were woken", woken)
}
