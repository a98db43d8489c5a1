// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
)

// firstSignal is SIGRTMIN of the C library: it keeps 32 and 33 to itself. receivers is THREADS of signals.c.
const firstSignal, receivers = 34, 4

// sigqueue sends a real-time signal with a number. It waits while the queue (RLIMIT_SIGPENDING) is full: what the kernel
// refuses to queue was not sent.
func sigqueue(pid, signal, value int) error {
	info := struct {
		signo, errno, code, _ int32
		pid, uid              int32
		value                 int64
		_                     [96]byte // siginfo_t has 128 bytes
	}{signo: int32(signal), code: -1 /* SI_QUEUE */, pid: int32(os.Getpid()), value: int64(value)}
	for {
		_, _, errno := unix.Syscall(unix.SYS_RT_SIGQUEUEINFO, uintptr(pid), uintptr(signal), uintptr(unsafe.Pointer(&info)))
		if errno == 0 {
			return nil
		}
		if errno != unix.EAGAIN {
			return errno
		}
		time.Sleep(time.Millisecond)
	}
}

// sender numbers the signals of each kind.
type sender struct {
	pid  int
	next [receivers]int
	sent int
}

func (s *sender) send(n int) error {
	for range n {
		i := s.sent % receivers
		if err := sigqueue(s.pid, firstSignal+i, s.next[i]); err != nil {
			return fmt.Errorf("signal %d: %w", s.sent, err)
		}
		s.next[i]++
		s.sent++
	}
	return nil
}

// received asks how many signals arrived, and how many of those were not the next one, of calls of sigwaitinfo were
// interrupted, and of answers of value() were wrong.
func (v *victim) received() (received, wrong, interrupted, values int) {
	v.t.Helper()
	line := v.ask("stats")
	if !parse(line, "stats received %d wrong %d interrupted %d values %d", &received, &wrong, &interrupted, &values) {
		v.t.Fatalf("the victim says %q", line)
	}
	return received, wrong, interrupted, values
}

// wantSignals waits until so many signals have arrived.
func (v *victim) wantSignals(want int) {
	v.t.Helper()
	var got int
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if got, _, _, _ = v.received(); got == want {
			return
		}
	}
	v.t.Fatalf("%d signals arrived of %d that were sent", got, want)
}

// stopWatch looks for stops of a child in the ways that a parent and others have.
type stopWatch struct {
	t       *testing.T
	pid     int
	sigchld chan os.Signal
	stop    chan bool
	ended   chan string // one message from each watcher, "" if it saw nothing
	samples atomic.Int64
	held    atomic.Int64 // samples that found a thread at its gate
}

func watchStops(t *testing.T, pid int) *stopWatch {
	w := &stopWatch{t: t, pid: pid, sigchld: make(chan os.Signal, 16), stop: make(chan bool), ended: make(chan string, 2)}
	signal.Notify(w.sigchld, syscall.SIGCHLD)
	go w.wait()
	go w.sample()
	return w
}

// wait waits as a shell does, until the child ends.
func (w *stopWatch) wait() {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, w.pid, &info, unix.WSTOPPED|unix.WCONTINUED|unix.WEXITED|unix.WNOWAIT, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			w.ended <- fmt.Sprintf("waitid: %v", err)
			return
		case info.Code == 1 /* CLD_EXITED */ || info.Code == 2 /* CLD_KILLED */ :
			w.ended <- ""
			return
		default:
			w.ended <- fmt.Sprintf("the parent saw a change of state, code %d", info.Code)
			return
		}
	}
}

// sample looks at the state of each thread, over and over.
func (w *stopWatch) sample() {
	for {
		select {
		case <-w.stop:
			w.ended <- ""
			return
		default:
		}
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", w.pid))
		for _, task := range tasks {
			stat, err := os.ReadFile(task + "/stat")
			if err != nil {
				continue
			}
			_, rest, _ := strings.Cut(string(stat), ") ")
			if strings.HasPrefix(rest, "T") || strings.HasPrefix(rest, "t") {
				w.ended <- fmt.Sprintf("%s was in state %.1s", task, rest)
				return
			}
			w.samples.Add(1)
			if wchan, err := os.ReadFile(task + "/wchan"); err == nil && isGate(wchan) {
				w.held.Add(1)
			}
		}
	}
}

// finish ends the child with SIGKILL, its only change of state, and fails if there was another.
func (w *stopWatch) finish() {
	w.t.Helper()
	signal.Stop(w.sigchld)
	if n := len(w.sigchld); n != 0 {
		w.t.Errorf("the parent got %d SIGCHLD", n)
	}
	close(w.stop)
	syscall.Kill(w.pid, syscall.SIGKILL)
	for range 2 {
		if saw := <-w.ended; saw != "" {
			w.t.Error(saw)
		}
	}
}

// TestSignals sends 100,000 queued signals while a patch is applied and restored 100 times: none is lost, repeated or out
// of order, none ends a call of sigwaitinfo that was not for it, and the target is never stopped.
//
//machine:preempts
func TestSignals(t *testing.T) {
	const cycles, each = 100, 500
	v := startVictim(t, "signals")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	watch := watchStops(t, v.pid)
	setDelay(t, time.Millisecond) // so that windows are seen, and signals arrive in them
	s := &sender{pid: v.pid}
	during := func(verb lpnl.Verb) {
		t.Helper()
		sent := make(chan error)
		go func() { sent <- s.send(each) }()
		do(t, c, verb, p, v.pid)
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
	for range cycles {
		during(lpnl.VerbApply)
		during(lpnl.VerbRestore)
	}
	v.wantSignals(2 * cycles * each)
	if received, wrong, interrupted, values := v.received(); wrong != 0 || interrupted != 0 || values != 0 {
		t.Errorf("of %d signals %d were not the next one, %d calls were interrupted, %d values were wrong",
			received, wrong, interrupted, values)
	}
	do(t, c, lpnl.VerbUnload, p, v.pid)
	watch.finish()
	t.Logf("%d signals, %d looks at threads, %d of them at a gate", s.sent, watch.samples.Load(), watch.held.Load())
	if watch.held.Load() == 0 {
		t.Error("no look fell into a window")
	}
}

// TestSignalsAreCounted loses a signal, repeats one and swaps two, and expects the program to notice: it is what
// TestSignals relies on.
//
//machine:preempts
func TestSignalsAreCounted(t *testing.T) {
	for name, values := range map[string][]int{"right": {0, 1, 2, 3}, "lost": {0, 1, 3}, "twice": {0, 1, 1, 2}, "swapped": {1, 0, 2}} {
		t.Run(name, func(t *testing.T) {
			v := startVictim(t, "signals")
			for _, value := range values {
				if err := sigqueue(v.pid, firstSignal+1, value); err != nil {
					t.Fatal(err)
				}
			}
			v.wantSignals(len(values))
			if _, wrong, _, _ := v.received(); (wrong > 0) != (name != "right") {
				t.Fatalf("%v: %d are said to be wrong", values, wrong)
			}
		})
	}
}
