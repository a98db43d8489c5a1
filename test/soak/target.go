// SPDX-License-Identifier: GPL-2.0

package soak

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// target is a program that is patched. When it is killed another one takes its place.
type target struct {
	Target

	soak *soak
	id   int

	// alone is held for writing by who must be alone with the target, and for reading by all others.
	alone sync.RWMutex

	mu        sync.Mutex
	life      *life
	pid       int  // 0: not ready
	killed    bool // by the killer
	disturbs  int  // how often it was killed or told to execute itself
	questions int
	history   []string // what was done to it last
}

// life is one process.
type life struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	stderr  bytes.Buffer
	answers chan string
	ended   chan struct{} // closed when it is reaped
}

func newTarget(s *soak, id int, what Target) *target { return &target{Target: what, soak: s, id: id} }

// start starts the program and returns when it is ready.
func (t *target) start() {
	l := &life{cmd: exec.Command(t.Path, "-t", fmt.Sprint(t.Threads)), answers: make(chan string, 16), ended: make(chan struct{})}
	l.cmd.Stderr = &l.stderr
	in, err := l.cmd.StdinPipe()
	if err != nil {
		t.soak.errorf("start", "target %d: %v", t.id, err)
		return
	}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		t.soak.errorf("start", "target %d: %v", t.id, err)
		return
	}
	l.in = in
	if err := l.cmd.Start(); err != nil {
		t.soak.errorf("start", "target %d: %v", t.id, err)
		return
	}
	t.mu.Lock()
	t.life, t.killed = l, false
	t.mu.Unlock()
	go t.read(l, out)
	t.await("to get ready", func() bool { return t.process() != 0 })
}

// await waits for something that must happen, and says whether it did.
func (t *target) await(what string, done func() bool) bool {
	for end := time.Now().Add(t.soak.Patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if done() {
			return true
		}
	}
	t.soak.errorf("waited in vain", "target %d: waited in vain for it %s; last was done to it:\n%s", t.id, what, t.past())
	return false
}

// read takes what the program prints until it ends.
func (t *target) read(l *life, out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		var pid int
		switch n, _ := fmt.Sscanf(line, "ready %d", &pid); {
		case n == 1:
			t.mu.Lock()
			t.pid = pid
			t.mu.Unlock()
		case strings.HasPrefix(line, "error "):
			t.soak.errorf("wrong result", "target %d: %s\nlast was done to it:\n%s", t.id, line, t.past())
			continue
		}
		select {
		case l.answers <- line:
		default: // nobody wants to know
		}
	}
	err := l.cmd.Wait()
	t.judge(l, err)
	close(l.ended)
	close(l.answers)
}

// judge looks at the end of a process.
func (t *target) judge(l *life, err error) {
	t.mu.Lock()
	killed := t.killed
	t.pid = 0
	t.mu.Unlock()
	ws, _ := l.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if err == nil || killed && ws.Signaled() && ws.Signal() == syscall.SIGKILL {
		return
	}
	t.soak.errorf("ended", "target %d: process %d ended: %v\n%slast was done to it:\n%s", t.id, l.cmd.Process.Pid, err, &l.stderr, t.past())
}

// process returns the pid, or 0 if there is none at the moment.
func (t *target) process() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pid
}

// disturbed returns how often the target was killed, or told to execute itself: after that it may be gone.
func (t *target) disturbed() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.disturbs
}

// kept is how many deeds a target remembers.
const kept = 12

// note remembers what was done to the target.
func (t *target) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	deed := time.Now().Format("15:04:05.000 ") + fmt.Sprintf(format, args...)
	t.history = append(t.history, deed)
	t.history = t.history[max(0, len(t.history)-kept):]
}

func (t *target) past() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return "    " + strings.Join(t.history, "\n    ")
}

// kill ends the process, if there is one, and starts another.
func (t *target) kill() bool {
	t.mu.Lock()
	pid, l := t.pid, t.life
	if pid == 0 {
		t.mu.Unlock()
		return false
	}
	t.killed, t.pid = true, 0
	t.disturbs++
	t.mu.Unlock()
	t.note("SIGKILL")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.soak.errorf("kill", "target %d: kill: %v", t.id, err)
	}
	t.awaitEnd(l)
	t.start()
	return true
}

func (t *target) awaitEnd(l *life) {
	select {
	case <-l.ended:
	case <-time.After(t.soak.Patience):
		stack, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stack", l.cmd.Process.Pid))
		t.soak.errorf("does not end", "target %d: process %d does not end; last was done to it:\n%s\n%s", t.id, l.cmd.Process.Pid, t.past(), stack)
	}
}

// execute has the program execute itself, if there is one, whatever is done to it meanwhile.
func (t *target) execute() bool {
	t.mu.Lock()
	l, ready := t.life, t.pid != 0
	if ready {
		t.pid = 0 // until it is ready again
		t.disturbs++
	}
	t.mu.Unlock()
	if !ready {
		return false
	}
	t.note("execve")
	_, err := io.WriteString(l.in, "exec\n")
	if err != nil {
		t.soak.errorf("exec", "target %d: exec: %v", t.id, err)
	}
	return t.await("to execute itself", func() bool { return t.process() != 0 })
}

// ask gives a command whose answer begins with prefix, and returns the rest. It fails if the process ended or executed
// itself meanwhile.
func (t *target) ask(command, prefix string) (string, bool) {
	t.mu.Lock()
	l, before := t.life, t.disturbs
	t.mu.Unlock()
	if _, err := fmt.Fprintln(l.in, command); err != nil {
		return "", false
	}
	late := time.After(t.soak.Patience)
	for {
		select {
		case line, ok := <-l.answers:
			if rest, found := strings.CutPrefix(line, prefix); ok && found {
				return rest, t.disturbed() == before
			}
			if !ok || t.disturbed() != before {
				return "", false
			}
		case <-late:
			t.soak.errorf("no answer", "target %d: no answer to %q; last was done to it:\n%s", t.id, command, t.past())
			return "", false
		}
	}
}

// census is what the threads of a target got from calls that began after it was asked for: how many from which version.
type census struct{ tally, lone [3]int }

func (t *target) census() (census, bool) {
	t.mu.Lock()
	t.questions++
	n := t.questions
	t.mu.Unlock()
	line, ok := t.ask(fmt.Sprint("census ", n), fmt.Sprint("census ", n, " "))
	if !ok {
		return census{}, false
	}
	var all int
	var c census
	_, err := fmt.Sscanf(line, "%d tally %d %d %d lone %d %d %d", &all, &c.tally[0], &c.tally[1], &c.tally[2],
		&c.lone[0], &c.lone[1], &c.lone[2])
	if err != nil || all != t.Threads {
		t.soak.errorf("census", "target %d: a census of %d threads says %q", t.id, t.Threads, line)
		return census{}, false
	}
	return c, true
}

// quit ends the program and takes its account.
func (t *target) quit() {
	t.mu.Lock()
	l := t.life
	t.mu.Unlock()
	var checks, wrong int
	line, ok := t.ask("quit", "bye ")
	if _, err := fmt.Sscanf(line, "checks %d wrong %d", &checks, &wrong); !ok || err != nil {
		t.soak.errorf("quit", "target %d: it was told to quit, and says %q", t.id, line)
		return
	}
	t.soak.tally.checked(checks)
	t.awaitEnd(l)
}
