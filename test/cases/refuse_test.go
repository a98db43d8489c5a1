// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"lpatch/pkg/lpnl"
)

// TestRefuseTargets names processes that cannot be patched.
func TestRefuseTargets(t *testing.T) {
	v := startVictim(t, "victim")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	refuseWith(t, c, lpnl.VerbApply, p, 4194000, lpnl.RefusalTargetGone, "there is no process 4194000")
	refuseWith(t, c, lpnl.VerbApply, p, 2, lpnl.RefusalTargetKernel,
		"process 2 is a kernel thread and has no memory to patch")
	refuseWith(t, c, lpnl.VerbApply, p, os.Getpid(), lpnl.RefusalImageMissing,
		fmt.Sprintf("victim is not mapped executable in cases.test[%d]", os.Getpid()))
	r, err := c.Op(lpnl.VerbApply, p.Hash, lpnl.Target{PID: v.pid, StartTime: 1}, lpnl.Options{})
	if want := fmt.Sprintf("pid %d belongs to another process by now", v.pid); err == nil || r.Message != want {
		t.Fatalf("another start time: %v, want %q", err, want)
	}
	v.wantValue(1)
}

// TestRefuseBytes finds a breakpoint at the entry.
func TestRefuseBytes(t *testing.T) {
	v := startVictim(t, "victim")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	at := entryAddress(t, v, p)
	poke(t, v.pid, at, []byte{0xcc})
	refuseWith(t, c, lpnl.VerbApply, p, v.pid, lpnl.RefusalBytesDiffer,
		"value of victim has other bytes than the patch expects: a breakpoint, another tool, or another build of the file")
	if strings.Contains(maps(t, v.pid), "/raw") {
		t.Fatal("a refused apply left the patch mapped")
	}
	poke(t, v.pid, at, p.Sites[0].Old[:1])
	v.wantValue(1)
}

// entryAddress is where the first site of p is in the victim, which is a PIE.
func entryAddress(t *testing.T, v *victim, p *lpnl.Patch) int64 {
	t.Helper()
	var start uint64
	if _, err := fmt.Sscanf(maps(t, v.pid), "%x-", &start); err != nil {
		t.Fatal(err)
	}
	return int64(start + p.Sites[0].Vaddr)
}

func poke(t *testing.T, pid int, at int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// TestRefuseActive patches a function that a thread is in: refused by name, and done when it has left.
func TestRefuseActive(t *testing.T) {
	v := startVictim(t, "victim")
	c := dial(t)
	p := rawPatch(t, v.path, "dwell")
	transfer(t, c, p)
	v.ask("dwell")
	r := refuse(t, c, lpnl.VerbApply, p, v.pid, lpnl.Options{Timeout: 200 * time.Millisecond}, lpnl.RefusalThreadActive)
	if want := fmt.Sprintf("thread %d (victim) has on its stack an address inside dwell", r.TID); r.Message != want {
		t.Fatalf("the sentence is %q, want %q", r.Message, want)
	}
	if r.TID == v.pid || r.Function != "dwell" || r.Attempts < 2 {
		t.Fatalf("tid %d, function %q, %d attempts", r.TID, r.Function, r.Attempts)
	}
	left := make(chan lpnl.Report)
	go func() {
		r, _ := c.Op(lpnl.VerbApply, p.Hash, lpnl.Target{PID: v.pid}, rawOptions)
		left <- r
	}()
	time.Sleep(50 * time.Millisecond)
	v.ask("leave")
	if r := <-left; r.Refusal != lpnl.RefusalNone || r.State != lpnl.StateApplied {
		t.Fatalf("after the thread has left: %v %s", r.Refusal, r.Message)
	}
	do(t, c, lpnl.VerbRestore, p, v.pid)
	do(t, c, lpnl.VerbUnload, p, v.pid)
}

// TestAllowActive patches a function that a thread is in and may stay in: the call under way finishes in the old code.
func TestAllowActive(t *testing.T) {
	v := startVictim(t, "victim")
	c := dial(t)
	p := rawPatch(t, v.path, "dwell")
	transfer(t, c, p)
	v.ask("dwell")
	refuse(t, c, lpnl.VerbApply, p, v.pid, lpnl.Options{}, lpnl.RefusalThreadActive)
	allowed := rawOptions
	allowed.AllowActive = []string{"dwell"}
	if _, err := c.Op(lpnl.VerbApply, p.Hash, lpnl.Target{PID: v.pid}, allowed); err != nil {
		t.Fatal(err)
	}
	if got := v.ask("leave"); got != "left" {
		t.Fatalf("the thread in the old code: %s", got)
	}
	do(t, c, lpnl.VerbRestore, p, v.pid)
	do(t, c, lpnl.VerbUnload, p, v.pid)
	v.wantValue(1)
}

// forever is pause; jmp back to it.
var forever = []byte{0xf3, 0x90, 0xeb, 0xfc}

// TestRefuseInPatch finds a thread that executes the patch, at restore and at unload.
func TestRefuseInPatch(t *testing.T) {
	v := startVictim(t, "victim")
	c := dial(t)
	p := rawPatchWith(t, v.path, "straddle", forever)
	transfer(t, c, p)
	r := do(t, c, lpnl.VerbApply, p, v.pid)
	do(t, c, lpnl.VerbRestore, p, v.pid)
	do(t, c, lpnl.VerbApply, p, v.pid)
	v.spin(fmt.Sprintf("call %#x", r.MappedAt))
	limits := lpnl.Options{MaxStop: rawOptions.MaxStop, Timeout: 100 * time.Millisecond}
	got := refuse(t, c, lpnl.VerbRestore, p, v.pid, limits, lpnl.RefusalThreadActive)
	if want := fmt.Sprintf("thread %d (victim) is executing patch raw", got.TID); got.Message != want {
		t.Fatalf("restore: %q, want %q", got.Message, want)
	}

	w := startVictim(t, "victim")
	r = do(t, c, lpnl.VerbLoad, p, w.pid)
	w.spin(fmt.Sprintf("call %#x", r.MappedAt))
	got = refuse(t, c, lpnl.VerbUnload, p, w.pid, limits, lpnl.RefusalThreadActive)
	if want := fmt.Sprintf("thread %d (victim) is executing patch raw", got.TID); got.Message != want {
		t.Fatalf("unload: %q, want %q", got.Message, want)
	}
	if !strings.Contains(maps(t, w.pid), "/raw") {
		t.Fatal("a refused unload unmapped the patch")
	}
}

// TestMaxStop holds a window open longer than allowed: everybody is released at the limit, not at the end of the delay,
// and nothing is written.
//
//machine:preempts
func TestMaxStop(t *testing.T) {
	v := startVictim(t, "victim", "-t", "2", "-m", "spin")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	setDelay(t, 2*time.Second)
	done := make(chan lpnl.Report)
	begin := time.Now()
	go func() {
		r, _ := c.Op(lpnl.VerbApply, p.Hash, lpnl.Target{PID: v.pid}, lpnl.Options{MaxStop: 50 * time.Millisecond})
		done <- r
	}()
	time.Sleep(100 * time.Millisecond)
	v.wantValue(1)
	answered := time.Since(begin)
	r := <-done
	if r.Refusal != lpnl.RefusalDeadline {
		t.Fatalf("refused with %v: %s", r.Refusal, r.Message)
	}
	want := fmt.Sprintf("stopping the 3 threads of victim[%d] would take longer than the limit of 50000 us", v.pid)
	if r.Message != want {
		t.Fatalf("the sentence is %q, want %q", r.Message, want)
	}
	if answered > time.Second {
		t.Fatalf("the victim answered after %v only: it was held beyond the limit", answered)
	}
	v.wantValue(1)
	v.wantNoWrong()
	if strings.Contains(maps(t, v.pid), "/raw") {
		t.Fatal("a refused apply left the patch mapped")
	}
}

// TestMaxStopAsleep is TestMaxStop with nobody who runs, and so nobody held who could end the window: the freezer itself
// must not write after the limit.
//
//machine:preempts
func TestMaxStopAsleep(t *testing.T) {
	v := startVictim(t, "victim")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	setDelay(t, 200*time.Millisecond)
	refuse(t, c, lpnl.VerbApply, p, v.pid, lpnl.Options{MaxStop: 50 * time.Millisecond}, lpnl.RefusalDeadline)
	v.wantValue(1)
}

// TestRefuseOccupied has another client's operation on the same target take longer than this one may, five seconds beyond its
// time-out.
func TestRefuseOccupied(t *testing.T) {
	v := startVictim(t, "victim", "-t", "2", "-m", "sleep")
	c, rival := dial(t), dial(t)
	p, q := rawPatch(t, v.path, "value"), rawPatch(t, v.path, "tight")
	transfer(t, c, p)
	transfer(t, rival, q)
	occupy(t, rival, q, v)
	refuseWith(t, c, lpnl.VerbApply, p, v.pid, lpnl.RefusalThreadRunning,
		fmt.Sprintf("another operation on victim[%d] did not end in time", v.pid))
}

// TestMalformed sends patches that make no sense; each is refused with its sentence when it is sealed.
func TestMalformed(t *testing.T) {
	for want, spoil := range map[string]func(*lpnl.Patch){
		"the patch has no segment": func(p *lpnl.Patch) { p.Segments = nil },
		"a segment of the patch is both writable and executable": func(p *lpnl.Patch) {
			p.Segments[0].Prot |= lpnl.SegmentProtWrite
		},
		"a segment of the patch is empty or not page aligned":      func(p *lpnl.Patch) { p.Segments[0].Offset = 1 },
		"a segment of the patch lies beyond the end of its file":   func(p *lpnl.Patch) { p.Segments[0].Offset = 4096 },
		"the first segment of the patch is not at address 0":       func(p *lpnl.Patch) { p.Segments[0].Vaddr = 4096 },
		"the patch has no site":                                    func(p *lpnl.Patch) { p.Sites = nil },
		"a site is in an image that the patch does not list":       func(p *lpnl.Patch) { p.Sites[0].Image = 1 },
		"a site lies outside of its image":                         func(p *lpnl.Patch) { p.Sites[0].Vaddr = 1 << 40 },
		"a site of kind jump does not have the length of a jump":   func(p *lpnl.Patch) { p.Sites[0].Old = p.Sites[0].Old[:4] },
		"a site jumps to something that is not code of the patch":  func(p *lpnl.Patch) { p.Sites[0].Target = 4096 },
		"two sites of the patch overlap":                           func(p *lpnl.Patch) { p.Sites = append(p.Sites, p.Sites[0]) },
		"a function is in an image that the patch does not list":   func(p *lpnl.Patch) { p.Functions[0].Image = 1 },
		"a function lies outside of its image":                     func(p *lpnl.Patch) { p.Functions[0].End = 0 },
		"a fix-up lies outside of the patch":                       func(p *lpnl.Patch) { p.Fixups = []lpnl.Fixup{{Place: 4090}} },
		"a fix-up refers to an image that the patch does not list": func(p *lpnl.Patch) { p.Fixups = []lpnl.Fixup{{Image: 1}} },
		"the addresses of an image make no sense":                  func(p *lpnl.Patch) { p.Images[0].SpanEnd = 0 },
		"the text of an image is not page aligned":                 func(p *lpnl.Patch) { p.Images[0].TextVaddr++ },
	} {
		t.Run(strings.ReplaceAll(want, " ", "-"), func(t *testing.T) {
			c := dial(t)
			p := rawPatch(t, fixtures+"victim", "value")
			spoil(p)
			if err := c.Transfer(p); err == nil || err.Error() != want {
				t.Fatalf("got %v, want %q", err, want)
			}
		})
	}
}
