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

// eventBuffer is the size of the socket's receive buffer in bytes. It holds some thousand events.
const eventBuffer = 1 << 20

// Events receives a report for each state change and each refusal, on a connection of its own.
type Events struct {
	conn    *genetlink.Conn
	pending []genetlink.Message
}

// DialEvents connects and joins the multicast group of events. Its errors are those of Dial. Without CAP_SYS_ADMIN it returns
// an *Error that matches os.ErrPermission.
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

// NewEvents returns an Events that uses conn, which has joined the multicast group.
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

// wrapJoin adds the missing explanation to a permission error: to listen takes fewer privileges than to execute commands.
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

// Close closes the connection. A Receive in progress returns.
func (e *Events) Close() error { return e.conn.Close() }

// Receive waits for the next event. It may be called again after ErrLost.
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
