// SPDX-License-Identifier: GPL-2.0

// Package lpnltest has a fake of the kernel module, for tests of its clients: it answers as lpatch.ko would, from a
// state that a test can set up, look at, and keep in a file between processes (it encodes to JSON).
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
	transfer = 7 // the id of the object in transfer; the fake has one at a time
	okErrno  = 0
)

// Kernel is a fake kernel module. Its zero value has no patches and refuses nothing.
type Kernel struct {
	Absent bool      `json:"absent,omitempty"` // the module is not loaded
	Deny   *Denial   `json:"deny,omitempty"`   // every command is answered with this error
	Info   lpnl.Info `json:"info"`

	Gates []lpnl.Gate `json:"gates,omitempty"` // the threads that hold the module
	Stuck []int       `json:"stuck,omitempty"` // of those, the tids that do not wake

	// Refuse has what the kernel answers to a verb instead of doing it.
	Refuse map[lpnl.Verb]Refusal `json:"refuse,omitempty"`

	// Active has who is still in code from before when a verb is done: an apply, a check or a restore.
	Active map[lpnl.Verb]Active `json:"active,omitempty"`
	// Left has how many threads each recount finds, in turn; when it is used up they are as many as before.
	Left []int `json:"left,omitempty"`
	// Recounted has the pids of the processes in which threads were counted again, which stops them.
	Recounted []int `json:"recounted,omitempty"`

	// Keys are the certificates in the keyring, unless Info.Keyring is 0.
	Keys   [][]byte `json:"keys,omitempty"`
	Locked bool     `json:"locked,omitempty"` // the keyring takes no more

	Patches map[string]*Patch `json:"patches,omitempty"` // sealed, by hash in hexadecimal
	Records []Record          `json:"records,omitempty"`
	Boots   []lpnl.Boot       `json:"boots,omitempty"`

	inTransfer *Patch
	hash       string
	replace    bool     // the operation's flag
	supersede  []string // and the hashes that it names
}

// Denial is an error in place of a reply.
type Denial struct {
	Errno   syscall.Errno `json:"errno"`
	Message string        `json:"message"`
	Attr    uint32        `json:"attr,omitempty"`
}

// Refusal is a refusal in place of a deed.
type Refusal struct {
	Comm     string        `json:"comm,omitempty"` // only targets of this name, if not empty
	Refusal  lpnl.Refusal  `json:"refusal"`
	Errno    syscall.Errno `json:"errno"`
	Message  string        `json:"message"`
	TID      int           `json:"tid,omitempty"`
	Function string        `json:"function,omitempty"`
}

// Active is who is still in code from before.
type Active struct {
	Comm     string `json:"comm,omitempty"` // only in targets of this name, if not empty
	Threads  int    `json:"threads"`
	TID      int    `json:"tid,omitempty"`
	Function string `json:"function,omitempty"`
	Patch    string `json:"patch,omitempty"`
}

// tell puts it into a report.
func (a Active) tell(r *lpnl.Report) {
	if r.ActiveThreads = a.Threads; a.Threads > 0 {
		r.ActiveTID, r.ActiveFunction, r.ActivePatch = a.TID, a.Function, a.Patch
	}
}

// Patch is what the fake remembers of a transferred patch.
type Patch struct {
	Name      string       `json:"name"`
	Chunks    int          `json:"chunks"` // requests that its tables took
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
	// Drift is how the memory of the target differs from the record, in place of a state.
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

// op does what the kernel does, and answers with the figures of an unhurried machine.
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
