// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
)

// TestEvents listens to the group while a patch goes through its states and is refused once.
func TestEvents(t *testing.T) {
	v := startVictim(t, "victim")
	events, err := lpnl.DialEvents()
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	for _, step := range []struct {
		verb    lpnl.Verb
		state   lpnl.State
		refusal lpnl.Refusal
	}{
		{lpnl.VerbLoad, lpnl.StateLoaded, lpnl.RefusalNone},
		{lpnl.VerbApply, lpnl.StateApplied, lpnl.RefusalNone},
		{lpnl.VerbUnload, lpnl.StateApplied, lpnl.RefusalStillApplied},
		{lpnl.VerbRestore, lpnl.StateRestored, lpnl.RefusalNone},
		{lpnl.VerbUnload, lpnl.StateNone, lpnl.RefusalNone},
	} {
		c.Op(step.verb, p.Hash, lpnl.Target{PID: v.pid}, rawOptions)
		r, err := events.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if r.Verb != step.verb || r.State != step.state || r.Refusal != step.refusal || r.PID != v.pid {
			t.Fatalf("%s: the event says %s, state %v, refusal %v, pid %d", step.verb, r.Verb, r.State, r.Refusal, r.PID)
		}
		if r.MappedAt != 0 || (r.State != lpnl.StateNone) != (r.MappedBytes != 0) {
			t.Fatalf("%s: the event says where the patch is: %d bytes at %#x", step.verb, r.MappedBytes, r.MappedAt)
		}
	}
}

// TestFlagsOfApply asks for a dry run of what is none for a dry run: it is refused, and nothing is said to be restored that is
// applied.
func TestFlagsOfApply(t *testing.T) {
	v := startVictim(t, "victim")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	conn, family := dialFamily(t)
	for verb, command := range map[lpnl.Verb]uint8{
		lpnl.VerbLoad: lpnl.CmdLoad, lpnl.VerbRestore: lpnl.CmdRestore, lpnl.VerbUnload: lpnl.CmdUnload,
	} {
		if verb != lpnl.VerbLoad {
			c.Op(lpnl.VerbApply, p.Hash, lpnl.Target{PID: v.pid}, rawOptions) // is applied already the second time
		}
		ae := netlink.NewAttributeEncoder()
		ae.Bytes(lpnl.AttrOpHash, p.Hash[:])
		ae.Uint32(lpnl.AttrOpPID, uint32(v.pid))
		ae.Uint32(lpnl.AttrOpFlags, uint32(lpnl.OpFlagsDryRun))
		data, err := ae.Encode()
		if err != nil {
			t.Fatal(err)
		}
		msg := genetlink.Message{Header: genetlink.Header{Command: command, Version: lpnl.FamilyVersion}, Data: data}
		_, err = conn.Execute(msg, family.ID, netlink.Request)
		var refused *netlink.OpError
		if want := "only an apply can be a dry run, or replace other patches"; !errors.As(err, &refused) || refused.Message != want {
			t.Errorf("a dry run of %s: %v, want %q", verb, err, want)
		}
	}
	do(t, c, lpnl.VerbRestore, p, v.pid)
	v.wantValue(1)
}

// TestImageIsAFile names sockets and the like as the image. A netlink socket that the module kept would never be released,
// nor would the patch.
func TestImageIsAFile(t *testing.T) {
	pipe, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer end.Close()
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_GENERIC)
	if err != nil {
		t.Fatal(err)
	}
	netlinkSocket := os.NewFile(uintptr(socket), "socket")
	defer netlinkSocket.Close()
	for what, file := range map[string]*os.File{
		"a pipe": pipe, "a device": open(t, "/dev/zero"), "a directory": open(t, "/"), "a netlink socket": netlinkSocket,
	} {
		p := rawPatch(t, fixtures+"victim", "value")
		p.Images[0].File = file
		if err := dial(t).Transfer(p); err == nil || err.Error() != "the image is not a regular file" {
			t.Errorf("%s as image: %v", what, err)
		}
		p = rawPatch(t, fixtures+"victim", "value")
		p.File = file
		if err := dial(t).Transfer(p); err == nil || err.Error() != "the patch is not a regular file" {
			t.Errorf("%s as patch file: %v", what, err)
		}
	}
}

// dialFamily connects to the family without the client.
func dialFamily(t *testing.T) (*genetlink.Conn, genetlink.Family) {
	t.Helper()
	conn, err := genetlink.Dial(&netlink.Config{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	family, err := conn.GetFamily(lpnl.FamilyName)
	if err != nil {
		t.Fatal(err)
	}
	return conn, family
}

// TestNoise sends the family messages that are made of noise: each is answered with an error or ignored, none does
// anything. The harness looks at the kernel's log.
//
//machine:preempts
func TestNoise(t *testing.T) {
	conn, family := dialFamily(t)
	noise := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for range 3000 {
		msg := genetlink.Message{
			Header: genetlink.Header{Command: uint8(noise.IntN(14)), Version: lpnl.FamilyVersion},
			Data:   noiseAttributes(noise, 3),
		}
		flags := netlink.Request | netlink.Acknowledge
		if noise.IntN(4) == 0 {
			flags |= netlink.Dump
		}
		if _, err := conn.Execute(msg, family.ID, flags); err != nil {
			refused++
		}
	}
	if refused < 1000 {
		t.Fatalf("only %d of 3000 messages of noise were refused", refused)
	}
	info, err := dial(t).Info()
	if err != nil || info.Patches != 0 || info.Targets != 0 {
		t.Fatalf("after the noise: %+v, %v", info, err)
	}
}

// noiseAttributes makes a list of attributes, some of them well formed, some nested, some cut off.
func noiseAttributes(noise *rand.Rand, depth int) []byte {
	var data []byte
	for range noise.IntN(6) {
		payload := make([]byte, []int{0, 1, 4, 8, 16, 32, 200}[noise.IntN(7)])
		for i := range payload {
			payload[i] = byte(noise.IntN(256) >> noise.IntN(8))
		}
		kind := uint16(noise.IntN(16))
		if depth > 0 && noise.IntN(3) == 0 {
			payload, kind = noiseAttributes(noise, depth-1), kind|1<<15
		}
		length := 4 + len(payload)
		if noise.IntN(20) == 0 {
			length = noise.IntN(300)
		}
		data = append(data, byte(length), byte(length>>8), byte(kind), byte(kind>>8))
		data = append(data, payload...)
		for len(data)%4 != 0 {
			data = append(data, 0)
		}
	}
	return data
}
