// SPDX-License-Identifier: GPL-2.0

package lpnl

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"github.com/mdlayher/netlink/nltest"

	"lpatch/pkg/testutil/fuzztest"
)

// FuzzReport checks that a report is rejected, or is the same after it is encoded and decoded again.
func FuzzReport(f *testing.F) {
	f.Add([]byte{8, 0, 8, 128, 4, 0, 0, 0})
	r := Report{
		Patch: "cve-1", Hash: Hash{1}, Verb: VerbApply, PID: 7, Comm: "prog", State: StateApplied, Since: time.Unix(1, 2), Functions: 1, Threads: 3,
		Stop: time.Millisecond, MappedAt: 0x7f00, Refusal: RefusalThreadActive, Errno: 16, Message: "thread 8 is in f", TID: 8, Function: "f",
	}
	f.Add(encodeReport(f, r))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r Report
		var err error
		fuzztest.Bounded(t, len(data), func() { r, err = decodeReply(data) })
		if err != nil {
			if r != (Report{}) {
				t.Fatalf("report %+v and error %v", r, err)
			}
			return
		}
		_, _, _ = r.State.String(), r.Refusal.String(), (&Refused{Report: r}).Error()
		again, err := decodeReply(encodeReport(t, r))
		if err != nil {
			t.Fatalf("sent again it is an error: %v", err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Fatalf("sent again it differs:\n%s", diff)
		}
	})
}

// encodeReport encodes a reply like the kernel.
func encodeReport(t testing.TB, r Report) []byte {
	ae := netlink.NewAttributeEncoder()
	ae.Nested(AttrOpReport, func(ae *netlink.AttributeEncoder) error {
		for kind, text := range map[uint16]string{
			AttrReportPatch: r.Patch, AttrReportVerb: string(r.Verb), AttrReportComm: r.Comm, AttrReportMessage: r.Message, AttrReportFunction: r.Function,
		} {
			ae.String(kind, text)
		}
		ae.Bytes(AttrReportHash, r.Hash[:])
		for kind, n := range map[uint16]uint32{
			AttrReportPID: uint32(r.PID), AttrReportState: uint32(r.State), AttrReportFunctions: uint32(r.Functions), AttrReportValues: uint32(r.Values),
			AttrReportThreads: uint32(r.Threads), AttrReportAttempts: uint32(r.Attempts), AttrReportRefusal: uint32(r.Refusal),
			AttrReportErrno: uint32(r.Errno), AttrReportTID: uint32(r.TID), AttrReportLayer: uint32(r.Layer),
		} {
			ae.Uint32(kind, n)
		}
		if !r.Since.IsZero() {
			ae.Uint64(AttrReportSince, uint64(r.Since.UnixNano()))
		}
		ae.Uint64(AttrReportMappedAt, r.MappedAt)
		ae.Uint64(AttrReportMappedBytes, r.MappedBytes)
		for kind, d := range r.times() {
			ae.Uint64(kind, uint64(*d))
		}
		return nil
	})
	data, err := ae.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// FuzzInfo checks that an info reply is rejected, or is the same after it is encoded and decoded again.
func FuzzInfo(f *testing.F) {
	f.Add([]byte{8, 0, 1, 0, '1', 0, 0, 0, 8, 0, 3, 0, 2, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		info, err := decodeInfo(data)
		if err != nil {
			if info != (Info{}) {
				t.Fatalf("value %+v and error %v", info, err)
			}
			return
		}
		ae := netlink.NewAttributeEncoder()
		ae.String(AttrInfoVersion, info.Version)
		ae.String(AttrInfoTaskWork, info.TaskWork)
		ae.Uint32(AttrInfoPatches, uint32(info.Patches))
		ae.Uint32(AttrInfoTargets, uint32(info.Targets))
		ae.Uint32(AttrInfoGates, uint32(info.Gates))
		ae.Uint32(AttrInfoKeyring, uint32(info.Keyring))
		ae.Flag(AttrInfoSignatureRequired, info.SignatureRequired)
		sent, err := ae.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decodeInfo(sent); err != nil || again != info {
			t.Fatalf("%+v, sent again, is %+v (%v)", info, again, err)
		}
	})
}

// FuzzReplies checks that each call of a client returns a value or an error for any reply, including error messages.
func FuzzReplies(f *testing.F) {
	f.Add(uint16(netlink.Error), uint16(netlink.AcknowledgeTLVs), []byte{0xea, 0xff, 0xff, 0xff, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1, 0, 'x', 0})
	f.Add(uint16(netlink.Done), uint16(netlink.Multi), []byte{0, 0, 0, 0})
	f.Add(uint16(30), uint16(0), append([]byte{CmdApply, 1, 0, 0}, 8, 0, 8, 128, 4, 0, 0, 0))
	f.Fuzz(func(t *testing.T, kind, flags uint16, data []byte) {
		conn := nltest.Dial(func(requests []netlink.Message) ([]netlink.Message, error) {
			h := netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.HeaderFlags(flags) &^ netlink.Multi, Length: uint32(16 + len(data))}
			if len(requests) > 0 {
				h.Sequence, h.PID = requests[0].Header.Sequence, requests[0].Header.PID
			}
			return []netlink.Message{{Header: h, Data: data}}, nil
		})
		c := &Client{conn: genetlink.NewConn(conn)}
		defer c.Close()
		if _, err := c.Info(); err != nil {
			inspect(t, err)
		}
		if _, err := c.Status(); err != nil {
			inspect(t, err)
		}
		if _, err := c.Gates(); err != nil {
			inspect(t, err)
		}
		if _, err := c.Drain(); err != nil {
			inspect(t, err)
		}
		r, err := c.Op(VerbApply, Hash{}, Target{PID: 1}, Options{})
		if err != nil {
			inspect(t, err)
		} else if r.Refusal != RefusalNone {
			t.Fatalf("a refusal is no error: %+v", r)
		}
	})
}

// inspect fails the test if an error has no message.
func inspect(t *testing.T, err error) {
	var e *Error
	if err.Error() == "" || errors.As(err, &e) && e.Errno == 0 {
		t.Fatalf("error %#v", err)
	}
}
