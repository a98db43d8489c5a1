// SPDX-License-Identifier: GPL-2.0

package proc

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Handle refers to one process, so that it cannot be confused with a later process with the same PID: as long as Alive
// returns true, the PID has denoted this process since Hold.
type Handle struct{ pidfd int }

// Hold opens a pidfd for a process and verifies that it still is the process looked up before. The error wraps ErrNoProcess
// if it is not. The caller must Close the handle.
func (f FS) Hold(p Process) (*Handle, error) {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, syscall.ESRCH) {
		return nil, ended(p)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot hold on to %v: pidfd_open: %w", p, err)
	}
	h := &Handle{fd}
	// the start time tells whose PID it was when the pidfd was opened, provided that this process is alive
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

// Alive reports whether the process has not ended: a pidfd becomes readable when all threads have (pidfd_open(2)).
func (h *Handle) Alive() bool {
	fds := []unix.PollFd{{Fd: int32(h.pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if !errors.Is(err, syscall.EINTR) {
			return err == nil && n == 0
		}
	}
}

// Close releases the handle.
func (h *Handle) Close() { _ = unix.Close(h.pidfd) }
