// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fixtures is where test/fixtures puts programs and patches in the guest.
const fixtures = "/fixtures/"

// victim is a running program of test/target that obeys commands.
type victim struct {
	t    *testing.T
	cmd  *exec.Cmd
	pid  int
	in   io.WriteCloser
	out  *bufio.Reader
	path string
}

// startVictim starts a program and waits until it is ready. It is killed at the end of the test.
func startVictim(t *testing.T, name string, args ...string) *victim {
	t.Helper()
	return startCommand(t, exec.Command(fixtures+name, args...))
}

// startCommand is startVictim for a command that is to be started in a special way.
func startCommand(t *testing.T, cmd *exec.Cmd) *victim {
	t.Helper()
	v := &victim{t: t, cmd: cmd, path: cmd.Path}
	v.cmd.Stderr = os.Stderr
	in, err := v.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	v.in, v.out = in, bufio.NewReader(out)
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		v.cmd.Process.Kill()
		v.cmd.Wait()
	})
	v.expectReady()
	v.pid = v.cmd.Process.Pid // as it is called here, whatever it is in its own namespace
	return v
}

func (v *victim) expectReady() {
	v.t.Helper()
	if _, err := fmt.Sscanf(v.line(), "ready %d", &v.pid); err != nil {
		v.t.Fatalf("the victim did not get ready: %v", err)
	}
}

// line reads one line of the victim's answers.
func (v *victim) line() string {
	v.t.Helper()
	type answer struct {
		line string
		err  error
	}
	c := make(chan answer, 1)
	go func() {
		line, err := v.out.ReadString('\n')
		c <- answer{strings.TrimSuffix(line, "\n"), err}
	}()
	select {
	case a := <-c:
		if a.err != nil {
			v.t.Fatalf("the victim went away: %v", a.err)
		}
		return a.line
	case <-time.After(patience(3 * time.Minute)):
		v.t.Fatal("the victim does not answer")
	}
	return ""
}

// ask gives a command and returns the answer.
func (v *victim) ask(command string) string {
	v.t.Helper()
	if _, err := fmt.Fprintln(v.in, command); err != nil {
		v.t.Fatal(err)
	}
	return v.line()
}

// spin gives a command by which a new thread calls what never returns, and waits until it is executing that: it has had some ticks
// of time in user mode, and answering took next to none.
func (v *victim) spin(command string) {
	v.t.Helper()
	v.ask(command)
	waitFor(v.t, "a thread to spin after "+command, func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", v.pid))
		if err != nil {
			v.t.Fatal(err)
		}
		for _, path := range threads {
			text, err := os.ReadFile(path)
			if err != nil || filepath.Base(filepath.Dir(path)) == strconv.Itoa(v.pid) {
				continue // the first thread is the one that answers
			}
			_, rest, _ := strings.Cut(string(text), ") ")
			fields := strings.Fields(rest) // from field 3 of proc(5) on, the state; utime is field 14
			if ticks, err := strconv.Atoi(fields[14-3]); err == nil && fields[0] == "R" && ticks >= 3 {
				return true
			}
		}
		return false
	})
}

// wantValue asks for the value, which says whether the patch is applied.
func (v *victim) wantValue(want int) {
	v.t.Helper()
	if got := v.ask("value"); got != fmt.Sprintf("value %d", want) {
		v.t.Fatalf("the victim says %q, want value %d", got, want)
	}
}

// stats returns how often value() was called, how often it was wrong, and how many threads were created and ended.
func (v *victim) stats() (calls, wrong, born int) {
	v.t.Helper()
	line := v.ask("stats")
	if _, err := fmt.Sscanf(line, "stats calls %d wrong %d born %d", &calls, &wrong, &born); err != nil {
		v.t.Fatalf("the victim says %q: %v", line, err)
	}
	return calls, wrong, born
}

// wantNoWrong fails if any call of value() gave a wrong answer.
func (v *victim) wantNoWrong() {
	v.t.Helper()
	if calls, wrong, _ := v.stats(); wrong != 0 {
		v.t.Fatalf("%d of %d calls gave a wrong answer", wrong, calls)
	}
}
