// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lpatch/pkg/lpnl"
)

// counter is a variable of a running victim, read from outside.
type counter struct {
	t    *testing.T
	mem  *os.File
	addr int64
}

func newCounter(t *testing.T, v *victim, name string) counter {
	t.Helper()
	return counter{t, open(t, fmt.Sprintf("/proc/%d/mem", v.pid)), variable(t, v, name)}
}

func (c counter) read() uint64 {
	c.t.Helper()
	b := make([]byte, 8)
	if _, err := c.mem.ReadAt(b, c.addr); err != nil {
		c.t.Fatal(err)
	}
	return binary.LittleEndian.Uint64(b)
}

// TestNothingRuns looks, from outside, whether any thread of the target executes user code while a window is open:
// spinning threads, ones that wake up meanwhile, ones that are being born, and a process that shares the memory.
//
//machine:preempts
func TestNothingRuns(t *testing.T) {
	for name, args := range map[string][]string{
		"spin":   {"-t", "4", "-m", "spin"},
		"sleep":  {"-t", "4", "-m", "sleep"},
		"churn":  {"-c"},
		"shared": {"-v"},
	} {
		t.Run(name, func(t *testing.T) {
			v := startVictim(t, "victim", args...)
			c := dial(t)
			p := rawPatch(t, v.path, "value")
			transfer(t, c, p)
			calls := newCounter(t, v, "calls")
			setDelay(t, 300*time.Millisecond)
			looked := 0
			for try := 0; try < 60 && looked < 5; try++ {
				if wantStandstill(t, c, v, p, calls) {
					looked++
				}
			}
			if looked < 5 {
				t.Fatalf("only %d windows were open while the test looked", looked)
			}
			v.wantNoWrong()
		})
	}
}

// wantStandstill opens a window with check, which needs no undoing, and watches the counter while it is open. It says
// whether it saw enough of it: a starved machine may miss a window.
func wantStandstill(t *testing.T, c *lpnl.Client, v *victim, p *lpnl.Patch, calls counter) bool {
	t.Helper()
	type outcome struct {
		lpnl.Report
		err error
	}
	done := make(chan outcome)
	go func() {
		r, err := c.Op(lpnl.VerbCheck, p.Hash, lpnl.Target{PID: v.pid}, rawOptions)
		done <- outcome{r, err}
	}()
	for !held(t, v.pid) {
		select {
		case o := <-done:
			if o.err != nil {
				t.Fatal(o.err)
			}
			return false
		case <-time.After(time.Millisecond):
		}
	}
	time.Sleep(20 * time.Millisecond) // the IPI round follows the first gate
	stopped := calls.read()
	time.Sleep(50 * time.Millisecond)
	now := calls.read()
	open := held(t, v.pid)
	o := <-done
	if o.err != nil {
		t.Fatal(o.err)
	}
	open = open && o.Attempts == 1 // or it may have been another window
	if open && now != stopped {
		t.Fatalf("%d calls while the window was open", now-stopped)
	}
	return open
}

// isGate says whether what a thread sleeps in, its wchan, is a function of the module.
func isGate(wchan []byte) bool {
	return strings.HasPrefix(string(wchan), "lp_") || strings.HasPrefix(string(wchan), "lpatch_")
}

// held says whether a thread of a process, or of one that shares its memory, sleeps at its gate.
func held(t *testing.T, pid int) bool {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/wchan", pid))
	if err != nil {
		t.Fatal(err)
	}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, child := range strings.Fields(string(children)) {
		tasks = append(tasks, "/proc/"+child+"/wchan")
	}
	for _, task := range tasks {
		if wchan, err := os.ReadFile(task); err == nil && isGate(wchan) {
			return true
		}
	}
	return false
}

// TestQuiescence patches a function in which threads sleep now and then: when apply is done, nobody is in the old body.
// Another client opens windows on another process all the time, so that this one has to wait for its turn between the
// search of the sleepers' stacks and the window, and threads move meanwhile.
//
//machine:preempts
func TestQuiescence(t *testing.T) {
	v, other := startVictim(t, "victim", "-t", "4", "-m", "linger"), startVictim(t, "victim")
	c, rival := dial(t), dial(t)
	p, q := rawPatchWith(t, v.path, "linger", []byte{0xc3}), rawPatch(t, other.path, "value")
	transfer(t, c, p)
	transfer(t, rival, q)
	setDelay(t, 20*time.Millisecond)
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				rival.Op(lpnl.VerbCheck, q.Hash, lpnl.Target{PID: other.pid}, rawOptions)
			}
		}
	}()
	left := newCounter(t, v, "left")
	for range 40 {
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond) // whatever the threads do just now
		do(t, c, lpnl.VerbApply, p, v.pid)
		at := left.read()
		time.Sleep(100 * time.Millisecond)
		if now := left.read(); now != at {
			t.Fatalf("%d threads were in the old function when it was replaced", now-at)
		}
		do(t, c, lpnl.VerbRestore, p, v.pid)
		waitFor(t, "the old function to be used again", func() bool { return left.read() != at })
	}
	close(stop)
	<-stopped
	do(t, c, lpnl.VerbUnload, p, v.pid)
}

// TestTornEntry finds a thread between the bytes that would be overwritten, even if the function need not be quiescent.
//
//machine:preempts
func TestTornEntry(t *testing.T) {
	v := startVictim(t, "victim")
	c := dial(t)
	p := rawPatch(t, v.path, "tight")
	p.Functions = nil
	transfer(t, c, p)
	v.spin("tight")
	limits := lpnl.Options{MaxStop: rawOptions.MaxStop, Timeout: 50 * time.Millisecond}
	r := refuse(t, c, lpnl.VerbApply, p, v.pid, limits, lpnl.RefusalThreadActive)
	if want := fmt.Sprintf("thread %d (victim) is executing tight", r.TID); r.Message != want {
		t.Fatalf("the sentence is %q, want %q", r.Message, want)
	}
	if strings.Contains(maps(t, v.pid), "/raw") {
		t.Fatal("a refused apply left the patch mapped")
	}
	v.wantValue(1)
}
