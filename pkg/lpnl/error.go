// SPDX-License-Identifier: GPL-2.0

package lpnl

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/mdlayher/netlink"
)

// ErrNoModule is returned if the kernel does not know the netlink family, because the module is not loaded.
var ErrNoModule = errors.New(`the kernel module lpatch is not loaded; load it with "modprobe lpatch" ` +
	`("lpctl doctor" checks whether this machine can)`)

// ErrLost is returned if events arrived faster than they were received and the kernel dropped some of them.
var ErrLost = errors.New("events were lost: they came faster than they were read")

// Error is the kernel's error reply to a request that it did not carry out because it is malformed, not permitted or lacks
// resources. errors.Is matches the errno and the errors of package os that correspond to it, such as os.ErrPermission.
type Error struct {
	Op      string        // name of the command
	Message string        // sentence of the kernel, unchanged; may be empty
	Attr    int           // offset in bytes of the offending attribute in the request; 0 if unknown
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

// Refused is the error of an operation that was refused because it would have been unsafe or inapplicable. The target is
// unchanged. errors.Is works as for Error, and matches os.ErrProcessDone if the target no longer exists.
type Refused struct{ Report Report }

// Error implements error. It returns the sentence of the kernel unchanged.
func (e *Refused) Error() string {
	if e.Report.Message != "" {
		return e.Report.Message
	}
	return fmt.Sprintf("the kernel refused: %v", e.Report.Refusal)
}

// Unwrap returns the errno of the refusal, or nil if there is none.
func (e *Refused) Unwrap() error {
	if e.Report.Errno == 0 {
		return nil
	}
	return e.Report.Errno
}

// Is supports errors.Is.
func (e *Refused) Is(target error) bool {
	return target == os.ErrProcessDone && e.Report.Refusal == RefusalTargetGone
}

// wrap converts an error of the netlink library into an *Error.
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
