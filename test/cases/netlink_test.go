//go:build vm

package cases

import (
	"math/rand/v2"
	"testing"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"

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
	}
}

// TestNoise sends the family messages that are made of noise: each is answered with an error or ignored, none does
// anything. The harness looks at the kernel's log.
func TestNoise(t *testing.T) {
	conn, err := genetlink.Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	family, err := conn.GetFamily(lpnl.FamilyName)
	if err != nil {
		t.Fatal(err)
	}
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
