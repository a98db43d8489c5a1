// SPDX-License-Identifier: GPL-2.0

package lpnl

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
)

// Client is a connection to the kernel module. The kernel keeps the patches that a Client has transferred at least until the
// Client is closed. A Client is safe for concurrent use; it serializes its operations.
type Client struct {
	conn   *genetlink.Conn
	family genetlink.Family
}

// Dial connects to the kernel module. It returns ErrNoModule if the module is not loaded.
func Dial() (*Client, error) {
	conn, err := genetlink.Dial(&netlink.Config{Strict: true})
	if err != nil {
		return nil, wrap("dial", err)
	}
	c, err := New(conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// New returns a Client that uses conn. Its errors are those of Dial.
func New(conn *genetlink.Conn) (*Client, error) {
	family, err := conn.GetFamily(FamilyName)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoModule
	}
	if err != nil {
		return nil, wrap("get-family", err)
	}
	return &Client{conn: conn, family: family}, nil
}

// Close closes the connection.
func (c *Client) Close() error { return c.conn.Close() }

// execute sends one request. All requests and all errors of a Client pass through it.
func (c *Client) execute(op string, cmd uint8, flags netlink.HeaderFlags, data []byte) ([]genetlink.Message, error) {
	msg := genetlink.Message{Header: genetlink.Header{Command: cmd, Version: FamilyVersion}, Data: data}
	replies, err := c.conn.Execute(msg, c.family.ID, netlink.Request|flags)
	if err != nil {
		return nil, wrap(op, err)
	}
	return replies, nil
}

// one executes a request that has exactly one reply, and returns the data of the reply.
func (c *Client) one(op string, cmd uint8, data []byte) ([]byte, error) {
	replies, err := c.execute(op, cmd, 0, data)
	if err != nil {
		return nil, err
	}
	if len(replies) != 1 {
		return nil, fmt.Errorf("%s: the kernel sent %d replies instead of one", op, len(replies))
	}
	return replies[0].Data, nil
}

// Info returns the version, capabilities and counters of the kernel module.
func (c *Client) Info() (Info, error) {
	data, err := c.one("info-get", CmdInfoGet, nil)
	if err != nil {
		return Info{}, err
	}
	return decodeInfo(data)
}

// Status returns one report for each patch in each target.
func (c *Client) Status() ([]Report, error) {
	replies, err := c.execute("status-get", CmdStatusGet, netlink.Dump, nil)
	if err != nil {
		return nil, err
	}
	var list []Report
	for _, m := range replies {
		r, err := decodeReply(m.Data)
		if err != nil {
			return nil, fmt.Errorf("status-get: %w", err)
		}
		list = append(list, r)
	}
	return list, nil
}

// Gates returns the threads that prevent the module from being unloaded. See Gate.
func (c *Client) Gates() ([]Gate, error) {
	replies, err := c.execute("gates-get", CmdGatesGet, netlink.Dump, nil)
	if err != nil {
		return nil, err
	}
	var list []Gate
	for _, m := range replies {
		g, err := decodeGate(m.Data)
		if err != nil {
			return nil, fmt.Errorf("gates-get: %w", err)
		}
		list = append(list, g)
	}
	return list, nil
}

// Drain wakes the threads that prevent the module from being unloaded and returns their number. It does not wait for them. A
// thread that sleeps in a system call which cannot be restarted gets EINTR; no other operation of a Client has such an
// effect.
func (c *Client) Drain() (woken int, err error) {
	data, err := c.one("gates-drain", CmdGatesDrain, nil)
	if err != nil {
		return 0, err
	}
	err = decode(data, func(ad *netlink.AttributeDecoder) {
		if ad.Type() == AttrGateWoken {
			woken = int(ad.Uint32())
		}
	})
	return woken, err
}

// Transfer sends a patch to the kernel, unless the kernel has it already, and keeps it there until c is closed. An error of
// type *Error holds the reason why the kernel rejected it.
func (c *Client) Transfer(p *Patch) error {
	defer runtime.KeepAlive(p) // the kernel takes references to the files while it handles the requests
	data, err := encodePatchNew(p)
	if err != nil {
		return fmt.Errorf("patch-new: %w", err)
	}
	if data, err = c.one("patch-new", CmdPatchNew, data); err != nil {
		return err
	}
	id, exists, err := decodePatchNew(data)
	if err != nil {
		return fmt.Errorf("patch-new: %w", err)
	}
	if exists {
		return nil
	}
	chunks, err := encodePatchAdd(id, p)
	if err != nil {
		return fmt.Errorf("patch-add: %w", err)
	}
	for _, chunk := range chunks {
		if _, err := c.execute("patch-add", CmdPatchAdd, netlink.Acknowledge, chunk); err != nil {
			return err
		}
	}
	if data, err = encodePatchSeal(id); err != nil {
		return fmt.Errorf("patch-seal: %w", err)
	}
	_, err = c.execute("patch-seal", CmdPatchSeal, netlink.Acknowledge, data)
	return err
}

// Op executes verb for the patch hash on a target and returns the kernel's report. If the kernel refuses, the target is
// unchanged, the report holds the reason and the error is a *Refused. A malformed request or a missing permission yields an
// *Error without a report.
func (c *Client) Op(verb Verb, hash Hash, t Target, o Options) (Report, error) {
	cmd, ok := commands[verb]
	if !ok {
		return Report{}, fmt.Errorf("there is no operation %q", verb)
	}
	data, err := encodeOp(verb, hash, t, o)
	if err != nil {
		return Report{}, fmt.Errorf("%s: %w", verb, err)
	}
	if data, err = c.one(string(verb), cmd, data); err != nil {
		return Report{}, err
	}
	r, err := decodeReply(data)
	if err != nil {
		return Report{}, fmt.Errorf("%s: %w", verb, err)
	}
	if r.Refusal != RefusalNone {
		return r, &Refused{Report: r}
	}
	return r, nil
}
