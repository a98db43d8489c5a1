// SPDX-License-Identifier: GPL-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How long processes may take to die once they were killed, and the rest of their output to come through.
const killTime = 10 * time.Second

// runScript runs the job's command and gives its exit status.
func (g *guest) runScript() (int, error) {
	out, err := newPipe(g.stdout)
	if err != nil {
		return 0, err
	}
	errout, err := newPipe(g.stderr)
	if err != nil {
		return 0, err
	}
	pid, err := g.start(g.job.Argv, out.w, errout.w)
	if err != nil {
		return 0, err
	}
	status, err := await(pid, 0)
	if err != nil {
		return 0, err
	}
	if err := killAll(); err != nil {
		return 0, err
	}
	out.finish()
	errout.finish()
	return status, nil
}

// start starts a command in a session of its own. Output goes through pipes, not to the port itself, so that no
// program takes it for a terminal.
func (g *guest) start(argv []string, stdout, stderr *os.File) (int, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	p, err := os.StartProcess(argv[0], argv, &os.ProcAttr{
		Env:   g.env,
		Files: []*os.File{null, stdout, stderr},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, err
	}
	pid := p.Pid
	return pid, p.Release() // await reaps it, with all the orphans that init inherits
}

// errTimeout says that a command was killed because it took too long.
var errTimeout = errors.New("timeout")

// await waits for a process and gives its exit status as a shell would. After a timeout, unless that is 0, it kills
// everything and gives errTimeout.
func await(pid int, timeout time.Duration) (int, error) {
	ended := make(chan unix.WaitStatus, 1)
	go func() {
		for {
			var ws unix.WaitStatus
			got, err := unix.Wait4(-1, &ws, 0, nil)
			if got == pid {
				ended <- ws
				return
			}
			if err != nil && !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}()
	var expired <-chan time.Time
	if timeout > 0 {
		expired = time.After(timeout)
	}
	select {
	case ws := <-ended:
		if ws.Signaled() {
			return 128 + int(ws.Signal()), nil
		}
		return ws.ExitStatus(), nil
	case <-expired:
	}
	signalAll()
	select {
	case <-ended:
		return 0, errTimeout
	case <-time.After(killTime):
		return 0, fmt.Errorf("process %d, %v over its time, does not die of SIGKILL: %s", pid, killTime, describe(pid))
	}
}

// signalAll sends SIGKILL to all but init; the only error is that there is nobody.
func signalAll() { _ = unix.Kill(-1, unix.SIGKILL) }

// killAll ends every process but init, so that nothing of one job is there for the next or holds its output open.
func killAll() error {
	deadline := time.Now().Add(killTime)
	for {
		signalAll()
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.ECHILD):
			return nil
		case pid > 0:
			continue
		case time.Now().After(deadline):
			return fmt.Errorf("some process does not die of SIGKILL:\n%s", describeAll())
		}
		time.Sleep(time.Millisecond)
	}
}

// pipe carries the output of a command to where it is wanted.
type pipe struct {
	r, w    *os.File
	copying sync.WaitGroup
}

func newPipe(to io.Writer) (*pipe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &pipe{r: r, w: w}
	p.copying.Go(func() { _, _ = io.Copy(to, r) }) // ends with the pipe, or at finish's deadline
	return p, nil
}

// finish waits for the rest of the output. No process is left to write more, but should one be, its silence is waited
// for no longer than killTime.
func (p *pipe) finish() {
	p.w.Close()
	if err := p.r.SetReadDeadline(time.Now().Add(killTime)); err != nil {
		p.r.Close()
	}
	p.copying.Wait()
	p.r.Close()
}
