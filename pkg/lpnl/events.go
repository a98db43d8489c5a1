// SPDX-License-Identifier: GPL-2.0

package lpnl

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
)

// eventBuffer is the size of the socket's receive buffer, in bytes: some thousand events.
const eventBuffer = 1 << 20

// Events receives a report for each change of state and each refusal, on a connection of its own.
type Events struct {
	conn    *genetlink.Conn
	pending []genetlink.Message
}

// DialEvents joins the group of events. Errors are those of Dial; without CAP_SYS_ADMIN it is an *Error that is os.ErrPermission.
func DialEvents() (*Events, error) {
	conn, err := genetlink.Dial(&netlink.Config{Strict: true})
	if err != nil {
		return nil, wrap("dial", err)
	}
	if err := join(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return NewEvents(conn), nil
}

// NewEvents makes Events of a connection that is in the group.
func NewEvents(conn *genetlink.Conn) *Events { return &Events{conn: conn} }

func join(conn *genetlink.Conn) error {
	c, err := New(conn)
	if err != nil {
		return err
	}
	if err := conn.SetReadBuffer(eventBuffer); err != nil {
		return wrap("set-read-buffer", err)
	}
	for _, g := range c.family.Groups {
		if g.Name == GroupEvents {
			return wrapJoin(conn.JoinGroup(g.ID))
		}
	}
	return errors.New("the kernel module sends no events, since a process without permission tried to listen; the kernel's log " +
		"(\"dmesg\") says what to do")
}

// wrapJoin says what the kernel leaves unsaid: listening takes less than the commands do.
func wrapJoin(err error) error {
	if err == nil {
		return nil
	}
	err = wrap("join-group", err)
	var e *Error
	if errors.As(err, &e) && errors.Is(e.Errno, os.ErrPermission) {
		e.Message = "listening to events needs CAP_SYS_ADMIN in the initial user namespace"
	}
	return err
}

// Close ends a Receive that is under way.
func (e *Events) Close() error { return e.conn.Close() }

// Receive waits for the next event. After ErrLost it may be called again.
func (e *Events) Receive() (Report, error) {
	for {
		for len(e.pending) > 0 {
			m := e.pending[0]
			e.pending = e.pending[1:]
			if m.Header.Command != CmdEvent {
				continue
			}
			r, err := decodeReply(m.Data)
			if err != nil {
				return Report{}, fmt.Errorf("event: %w", err)
			}
			return r, nil
		}
		msgs, _, err := e.conn.Receive()
		if errors.Is(err, syscall.ENOBUFS) {
			return Report{}, ErrLost
		}
		if err != nil {
			return Report{}, wrap("receive", err)
		}
		e.pending = msgs
	}
}
