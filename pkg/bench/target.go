// SPDX-License-Identifier: GPL-2.0

package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// answerTime is far longer than any reply takes.
const answerTime = time.Minute

// target is a running program and the driver that started it.
type target struct {
	cmd          *exec.Cmd
	in           io.WriteCloser
	lines        chan string
	pid          int
	path         string
	functions    uint64 // address
	replacements uint64
}

// startTarget starts the program with a number of threads under a load.
func startTarget(programs string, threads int, load Load) (*target, error) {
	t := &target{path: filepath.Join(programs, "target"), lines: make(chan string)}
	t.cmd = exec.Command(filepath.Join(programs, "driver"), t.path, strconv.Itoa(threads), string(load))
	t.cmd.Stderr = os.Stderr
	in, err := t.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	t.in = in
	go t.read(out)
	line, err := t.answer()
	if err == nil {
		_, err = fmt.Sscanf(line, "ready %d %v %v", &t.pid, &t.functions, &t.replacements)
	}
	if err != nil {
		t.close()
		return nil, fmt.Errorf("starting %d threads %s: %w", threads, load, err)
	}
	return t, nil
}

func (t *target) read(out io.Reader) {
	defer close(t.lines)
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		t.lines <- strings.TrimSpace(line)
	}
}

// close ends the driver, which ends the program.
func (t *target) close() {
	t.in.Close()
	done := make(chan bool)
	go func() {
		for range t.lines { // let the reader exit
		}
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(answerTime):
		_ = t.cmd.Process.Kill() // the program dies with it
		<-done
	}
	_ = t.cmd.Wait() // the exit status does not matter
}

func (t *target) answer() (string, error) {
	select {
	case line, ok := <-t.lines:
		if !ok {
			return "", errors.New("the program went away")
		}
		return line, nil
	case <-time.After(answerTime):
		return "", fmt.Errorf("the program did not answer within %v", answerTime)
	}
}

// ask sends a command and returns the reply without its first word, which repeats the command.
func (t *target) ask(format string, args ...any) (string, error) {
	command := fmt.Sprintf(format, args...)
	if _, err := fmt.Fprintln(t.in, command); err != nil {
		return "", err
	}
	line, err := t.answer()
	if err != nil {
		return "", fmt.Errorf("%s: %w", command, err)
	}
	word, _, _ := strings.Cut(command, " ")
	rest, ok := strings.CutPrefix(line, word)
	if !ok {
		return "", fmt.Errorf("%s: the program answers %q", command, line)
	}
	return strings.TrimSpace(rest), nil
}

// stats contains what the program observed since the last reset.
type stats struct {
	gap   int64 // nanoseconds
	eintr int
}

func (t *target) stats() (stats, error) {
	var s stats
	var wrong int
	line, err := t.ask("stats")
	if err != nil {
		return s, err
	}
	if _, err := fmt.Sscanf(line, "gap_ns %d eintr %d wrong %d", &s.gap, &s.eintr, &wrong); err != nil {
		return s, fmt.Errorf("stats %q: %w", line, err)
	}
	if wrong > 0 {
		return s, fmt.Errorf("%d calls of the program went wrong", wrong)
	}
	return s, nil
}

// wantReplaced verifies that n functions have the new code.
func (t *target) wantReplaced(n int) error {
	line, err := t.ask("value")
	if err == nil && line != strconv.Itoa(n) {
		err = fmt.Errorf("%s functions of the program have the new code, should be %d", line, n)
	}
	return err
}

// numbers queries a list of durations in ns.
func (t *target) numbers(format string, args ...any) ([]int64, error) {
	line, err := t.ask(format, args...)
	if err != nil {
		return nil, err
	}
	var list []int64
	for _, word := range strings.Fields(line) {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}
