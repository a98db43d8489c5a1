// SPDX-License-Identifier: GPL-2.0

package proc

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Handle holds on to one process, so that it cannot be taken for another that gets its pid: while Alive says so, the pid
// has meant this process ever since Hold.
type Handle struct{ pidfd int }

// Hold opens a pidfd for a process that was looked up before, and sees to it that it is still that one. The error wraps
// ErrNoProcess when it is not. The caller must Close the handle.
func (f FS) Hold(p Process) (*Handle, error) {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, syscall.ESRCH) {
		return nil, ended(p)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot hold on to %v: pidfd_open: %w", p, err)
	}
	h := &Handle{fd}
	// Whose pid it was when the pidfd was opened shows in the start time, as long as that process lives.
	now, err := f.Process(p.PID)
	if err != nil || now.StartTime != p.StartTime || !h.Alive() {
		h.Close()
		return nil, ended(p)
	}
	return h, nil
}

func ended(p Process) error {
	return &Error{Message: fmt.Sprintf("%v ended meanwhile", p), Err: ErrNoProcess}
}

// Alive tells whether the process has not ended: pidfd_open(2), a pidfd can be read when all threads have.
func (h *Handle) Alive() bool {
	fds := []unix.PollFd{{Fd: int32(h.pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if !errors.Is(err, syscall.EINTR) {
			return err == nil && n == 0
		}
	}
}

// Close lets go.
func (h *Handle) Close() { _ = unix.Close(h.pidfd) }
