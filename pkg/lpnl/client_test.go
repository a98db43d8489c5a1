// SPDX-License-Identifier: GPL-2.0

package lpnl_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/testutil/lpnltest"
)

func dial(t *testing.T, k *lpnltest.Kernel) *lpnl.Client {
	t.Helper()
	c, err := k.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// sample returns a patch whose tables have increasing lengths; the fixups need several chunks.
func sample(t *testing.T) *lpnl.Patch {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "fix.lp"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	p := &lpnl.Patch{Name: "fix", Hash: lpnl.Hash{1, 2, 3}, File: f}
	p.Images = []lpnl.Image{{Name: "/bin/true", File: f, Flags: lpnl.ImageFlagsNear, TextOffset: 4096}}
	p.Segments = []lpnl.Segment{{Size: 10, Prot: lpnl.SegmentProtRead | lpnl.SegmentProtExec}, {Vaddr: 4096, Size: 1}}
	for i := range 3 {
		p.Sites = append(p.Sites, lpnl.Site{Symbol: "f", Vaddr: uint64(i), Old: make([]byte, 5), Target: 16})
	}
	p.Sites = append(p.Sites, lpnl.Site{Kind: lpnl.SiteKindBytes, Symbol: "v", Old: []byte{1}, New: []byte{2}})
	for i := range 2000 {
		p.Functions = append(p.Functions, lpnl.Function{Symbol: "f", Start: uint64(i), End: uint64(i + 1)})
	}
	for i := range 5000 {
		p.Fixups = append(p.Fixups, lpnl.Fixup{Place: uint64(8 * i), Addend: -int64(i), Image: -1, Kind: lpnl.FixupKindPc32})
	}
	return p
}

func TestTransfer(t *testing.T) {
	k := &lpnltest.Kernel{}
	c := dial(t, k)
	p := sample(t)
	for range 2 { // the second time the kernel has the patch already
		if err := c.Transfer(p); err != nil {
			t.Fatal(err)
		}
	}
	got := k.Patches[p.Hash.String()]
	if got.Chunks < 6 {
		t.Errorf("the tables took %d requests, which must then be longer than 32 KiB", got.Chunks)
	}
	want := &lpnltest.Patch{Name: "fix", Chunks: got.Chunks, Images: 1, Segments: 2, Jumps: 3, Values: 1, Functions: 2000, Fixups: p.Fixups}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(lpnltest.Patch{})); diff != "" {
		t.Errorf("transferred patch (-want +got):\n%s", diff)
	}
}

func TestOp(t *testing.T) {
	active := lpnltest.Active{Threads: 4, TID: 17, Function: "main", Patch: "below"}
	k := &lpnltest.Kernel{Active: map[lpnl.Verb]lpnltest.Active{lpnl.VerbApply: active}, Left: []int{2}}
	c := dial(t, k)
	p := sample(t)
	if err := c.Transfer(p); err != nil {
		t.Fatal(err)
	}
	target := lpnl.Target{PID: os.Getpid(), StartTime: 5}
	var states []lpnl.State
	for _, verb := range []lpnl.Verb{lpnl.VerbCheck, lpnl.VerbLoad, lpnl.VerbApply, lpnl.VerbRecount,
		lpnl.VerbRestore, lpnl.VerbUnload} {
		r, err := c.Op(verb, p.Hash, target, lpnl.Options{MaxStop: time.Millisecond, Timeout: time.Second})
		if err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
		if r.Verb != verb || r.PID != target.PID || r.Functions != 3 || r.Values != 1 || r.StopLimit != time.Millisecond {
			t.Errorf("%s: the report is %+v", verb, r)
		}
		states = append(states, r.State)
		want := map[lpnl.Verb]int{lpnl.VerbApply: 4, lpnl.VerbRecount: 2}[verb]
		if r.ActiveThreads != want || want > 0 && (r.ActiveTID != 17 || r.ActiveFunction != "main" || r.ActivePatch != "below") {
			t.Errorf("%s: %d threads in old code, want %d: %+v", verb, r.ActiveThreads, want, r)
		}
		if verb == lpnl.VerbApply || verb == lpnl.VerbRecount {
			checkStatus(t, c, r)
		}
	}
	want := []lpnl.State{lpnl.StateNone, lpnl.StateLoaded, lpnl.StateApplied, lpnl.StateApplied, lpnl.StateRestored, lpnl.StateNone}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

// checkStatus compares the status with the report of the preceding operation.
func checkStatus(t *testing.T, c *lpnl.Client, r lpnl.Report) {
	t.Helper()
	list, err := c.Status()
	if err != nil {
		t.Fatal(err)
	}
	r.Verb, r.StopLimit, r.Layer = "", lpnl.MaxStopDefault, 1
	if diff := cmp.Diff([]lpnl.Report{r}, list); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestRefused(t *testing.T) {
	const message = "thread 17 (worker) is in rdbLoadObject; try again"
	k := &lpnltest.Kernel{Refuse: map[lpnl.Verb]lpnltest.Refusal{
		lpnl.VerbApply: {Refusal: lpnl.RefusalThreadActive, Errno: syscall.EBUSY, Message: message, TID: 17, Function: "rdbLoadObject"},
		lpnl.VerbLoad:  {Refusal: lpnl.RefusalTargetGone, Errno: syscall.ESRCH},
	}}
	c := dial(t, k)
	p := sample(t)
	if err := c.Transfer(p); err != nil {
		t.Fatal(err)
	}
	target := lpnl.Target{PID: os.Getpid()}
	r, err := c.Op(lpnl.VerbApply, p.Hash, target, lpnl.Options{})
	var refused *lpnl.Refused
	if !errors.As(err, &refused) || !errors.Is(err, syscall.EBUSY) || err.Error() != message {
		t.Fatalf("apply: %v", err)
	}
	if r.TID != 17 || r.Function != "rdbLoadObject" || r.Refusal.String() != "thread-active" {
		t.Errorf("the report is %+v", r)
	}
	_, err = c.Op(lpnl.VerbLoad, p.Hash, target, lpnl.Options{})
	if !errors.Is(err, os.ErrProcessDone) || err.Error() != "the kernel refused: target-gone" {
		t.Errorf("load: %v", err)
	}
}

// TestErrors sends every request to a kernel that refuses it.
func TestErrors(t *testing.T) {
	denials := []struct {
		deny lpnltest.Denial
		is   error
		text string // expected text if the kernel sends none
	}{
		{lpnltest.Denial{Errno: syscall.EPERM, Message: "CAP_SYS_PTRACE is missing"}, os.ErrPermission, ""},
		{lpnltest.Denial{Errno: syscall.EPERM}, os.ErrPermission,
			"lpatch needs CAP_SYS_ADMIN and CAP_SYS_PTRACE in the initial user namespace"},
		{lpnltest.Denial{Errno: syscall.ENOENT, Message: "no such patch", Attr: 24}, os.ErrNotExist, ""},
	}
	requests := map[string]func(*lpnl.Client, *lpnl.Patch) error{
		"info":     func(c *lpnl.Client, _ *lpnl.Patch) error { _, err := c.Info(); return err },
		"status":   func(c *lpnl.Client, _ *lpnl.Patch) error { _, err := c.Status(); return err },
		"transfer": func(c *lpnl.Client, p *lpnl.Patch) error { return c.Transfer(p) },
		"op": func(c *lpnl.Client, p *lpnl.Patch) error {
			_, err := c.Op(lpnl.VerbApply, p.Hash, lpnl.Target{PID: 1}, lpnl.Options{})
			return err
		},
	}
	p := sample(t)
	for _, d := range denials {
		for name, request := range requests {
			err := request(dial(t, &lpnltest.Kernel{Deny: &d.deny}), p)
			want := d.text
			if want == "" {
				want = d.deny.Message
			}
			var e *lpnl.Error
			if !errors.As(err, &e) || !errors.Is(err, d.is) || err.Error() != want || e.Attr != int(d.deny.Attr) {
				t.Errorf("%s with %v: %#v", name, d.deny, err)
			}
		}
	}
}

func TestNoModule(t *testing.T) {
	_, err := (&lpnltest.Kernel{Absent: true}).Client()
	if !errors.Is(err, lpnl.ErrNoModule) {
		t.Errorf("got %v", err)
	}
}

func TestBadPID(t *testing.T) {
	for _, pid := range []int{-1, 0, 1 << 31} {
		if _, err := dial(t, &lpnltest.Kernel{}).Op(lpnl.VerbLoad, lpnl.Hash{}, lpnl.Target{PID: pid}, lpnl.Options{}); err == nil {
			t.Errorf("pid %d is taken", pid)
		}
	}
}
