// SPDX-License-Identifier: GPL-2.0

package lpnl

import (
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"github.com/mdlayher/netlink/nltest"
	"golang.org/x/sys/unix"
)

// TestGarbage checks that no reply can make the client panic.
func TestGarbage(t *testing.T) {
	for _, b := range [][]byte{nil, {1}, {3, 0, 1, 0}, {255, 255, 7, 128}, {9, 0, 7, 128, 5, 0, 9, 0, 0}, {8, 0, 7, 128, 6, 0, 9, 0}} {
		if r, err := decodeReply(b); err == nil {
			t.Errorf("% x is taken for %+v", b, r)
		}
	}
}

func TestEvents(t *testing.T) {
	event := func(cmd, verb byte) netlink.Message {
		m := genetlink.Message{Header: genetlink.Header{Command: cmd, Version: 1}}
		m.Data = nltest.MustMarshalAttributes([]netlink.Attribute{{
			Type: AttrOpReport | netlink.Nested,
			Data: nltest.MustMarshalAttributes([]netlink.Attribute{{Type: AttrReportVerb, Data: []byte{verb, 0}}}),
		}})
		b, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		return netlink.Message{Data: b}
	}
	calls := 0
	e := NewEvents(genetlink.NewConn(nltest.Dial(func([]netlink.Message) ([]netlink.Message, error) {
		calls++
		switch calls {
		case 1:
			return []netlink.Message{event(CmdEvent, 'a'), event(CmdEvent, 'b')}, nil
		case 2:
			return nil, unix.ENOBUFS
		case 3:
			return []netlink.Message{event(200, 'x'), event(CmdEvent, 'c')}, nil
		}
		return nil, io.ErrUnexpectedEOF
	})))
	defer e.Close()
	var got []string
	for {
		r, err := e.Receive()
		if errors.Is(err, ErrLost) {
			got = append(got, "lost")
			continue
		}
		if err != nil {
			break
		}
		got = append(got, string(r.Verb))
	}
	if diff := cmp.Diff([]string{"a", "b", "lost", "c"}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
