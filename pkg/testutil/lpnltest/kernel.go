// SPDX-License-Identifier: GPL-2.0

// Package lpnltest provides a fake kernel module for tests of its clients. It answers like lpatch.ko, from a state that a
// test can set up, inspect, and store in a file between processes (as JSON).
package lpnltest

import (
	"encoding/hex"
	"fmt"
	"syscall"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"github.com/mdlayher/netlink/nltest"
	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
)

const (
	familyID = 0x20
	groupID  = 0x21
	transfer = 7 // ID of the object in transfer; the fake supports one at a time
	okErrno  = 0
)

// Kernel is a fake kernel module. Its zero value has no patches and refuses nothing.
type Kernel struct {
	Absent bool      `json:"absent,omitempty"` // the module is not loaded
	Deny   *Denial   `json:"deny,omitempty"`   // the error reply to every command
	Info   lpnl.Info `json:"info"`

	Gates []lpnl.Gate `json:"gates,omitempty"` // threads that prevent the module from being unloaded
	Stuck []int       `json:"stuck,omitempty"` // TIDs of those that do not wake up

	// Refuse contains the replies to verbs that are refused.
	Refuse map[lpnl.Verb]Refusal `json:"refuse,omitempty"`

	// Active contains the threads in old code at the end of an apply, a check or a restore.
	Active map[lpnl.Verb]Active `json:"active,omitempty"`
	// Left contains the number of threads that successive recounts find; afterwards the number no longer changes.
	Left []int `json:"left,omitempty"`
	// Recounted contains the PIDs of the processes that a recount has stopped.
	Recounted []int `json:"recounted,omitempty"`

	// Keys contains the certificates in the keyring, unless Info.Keyring is 0.
	Keys   [][]byte `json:"keys,omitempty"`
	Locked bool     `json:"locked,omitempty"` // the keyring accepts no more

	Patches map[string]*Patch `json:"patches,omitempty"` // sealed patches, by hash in hexadecimal
	Records []Record          `json:"records,omitempty"`
	Boots   []lpnl.Boot       `json:"boots,omitempty"`

	inTransfer *Patch
	hash       string
	replace    bool     // flag of the operation
	supersede  []string // hashes of the operation
}

// Denial is an error reply.
type Denial struct {
	Errno   syscall.Errno `json:"errno"`
	Message string        `json:"message"`
	Attr    uint32        `json:"attr,omitempty"`
}

// Refusal is a refusal of an operation.
type Refusal struct {
	Comm     string        `json:"comm,omitempty"` // only for targets with this name, if not empty
	Refusal  lpnl.Refusal  `json:"refusal"`
	Errno    syscall.Errno `json:"errno"`
	Message  string        `json:"message"`
	TID      int           `json:"tid,omitempty"`
	Function string        `json:"function,omitempty"`
}

// Active describes threads that execute old code.
type Active struct {
	Comm     string `json:"comm,omitempty"` // only for targets with this name, if not empty
	Threads  int    `json:"threads"`
	TID      int    `json:"tid,omitempty"`
	Function string `json:"function,omitempty"`
	Patch    string `json:"patch,omitempty"`
}

// tell copies it into a report.
func (a Active) tell(r *lpnl.Report) {
	if r.ActiveThreads = a.Threads; a.Threads > 0 {
		r.ActiveTID, r.ActiveFunction, r.ActivePatch = a.TID, a.Function, a.Patch
	}
}

// Patch is the fake's record of a transferred patch.
type Patch struct {
	Name      string       `json:"name"`
	Chunks    int          `json:"chunks"` // number of requests for its tables
	Images    int          `json:"images"`
	Segments  int          `json:"segments"`
	Jumps     int          `json:"jumps"`
	Values    int          `json:"values"`
	value     string       // the last one
	Functions int          `json:"functions"`
	Fixups    []lpnl.Fixup `json:"fixups,omitempty"`
}

// Record is a patch in a target.
type Record struct {
	Hash  string     `json:"hash"`
	PID   int        `json:"pid"`
	Comm  string     `json:"comm,omitempty"`
	State lpnl.State `json:"state"`
	// Drift describes how the memory of the target differs from the record; it replaces the state.
	Drift  *Refusal `json:"drift,omitempty"`
	Active Active   `json:"active"`
}

// Conn returns a connection to the fake.
func (k *Kernel) Conn() *genetlink.Conn { return genetlink.NewConn(nltest.Dial(k.serve)) }

// Client returns a client of the fake.
func (k *Kernel) Client() (*lpnl.Client, error) { return lpnl.New(k.Conn()) }

func (k *Kernel) serve(reqs []netlink.Message) ([]netlink.Message, error) {
	if len(reqs) != 1 {
		return nil, fmt.Errorf("lpnltest: %d requests at once", len(reqs))
	}
	req := reqs[0]
	var msg genetlink.Message
	if err := msg.UnmarshalBinary(req.Data); err != nil {
		return nil, err
	}
	if req.Header.Type == unix.GENL_ID_CTRL {
		if k.Absent {
			return failure(req, Denial{Errno: unix.ENOENT}), nil
		}
		return reply(req, msg.Header.Command, encodeFamily), nil
	}
	if k.Deny != nil {
		return failure(req, *k.Deny), nil
	}
	return k.command(req, msg)
}

func (k *Kernel) command(req netlink.Message, msg genetlink.Message) ([]netlink.Message, error) {
	switch msg.Header.Command {
	case lpnl.CmdInfoGet:
		return reply(req, lpnl.CmdInfoGet, k.encodeInfo), nil
	case lpnl.CmdPatchNew:
		return k.patchNew(req, msg.Data)
	case lpnl.CmdPatchAdd:
		return failure(req, k.patchAdd(msg.Data)), nil
	case lpnl.CmdPatchSeal:
		k.Patches[k.hash] = k.inTransfer
		return failure(req, Denial{Errno: okErrno}), nil
	case lpnl.CmdBootAdd, lpnl.CmdBootRemove:
		return failure(req, k.changeBoots(msg)), nil
	case lpnl.CmdBootGet:
		return k.boots(req), nil
	case lpnl.CmdStatusGet:
		return k.status(req), nil
	case lpnl.CmdKeyAdd, lpnl.CmdKeyRevoke, lpnl.CmdKeyLock:
		return failure(req, k.changeKeys(msg)), nil
	case lpnl.CmdGatesGet:
		return k.gates(req), nil
	case lpnl.CmdGatesDrain:
		return k.drain(req), nil
	case lpnl.CmdLoad, lpnl.CmdApply, lpnl.CmdRestore, lpnl.CmdUnload, lpnl.CmdRecount:
		return k.op(req, msg)
	}
	return failure(req, Denial{Errno: unix.EOPNOTSUPP}), nil
}

func (k *Kernel) patchNew(req netlink.Message, data []byte) ([]netlink.Message, error) {
	p := &Patch{}
	err := each(data, func(ad *netlink.AttributeDecoder) {
		switch ad.Type() {
		case lpnl.AttrPatchName:
			p.Name = ad.String()
		case lpnl.AttrPatchHash:
			k.hash = hex.EncodeToString(ad.Bytes())
		}
	})
	if err != nil {
		return nil, err
	}
	if k.Patches[k.hash] != nil {
		return reply(req, lpnl.CmdPatchNew, func(ae *netlink.AttributeEncoder) {
			ae.Flag(lpnl.AttrPatchExists, true)
		}), nil
	}
	if k.Patches == nil {
		k.Patches = map[string]*Patch{}
	}
	k.inTransfer = p
	return reply(req, lpnl.CmdPatchNew, func(ae *netlink.AttributeEncoder) {
		ae.Uint32(lpnl.AttrPatchID, transfer)
	}), nil
}

// op executes an operation like the kernel and replies with plausible durations.
func (k *Kernel) op(req netlink.Message, msg genetlink.Message) ([]netlink.Message, error) {
	r, err := k.request(msg)
	if err != nil {
		return nil, err
	}
	patch := k.Patches[r.Hash.String()]
	if patch == nil {
		return failure(req, Denial{Errno: unix.ENOENT, Message: "no such patch"}), nil
	}
	r.Patch, r.Functions, r.Values = patch.Name, patch.Jumps, patch.Values
	if no, ok := k.Refuse[r.Verb]; ok && (no.Comm == "" || no.Comm == r.Comm) {
		r.Refusal, r.Errno, r.Message, r.TID, r.Function = no.Refusal, no.Errno, no.Message, no.TID, no.Function
		r.State = k.state(r.Hash.String(), r.PID)
		k.active(r.Hash.String(), r.PID).tell(&r)
	} else {
		k.step(&r)
	}
	return reply(req, msg.Header.Command, nest(r)), nil
}
