// SPDX-License-Identifier: GPL-2.0

package lpnl

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/mdlayher/netlink"
)

// ErrNoModule means that the kernel does not know the family: the module is not loaded.
var ErrNoModule = errors.New(`the kernel module lpatch is not loaded; load it with "modprobe lpatch" ` +
	`("lpctl doctor" checks whether this machine can)`)

// ErrLost means that events came faster than they were received, and some were dropped.
var ErrLost = errors.New("events were lost: they came faster than they were read")

// Error is the kernel's answer to a request that it did not carry out: malformed, not permitted, or out of resources.
// errors.Is works with the errno and what package os makes of it, as in os.ErrPermission.
type Error struct {
	Op      string        // the command
	Message string        // the kernel's sentence, unchanged; may be empty
	Attr    int           // offset in the request of the attribute that is to blame, 0 if unknown
	Errno   syscall.Errno // never 0
}

// Error implements error.
func (e *Error) Error() string {
	if e.Message != "" {
		return e.Message
	}
	if errors.Is(e.Errno, os.ErrPermission) {
		return "lpatch needs CAP_SYS_ADMIN and CAP_SYS_PTRACE in the initial user namespace"
	}
	return fmt.Sprintf("the kernel answered %s with: %v", e.Op, e.Errno)
}

// Unwrap returns the errno.
func (e *Error) Unwrap() error { return e.Errno }

// Refused is the outcome of an operation that would not have been safe or made no sense: the target is unchanged.
// errors.Is works as for Error, and with os.ErrProcessDone for a target that does not exist any more.
type Refused struct{ Report Report }

// Error implements error: the kernel's sentence, unchanged.
func (e *Refused) Error() string {
	if e.Report.Message != "" {
		return e.Report.Message
	}
	return fmt.Sprintf("the kernel refused: %v", e.Report.Refusal)
}

// Unwrap returns the errno of the refusal, or nil.
func (e *Refused) Unwrap() error {
	if e.Report.Errno == 0 {
		return nil
	}
	return e.Report.Errno
}

// Is implements the use of errors.Is.
func (e *Refused) Is(target error) bool {
	return target == os.ErrProcessDone && e.Report.Refusal == RefusalTargetGone
}

// wrap makes an *Error of what the netlink library returns for an answer of the kernel.
func wrap(op string, err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return fmt.Errorf("%s: %w", op, err)
	}
	e := &Error{Op: op, Errno: errno}
	var oe *netlink.OpError
	if errors.As(err, &oe) {
		e.Message, e.Attr = oe.Message, oe.Offset
	}
	return e
}

func errPID(pid int) error { return fmt.Errorf("%d is not a process id", pid) }
