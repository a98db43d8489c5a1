//go:build vm

package cases

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"lpatch/pkg/lpnl"
)

// manyFixups adds a page of data to a patch, and so many fix-ups that a load takes a while.
func manyFixups(p *lpnl.Patch) {
	p.Segments = append(p.Segments, lpnl.Segment{Vaddr: pageSize, Size: pageSize, Prot: lpnl.SegmentProtRead | lpnl.SegmentProtWrite})
	for i := range 20000 {
		place := uint64(pageSize + 8*(i%512))
		p.Fixups = append(p.Fixups, lpnl.Fixup{Place: place, Image: -1, Addend: int64(place), Kind: lpnl.FixupKindAbs64})
	}
}

// ending is a way in which a target ends, or goes on as something else.
type ending struct {
	name  string
	end   func(*victim)
	lives bool // the memory is still there afterwards
}

var endings = []ending{
	{name: "kill", end: func(v *victim) { syscall.Kill(v.pid, syscall.SIGKILL) }},
	{name: "exec", end: func(v *victim) { fmt.Fprintln(v.in, "exec") }},
	{name: "quit", end: func(v *victim) { fmt.Fprintln(v.in, "quit") }},
	{name: "orphan", end: func(v *victim) { fmt.Fprintln(v.in, "orphan") }, lives: true},
}

// TestTargetDiesLoading ends the target in each way between the mapping of a patch and the last of its fix-ups: nothing is
// left of what was begun, or, if others of its threads live on, it is completed.
func TestTargetDiesLoading(t *testing.T) {
	for _, e := range endings {
		t.Run(e.name, func(t *testing.T) {
			v := startVictim(t, "victim", "-t", "2", "-m", "sleep")
			c := dial(t)
			calls := newCounter(t, v, "calls")
			p := rawPatch(t, v.path, "value")
			manyFixups(p)
			transfer(t, c, p)
			done := make(chan error, 1)
			go func() {
				_, err := c.Op(lpnl.VerbLoad, p.Hash, lpnl.Target{PID: v.pid}, rawOptions)
				done <- err
			}()
			waitFor(t, "the mapping", func() bool { return strings.Contains(maps(t, v.pid), "/raw") })
			e.end(v)
			err := <-done
			var refused *lpnl.Refused
			if err != nil && (!errors.As(err, &refused) || refused.Report.Message == "") {
				t.Fatalf("%v, which is no sentence", err)
			}
			if e.lives {
				wantAlive(t, c, calls, err)
				syscall.Kill(v.pid, syscall.SIGKILL)
			}
			wantNoTargets(t, c)
			c.Close()
			waitFor(t, "the patch file to be free", func() bool { return isFree(p.File.Name()) })
		})
	}
	removeModule(t)
}

// wantAlive looks at a process whose first thread has ended: the others go on, and the load was carried out.
func wantAlive(t *testing.T, c *lpnl.Client, calls counter, err error) {
	t.Helper()
	at := calls.read()
	waitFor(t, "the other threads to go on", func() bool { return calls.read() != at })
	if state, _ := stateOf(t, c); state != lpnl.StateLoaded || err != nil {
		t.Fatalf("the state is %v, want %v; %v", state, lpnl.StateLoaded, err)
	}
}

// isFree tells whether nobody denies writing to a file.
func isFree(path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		f.Close()
	}
	return err == nil
}
