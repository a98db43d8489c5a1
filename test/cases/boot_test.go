// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
)

// addBoot makes a boot entry that lasts until the end of the test.
func addBoot(t *testing.T, c *lpnl.Client, p *lpnl.Patch, flags lpnl.BootFlags) {
	t.Helper()
	transfer(t, c, p)
	if err := c.BootAdd(p.Hash, flags); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.BootRemove(p.Hash); err != nil && !errors.Is(err, unix.ENOENT) {
			t.Errorf("removing the boot entry: %v", err)
		}
	})
}

// wantBoot asks for the only boot entry.
func wantBoot(t *testing.T, c *lpnl.Client, applied, failed uint64) lpnl.Boot {
	t.Helper()
	b := onlyBoot(t, c)
	if b.Applied != applied || b.Failed != failed {
		t.Fatalf("%d processes were patched and %d were not (%s), want %d and %d", b.Applied, b.Failed, b.Message, applied,
			failed)
	}
	return b
}

func onlyBoot(t *testing.T, c *lpnl.Client) lpnl.Boot {
	t.Helper()
	list, err := c.Boots()
	if err != nil || len(list) != 1 {
		t.Fatalf("there are %d boot entries (%v), want 1", len(list), err)
	}
	return list[0]
}

// exitOf runs a program and returns its exit status, or minus the signal that killed it.
func exitOf(t *testing.T, name string, args ...string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return exitOfCommand(t, exec.CommandContext(ctx, name, args...))
}

func exitOfCommand(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", cmd, err)
	}
	if len(out) > 0 {
		t.Logf("%s: %s", cmd, out)
	}
	if status := cmd.ProcessState.Sys().(interface{ Signaled() bool }); status.Signaled() {
		return -1
	}
	return cmd.ProcessState.ExitCode()
}

// TestBootKinds starts programs of each kind: the function that they call first of all is the new one.
func TestBootKinds(t *testing.T) {
	for _, name := range []string{"start", "start-nopie", "start-static", "start-static-pie", "start-musl", "start-musl-static"} {
		t.Run(name, func(t *testing.T) {
			c := dial(t)
			path := fixtures + name
			if got := exitOf(t, path); got != 1 {
				t.Fatalf("%s exits with %d, want 1", name, got)
			}
			p := rawPatch(t, path, "value")
			addBoot(t, c, p, 0)
			if got := exitOf(t, path); got != 2 {
				t.Fatalf("%s exits with %d, want 2", name, got)
			}
			wantBoot(t, c, 1, 0)
			if err := c.BootRemove(p.Hash); err != nil {
				t.Fatal(err)
			}
			if got := exitOf(t, path); got != 1 {
				t.Fatalf("without the entry %s exits with %d, want 1", name, got)
			}
			wantNoTargets(t, c)
		})
	}
}

// TestBootLibrary patches a library before its constructors run: at the start of a program; when one opens it, time and
// again; in a program of several threads; in a child. musl never unmaps a library.
func TestBootLibrary(t *testing.T) {
	for _, s := range []struct {
		library, program string
		args             []string
		want             int
		applied          uint64
	}{
		{"libstart.so", "start-shared", nil, 2, 1},
		{"libstart.so", "start", []string{fixtures + "libstart.so", "5"}, 10, 5},
		{"libstart.so", "start", []string{"-t", fixtures + "libstart.so", "5"}, 10, 5},
		{"libstart.so", "start", []string{"-f", fixtures + "libstart.so", "5"}, 10, 5},
		{"libstart-musl.so", "start-musl", []string{fixtures + "libstart-musl.so", "5"}, 10, 1},
	} {
		t.Run(strings.Join(append([]string{s.program}, s.args...), " "), func(t *testing.T) {
			c := dial(t)
			addBoot(t, c, rawPatch(t, fixtures+s.library, "value"), 0)
			if got := exitOf(t, fixtures+s.program, s.args...); got != s.want {
				t.Fatalf("the program exits with %d, want %d (%s)", got, s.want, onlyBoot(t, c).Message)
			}
			wantBoot(t, c, s.applied, 0)
		})
	}
}

// TestBootMany has many entries for one function, too many for one kernel thread, and the first cannot be applied: the others
// are, in the order in which they were added, so that the last one is on top.
//
//machine:preempts
func TestBootMany(t *testing.T) {
	const many = 40
	path := fixtures + "start"
	c := dial(t)
	for i := range many {
		p := rawPatchWith(t, path, "value", plus(byte(i)))
		if i == 0 {
			p.Sites[0].Old = []byte{1, 2, 3, 4, 5}
		}
		addBoot(t, c, p, 0)
	}
	if got := exitOf(t, path); got != many-1 {
		t.Fatalf("the program exits with %d, want %d", got, many-1)
	}
	for i, b := range wantBoots(t, c, many) {
		if want := uint64(min(i, 1)); b.Applied != want || b.Failed != 1-want {
			t.Errorf("entry %d: %d processes were patched and %d were not (%s)", i, b.Applied, b.Failed, b.Message)
		}
	}
	wantNoTargets(t, c)
}

// TestBootTwoImages waits for the last of two images.
func TestBootTwoImages(t *testing.T) {
	c := dial(t)
	p := rawPatch(t, fixtures+"libstart.so", "value")
	addRawImage(t, p, fixtures+"start-shared")
	p.Images[1].Flags = 0 // they are far apart, and the code refers to neither
	addBoot(t, c, p, 0)
	if got := exitOf(t, fixtures+"start-shared"); got != 2 {
		t.Fatalf("the program exits with %d, want 2", got)
	}
	if got := exitOf(t, fixtures+"start", fixtures+"libstart.so", "1"); got != 1 {
		t.Fatalf("a program that has only one of them exits with %d, want 1", got)
	}
	wantBoot(t, c, 1, 0)
}

// starts is how often TestBootRace starts the program; LPATCH_STARTS overrules it.
func starts(t *testing.T) int {
	text := os.Getenv("LPATCH_STARTS")
	if text == "" {
		return often(1000)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("LPATCH_STARTS: %v", err)
	}
	return n
}

// TestBootRace starts the program a thousand times (200 on slow kernels) from four parents at once: no call is unpatched.
//
//machine:preempts
func TestBootRace(t *testing.T) {
	parents, each := 4, starts(t)/4
	c := dial(t)
	path := fixtures + "start-static"
	addBoot(t, c, rawPatch(t, path, "value"), 0)
	var wg sync.WaitGroup
	for range parents {
		wg.Add(1)
		go func() {
			defer wg.Done()
			out, err := exec.Command(fixtures+"start-nopie", "-r", fmt.Sprint(each), path).Output()
			if got := strings.TrimSpace(string(out)); err != nil || got != fmt.Sprintf("2: %d", each) {
				t.Errorf("the program exited with %q (%v), want 2 each time", got, err)
			}
		}()
	}
	wg.Wait()
	wantBoot(t, c, uint64(parents*each), 0)
	wantNoTargets(t, c)
}

// TestBootRunning adds an entry while the program runs: that is not changed, and its children are as it is.
//
//machine:preempts
func TestBootRunning(t *testing.T) {
	v := startVictim(t, "life")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	addBoot(t, c, p, 0)
	v.wantValue(1)
	v.wantChild(v.fork("fork"), 1)
	w := startVictim(t, "life")
	w.wantValue(2)
	child := w.fork("fork")
	w.wantChild(child, 2)
	wantStates(t, c, map[int]lpnl.State{w.pid: lpnl.StateApplied, child: lpnl.StateApplied})
	if err := c.BootRemove(p.Hash); err != nil {
		t.Fatal(err)
	}
	w.wantValue(2)
	do(t, c, lpnl.VerbRestore, p, w.pid)
	w.wantValue(1)
}

// TestBootFails starts a program that is not what the patch expects: it runs unpatched and somebody is told, or, if the
// entry says so, it does not run.
func TestBootFails(t *testing.T) {
	path := fixtures + "start"
	spoilt := func() *lpnl.Patch {
		p := rawPatch(t, path, "value")
		p.Sites[0].Old = []byte{1, 2, 3, 4, 5}
		return p
	}
	for flags, want := range map[lpnl.BootFlags]int{0: 1, lpnl.BootFlagsKill: -1} {
		t.Run(fmt.Sprint(want), func(t *testing.T) {
			c := dial(t)
			events, err := lpnl.DialEvents()
			if err != nil {
				t.Fatal(err)
			}
			defer events.Close()
			addBoot(t, c, spoilt(), flags)
			if got := exitOf(t, path); got != want {
				t.Fatalf("the program exits with %d, want %d", got, want)
			}
			const message = "value of start has other bytes than the patch expects: "
			if b := wantBoot(t, c, 0, 1); b.Flags != flags || !strings.HasPrefix(b.Message, message) {
				t.Fatalf("the entry has flags %v and says %q", b.Flags, b.Message)
			}
			e, err := events.Receive()
			if err != nil || e.Verb != "boot" || e.Refusal != lpnl.RefusalBytesDiffer || !strings.HasPrefix(e.Message, message) {
				t.Fatalf("the event is %q, %v: %q (%v)", e.Verb, e.Refusal, e.Message, err)
			}
		})
	}
}

// TestBootSlow starts a program where each window takes longer than a running program may be stopped.
//
//machine:preempts
func TestBootSlow(t *testing.T) {
	c := dial(t)
	addBoot(t, c, rawPatch(t, fixtures+"start", "value"), 0)
	setDelay(t, 2*lpnl.MaxStopDefault)
	if got := exitOf(t, fixtures+"start"); got != 2 {
		t.Fatalf("the program exits with %d, want 2 (%s)", got, onlyBoot(t, c).Message)
	}
	wantBoot(t, c, 1, 0)
}

// TestBootOtherFile starts a copy of the program, which is another file.
func TestBootOtherFile(t *testing.T) {
	c := dial(t)
	path := filepath.Join(t.TempDir(), "copy")
	b, err := os.ReadFile(fixtures + "start")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o700); err != nil {
		t.Fatal(err)
	}
	addBoot(t, c, rawPatch(t, fixtures+"start", "value"), 0)
	if got := exitOf(t, path); got != 1 {
		t.Fatalf("the copy exits with %d, want 1", got)
	}
	wantBoot(t, c, 0, 0)
}

// TestBootEntries adds an entry twice, removes it twice, and sees that the module is held.
func TestBootEntries(t *testing.T) {
	c := dial(t)
	p := rawPatch(t, fixtures+"start", "value")
	wantError := func(err error, want string) {
		t.Helper()
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Fatalf("the error is %v, want %q", err, want)
		}
	}
	wantError(c.BootAdd(p.Hash, 0), "no sealed patch has that hash, transfer it first")
	addBoot(t, c, p, 0)
	wantError(c.BootAdd(p.Hash, 0), "the patch has a boot entry already")
	if err := c.BootAdd(p.Hash, lpnl.BootFlagsKill); err != nil || onlyBoot(t, c).Flags != lpnl.BootFlagsKill {
		t.Fatalf("other flags: %v, and they are %v", err, onlyBoot(t, c).Flags)
	}
	wantHeld(t, "with a boot entry")
	if err := c.BootRemove(p.Hash); err != nil {
		t.Fatal(err)
	}
	wantError(c.BootRemove(p.Hash), "there is no boot entry of that hash")
}
