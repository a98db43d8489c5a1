// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lpatch/pkg/lpnl"
)

// fork has the program fork a worker and returns its pid; the other ways to have a child are "nest" and "share".
func (v *victim) fork(how string) int {
	v.t.Helper()
	var pid int
	if line := v.ask(how); !parse(line, "child %d", &pid) || pid <= 0 {
		v.t.Fatalf("the program says %q", line)
	}
	v.t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
	return pid
}

func parse(line, format string, args ...any) bool {
	n, err := fmt.Sscanf(line, format, args...)
	return err == nil && n == len(args)
}

// wantChild asks a worker for the value.
func (v *victim) wantChild(pid, want int) {
	v.t.Helper()
	if got := v.ask(fmt.Sprint("ask ", pid)); got != fmt.Sprintf("value %d", want) {
		v.t.Fatalf("the child says %q, want value %d", got, want)
	}
}

// wantStates asks for the states of all targets.
func wantStates(t *testing.T, c *lpnl.Client, want map[int]lpnl.State) []lpnl.Report {
	t.Helper()
	list, err := c.Status()
	if err != nil {
		t.Fatal(err)
	}
	got := map[int]lpnl.State{}
	for _, r := range list {
		got[r.PID] = r.State
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || len(list) != len(want) {
		t.Fatalf("the states are %v, want %v", got, want)
	}
	return list
}

// TestFork patches a process and lets it have children: each has the patch, and can be rid of it on its own.
//
//machine:preempts
func TestFork(t *testing.T) {
	for _, how := range []string{"fork", "nest"} {
		t.Run(how, func(t *testing.T) {
			v := startVictim(t, "life")
			c := dial(t)
			p := rawPatch(t, v.path, "value")
			transfer(t, c, p)
			do(t, c, lpnl.VerbApply, p, v.pid)
			child := v.fork(how)
			v.wantChild(child, 2)
			wantStates(t, c, map[int]lpnl.State{v.pid: lpnl.StateApplied, child: lpnl.StateApplied})
			do(t, c, lpnl.VerbRestore, p, child)
			v.wantChild(child, 1)
			v.wantValue(2)
			do(t, c, lpnl.VerbUnload, p, child)
			if strings.Contains(maps(t, child), "/raw") || !strings.Contains(maps(t, v.pid), "/raw") {
				t.Fatalf("unloaded from the child:\n%s\nand from the parent:\n%s", maps(t, child), maps(t, v.pid))
			}
			wantStates(t, c, map[int]lpnl.State{v.pid: lpnl.StateApplied})
			v.wantChild(child, 1)
			v.wantValue(2)
			do(t, c, lpnl.VerbRestore, p, v.pid)
			do(t, c, lpnl.VerbUnload, p, v.pid)
			wantNoTargets(t, c)
		})
	}
}

// TestForkStates has children of each state of the parent. What a child's text is counts, not what the parent's record
// says by the time that anybody asks.
//
//machine:preempts
func TestForkStates(t *testing.T) {
	v := startVictim(t, "life")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	do(t, c, lpnl.VerbLoad, p, v.pid)
	loaded := v.fork("fork")
	do(t, c, lpnl.VerbApply, p, v.pid)
	applied := v.fork("fork")
	do(t, c, lpnl.VerbRestore, p, v.pid)
	restored := v.fork("fork")
	wantStates(t, c, map[int]lpnl.State{
		v.pid: lpnl.StateRestored, loaded: lpnl.StateLoaded, applied: lpnl.StateApplied, restored: lpnl.StateRestored,
	})
	v.wantChild(loaded, 1)
	v.wantChild(applied, 2)
	v.wantChild(restored, 1)
	refuse(t, c, lpnl.VerbApply, p, applied, lpnl.Options{}, lpnl.RefusalAlready)
	for _, pid := range []int{loaded, restored} {
		do(t, c, lpnl.VerbApply, p, pid)
		v.wantChild(pid, 2)
	}
	v.wantValue(1)
	for _, pid := range []int{loaded, applied, restored} {
		do(t, c, lpnl.VerbRestore, p, pid)
		v.wantChild(pid, 1)
	}
	for _, pid := range []int{loaded, applied, restored, v.pid} {
		do(t, c, lpnl.VerbUnload, p, pid)
	}
	wantNoTargets(t, c)
}

// TestForkOutlivesParent ends a patched process whose child nobody has asked about: the child's record is there all the
// same, and keeps the module.
//
//machine:preempts
func TestForkOutlivesParent(t *testing.T) {
	for name, end := range map[string]func(*victim){
		"exit": func(v *victim) { v.ask("quit"); v.cmd.Wait() },
		"kill": func(v *victim) { syscall.Kill(v.pid, syscall.SIGKILL); v.cmd.Wait() },
		"exec": func(v *victim) { fmt.Fprintln(v.in, "exec"); v.expectReady() },
	} {
		t.Run(name, func(t *testing.T) {
			v := startVictim(t, "life")
			c := dial(t)
			p := rawPatch(t, v.path, "value")
			transfer(t, c, p)
			do(t, c, lpnl.VerbApply, p, v.pid)
			child := v.fork("fork")
			end(v)
			waitFor(t, "the parent's record to end, and no other", func() bool {
				info, err := c.Info()
				return err == nil && info.Targets == 1
			})
			time.Sleep(2 * time.Second) // longer than any purge is put off
			wantStates(t, c, map[int]lpnl.State{child: lpnl.StateApplied})
			wantHeld(t, "with a patch in the child")
			do(t, c, lpnl.VerbRestore, p, child)
			do(t, c, lpnl.VerbUnload, p, child)
			wantNoTargets(t, c)
		})
	}
}

// TestUnloadWhileForking unloads from a parent while it forks: no child is left without a record.
//
//machine:preempts
func TestUnloadWhileForking(t *testing.T) {
	v := startVictim(t, "life")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	v.ask("churn")
	for range 20 {
		do(t, c, lpnl.VerbApply, p, v.pid)
		time.Sleep(20 * time.Millisecond)
		do(t, c, lpnl.VerbRestore, p, v.pid)
		do(t, c, lpnl.VerbUnload, p, v.pid)
	}
	v.ask("calm")
	var list []lpnl.Report
	waitFor(t, "each process with the patch to have a record, and there to be some", func() bool {
		carriers := map[int]bool{}
		for _, pid := range pids(t) {
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid)); err == nil && strings.Contains(string(b), "/raw") {
				carriers[pid] = true
			}
		}
		var err error
		if list, err = c.Status(); err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			delete(carriers, r.PID)
		}
		return len(carriers) == 0 && len(list) > 0
	})
	t.Logf("%d children have the patch", len(list))
	for _, r := range list {
		if r.State == lpnl.StateApplied {
			do(t, c, lpnl.VerbRestore, p, r.PID)
		}
		do(t, c, lpnl.VerbUnload, p, r.PID)
	}
	wantNoTargets(t, c)
}

// pids lists the processes.
func pids(t *testing.T) []int {
	t.Helper()
	dir, err := os.Open("/proc")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		t.Fatal(err)
	}
	var list []int
	for _, name := range names {
		var pid int
		if parse(name, "%d", &pid) {
			list = append(list, pid)
		}
	}
	return list
}

// TestMayflies forks hundreds of processes that soon end, from a patched one: their records do not stay.
//
//machine:slow
//machine:preempts
func TestMayflies(t *testing.T) {
	v := startVictim(t, "life")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	do(t, c, lpnl.VerbApply, p, v.pid)
	v.ask("churn")
	forked, listed := 0, 0
	for forked < 800 {
		list, err := c.Status()
		if err != nil {
			t.Fatal(err)
		}
		listed = max(listed, len(list))
		var all, old, new int
		if line := v.ask("census"); !parse(line, "census %d old %d new %d forked %d", &all, &old, &new, &forked) || old != 0 {
			t.Fatal(line)
		}
	}
	v.ask("calm")
	t.Logf("%d forked, %d listed at once", forked, listed)
	if listed < 3 {
		t.Fatal("no child was ever listed")
	}
	list, err := c.Status()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		syscall.Kill(r.PID, syscall.SIGKILL)
	}
	v.cmd.Wait()
	wantNoTargets(t, c)
}

// place returns where a mapping that contains name begins and how long it is, as the program's commands want it.
func place(t *testing.T, pid int, name, prot string) string {
	t.Helper()
	for line := range strings.Lines(maps(t, pid)) {
		var start, end uint64
		if strings.Contains(line, name) && strings.Contains(line, prot) && parse(line, "%x-%x", &start, &end) {
			return fmt.Sprintf("%d %d", start, end-start)
		}
	}
	t.Fatalf("no %s %s in\n%s", prot, name, maps(t, pid))
	return ""
}

const library = fixtures + "libvalue-gcc-O2.so"

// TestImageUnmapped patches a library, which the program then unloads, or replaces by memory of its own in the same
// place: nothing is written there any more, and what is left of the patch can be cleaned up.
func TestImageUnmapped(t *testing.T) {
	for name, leave := range map[string]func(*victim) (intact string){
		"dlclose": func(v *victim) string {
			if got := v.ask("close"); got != "closed 0" {
				v.t.Fatal(got)
			}
			return ""
		},
		"covered": func(v *victim) string {
			at := place(v.t, v.pid, "libvalue", "r-xp")
			if got := v.ask("cover " + at); got != "covered 0" {
				v.t.Fatal(got)
			}
			return at
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := startVictim(t, "life")
			if got := v.ask("open " + library); !strings.HasPrefix(got, "at ") {
				t.Fatal(got)
			}
			c := dial(t)
			p := rawPatch(t, library, "value")
			transfer(t, c, p)
			do(t, c, lpnl.VerbApply, p, v.pid)
			if got := v.ask("library"); got != "value 2" {
				t.Fatal(got)
			}
			at := leave(v)
			list := wantStates(t, c, map[int]lpnl.State{v.pid: lpnl.StateDrifted})
			want := "libvalue-gcc-O2.so, which has value, is no longer mapped where it was patched; restore and unload patch raw"
			if list[0].Message != want || list[0].Function != "value" || list[0].Refusal != lpnl.RefusalImageMoved {
				t.Fatalf("status says %q of %q (%v), want %q", list[0].Message, list[0].Function, list[0].Refusal, want)
			}
			refuseWith(t, c, lpnl.VerbApply, p, v.pid, lpnl.RefusalImageMoved, fmt.Sprintf(
				"libvalue-gcc-O2.so is no longer mapped in life[%d] where it was when patch raw was loaded; "+
					"restore and unload the patch, then apply it again", v.pid))
			do(t, c, lpnl.VerbRestore, p, v.pid)
			if at != "" {
				if got := v.ask("intact " + at); got != "wrong 0" {
					t.Fatalf("memory of the program was written to: %s", got)
				}
			}
			do(t, c, lpnl.VerbUnload, p, v.pid)
			if strings.Contains(maps(t, v.pid), "/raw") {
				t.Fatal(maps(t, v.pid))
			}
			wantNoTargets(t, c)
		})
	}
}

// TestImageMappedElsewhere patches a library that is unloaded and loaded again in another place. A patch that was loaded
// for the first place refers to it, and must not be applied in the second.
func TestImageMappedElsewhere(t *testing.T) {
	v := startVictim(t, "life")
	first := v.ask("open " + library)
	c := dial(t)
	p := rawPatch(t, library, "value")
	transfer(t, c, p)
	do(t, c, lpnl.VerbApply, p, v.pid)
	at := place(t, v.pid, "libvalue", "")
	v.ask("close")
	v.ask("cover " + at) // so that it goes elsewhere
	second := v.ask("open " + library)
	if first == second {
		t.Fatalf("the library is %s again", second)
	}
	if got := v.ask("library"); got != "value 1" {
		t.Fatal(got)
	}
	wantStates(t, c, map[int]lpnl.State{v.pid: lpnl.StateDrifted})
	refuse(t, c, lpnl.VerbApply, p, v.pid, lpnl.Options{}, lpnl.RefusalImageMoved)
	do(t, c, lpnl.VerbRestore, p, v.pid)
	refuse(t, c, lpnl.VerbApply, p, v.pid, lpnl.Options{}, lpnl.RefusalImageMoved)
	do(t, c, lpnl.VerbUnload, p, v.pid)
	if got := v.ask("intact " + at); got != "wrong 0" {
		t.Fatalf("memory of the program was written to: %s", got)
	}
	do(t, c, lpnl.VerbApply, p, v.pid)
	if got := v.ask("library"); got != "value 2" {
		t.Fatal(got)
	}
	do(t, c, lpnl.VerbRestore, p, v.pid)
	do(t, c, lpnl.VerbUnload, p, v.pid)
	wantNoTargets(t, c)
}

// TestSupersedeGone takes the place of a patch of a library that was unloaded, and in whose place another build of it is: what the
// old patch had under it belongs to the library that is gone.
func TestSupersedeGone(t *testing.T) {
	other := filepath.Join(t.TempDir(), "libvalue-other.so")
	data, err := os.ReadFile(library)
	if err != nil {
		t.Fatal(err)
	}
	copy(data[lookUp(t, library, "value").offset:], "\xb8\x07\x00\x00\x00\xc3") // mov $7, %eax; ret: other bytes where the jump is written
	if err := os.WriteFile(other, data, 0o755); err != nil {
		t.Fatal(err)
	}
	v := startVictim(t, "life")
	c := dial(t)
	old, next := layer(t, c, library, "old", 2, "value"), layer(t, c, other, "next", 3, "value")
	first := v.ask("open " + library)
	do(t, c, lpnl.VerbApply, old, v.pid)
	v.ask("close")
	if second := v.ask("open " + other); second != first {
		t.Fatalf("the other library is %s, and the first was %s", second, first)
	}
	want := func(value string) {
		t.Helper()
		if got := v.ask("library"); got != value {
			t.Fatalf("the library says %q, want %s", got, value)
		}
	}
	want("value 7")
	o := rawOptions
	o.Supersede = []lpnl.Hash{old.Hash}
	if _, err := c.Op(lpnl.VerbApply, next.Hash, lpnl.Target{PID: v.pid}, o); err != nil {
		t.Fatal(err)
	}
	want("value 3")
	do(t, c, lpnl.VerbRestore, next, v.pid)
	want("value 7")
}

// TestPatchUnmapped unmaps or replaces the patch, which nobody is in.
func TestPatchUnmapped(t *testing.T) {
	for _, how := range []string{"unmap", "cover"} {
		t.Run(how, func(t *testing.T) {
			v := startVictim(t, "life")
			c := dial(t)
			p := rawPatch(t, v.path, "value")
			transfer(t, c, p)
			do(t, c, lpnl.VerbApply, p, v.pid)
			at := place(t, v.pid, "/raw", "r-xp")
			v.ask(how + " " + at)
			list := wantStates(t, c, map[int]lpnl.State{v.pid: lpnl.StateDrifted})
			want := "the program unmapped or replaced patch raw in its memory; restore and unload it"
			if list[0].Message != want || list[0].Refusal != lpnl.RefusalPatchMissing {
				t.Fatalf("status says %q (%v), want %q", list[0].Message, list[0].Refusal, want)
			}
			do(t, c, lpnl.VerbRestore, p, v.pid)
			v.wantValue(1)
			refuseWith(t, c, lpnl.VerbApply, p, v.pid, lpnl.RefusalPatchMissing, fmt.Sprintf(
				"life[%d] unmapped or replaced patch raw in its memory; restore and unload it, then apply it again", v.pid))
			do(t, c, lpnl.VerbUnload, p, v.pid)
			if how == "cover" {
				if got := v.ask("intact " + at); got != "wrong 0" {
					t.Fatalf("memory of the program was written to, or unmapped: %s", got)
				}
			}
			v.wantValue(1)
			cycle(t, c, v, p, 2)
			wantNoTargets(t, c)
		})
	}
}

// TestDrift drops the patched page of the text: the old code is back, and lpatch says so.
func TestDrift(t *testing.T) {
	v := startVictim(t, "life")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	do(t, c, lpnl.VerbApply, p, v.pid)
	drop := func() {
		t.Helper()
		v.wantValue(2)
		if got := v.ask("drop"); got != "dropped 0" {
			t.Fatal(got)
		}
		v.wantValue(1)
		r := wantStates(t, c, map[int]lpnl.State{v.pid: lpnl.StateDrifted})[0]
		want := "value has its old bytes again: the program dropped the patched page; apply patch raw again, or restore it"
		if r.Message != want || r.Function != "value" || r.Refusal != lpnl.RefusalBytesDiffer {
			t.Fatalf("status says %q of %q (%v), want %q", r.Message, r.Function, r.Refusal, want)
		}
	}
	drop()
	do(t, c, lpnl.VerbApply, p, v.pid)
	wantStates(t, c, map[int]lpnl.State{v.pid: lpnl.StateApplied})
	refuse(t, c, lpnl.VerbApply, p, v.pid, lpnl.Options{}, lpnl.RefusalAlready)
	drop()
	do(t, c, lpnl.VerbRestore, p, v.pid)
	v.wantValue(1)
	wantStates(t, c, map[int]lpnl.State{v.pid: lpnl.StateRestored})
	cyclesOn := rawPatch(t, v.path, "value")
	refuse(t, c, lpnl.VerbLoad, cyclesOn, v.pid, lpnl.Options{}, lpnl.RefusalAlready)
	do(t, c, lpnl.VerbApply, p, v.pid)
	v.wantValue(2)
	do(t, c, lpnl.VerbRestore, p, v.pid)
	do(t, c, lpnl.VerbUnload, p, v.pid)
	wantNoTargets(t, c)
}

// TestExecFromThread executes another program from a thread that is not the first one: the record ends, though the pid
// lives on.
//
//machine:preempts
func TestExecFromThread(t *testing.T) {
	v := startVictim(t, "life")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	do(t, c, lpnl.VerbApply, p, v.pid)
	was := v.pid
	fmt.Fprintln(v.in, "exec")
	v.expectReady()
	if v.pid != was {
		t.Fatalf("pid %d became %d", was, v.pid)
	}
	v.wantValue(1)
	wantNoTargets(t, c)
	cycle(t, c, v, p, 2)
	wantNoTargets(t, c)
}

// TestSharerLivesOn ends the process that was patched, while another shares its memory: the record lives with the memory
// and goes by the name of the other.
//
//machine:preempts
func TestSharerLivesOn(t *testing.T) {
	for name, end := range map[string]func(*victim){
		"exit": func(v *victim) { v.ask("quit"); v.cmd.Wait() },
		"exec": func(v *victim) { fmt.Fprintln(v.in, "exec"); v.expectReady() },
	} {
		t.Run(name, func(t *testing.T) {
			v := startVictim(t, "life")
			c := dial(t)
			p := rawPatch(t, v.path, "value")
			transfer(t, c, p)
			other := v.fork("share")
			do(t, c, lpnl.VerbApply, p, v.pid)
			wantStates(t, c, map[int]lpnl.State{v.pid: lpnl.StateApplied})
			end(v)
			waitFor(t, "the other's name", func() bool {
				list, err := c.Status()
				return err == nil && len(list) == 1 && list[0].PID == other
			})
			wantStates(t, c, map[int]lpnl.State{other: lpnl.StateApplied})
			do(t, c, lpnl.VerbRestore, p, other)
			syscall.Kill(other, syscall.SIGKILL)
			wantNoTargets(t, c)
		})
	}
}

// census asks the program what each of its workers that lives computes, in calls that began after the question.
func (v *victim) census() (all, old, new int) {
	v.t.Helper()
	var forked int
	if line := v.ask("census"); !parse(line, "census %d old %d new %d forked %d", &all, &old, &new, &forked) {
		v.t.Fatalf("the program says %q", line)
	}
	return all, old, new
}

// TestPrefork patches a server whose master forks workers all the time, with --all and with --exe: when lpctl is done,
// every process that lives runs the new code, and the old one after a restore.
//
//machine:slow
//machine:preempts
func TestPrefork(t *testing.T) {
	v := startVictim(t, "life")
	c := dial(t)
	v.ask("churn")
	lp := fixtures + "life.lp"
	must := func(args ...string) {
		t.Helper()
		if status, stdout, stderr := lpctl(t, append(args, "--timeout", "60s", "--max-stop", "2s")...); status != 0 {
			t.Fatalf("%v: exit status %d\n%s%s", args, status, stdout, stderr)
		}
	}
	for _, targets := range [][]string{{"--all"}, {"--exe", v.path}, {"--all"}} {
		time.Sleep(200 * time.Millisecond)
		must(append([]string{"apply", lp}, targets...)...)
		all, old, new := v.census()
		if all < 3 || old != 0 || new != all {
			t.Fatalf("after apply %v: of %d workers %d run the old code, %d the new one", targets, all, old, new)
		}
		v.wantValue(2)
		must(append([]string{"restore", lp}, targets...)...)
		if all, old, new := v.census(); old != all || new != 0 {
			t.Fatalf("after restore %v: of %d workers %d run the old code, %d the new one", targets, all, old, new)
		}
		v.wantValue(1)
	}
	must("revert", "life", "--all")
	wantNoTargets(t, c)
	for _, pid := range pids(t) {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid)); err == nil && strings.Contains(string(b), lp) {
			t.Fatalf("process %d still has the patch", pid)
		}
	}
	v.ask("calm")
}

// TestStatusSaysDrifted asks lpctl about a patch that the program has lost.
func TestStatusSaysDrifted(t *testing.T) {
	v := startVictim(t, "life")
	lp, pid := fixtures+"life.lp", fmt.Sprint(v.pid)
	for range 2 {
		if status, _, stderr := lpctl(t, "apply", lp, "--pid", pid); status != 0 {
			t.Fatal(stderr)
		}
		v.wantValue(2)
		v.ask("drop")
		v.wantValue(1)
		want := "value has its old bytes again: the program dropped the patched page; apply patch life again, or restore it"
		_, stdout, stderr := lpctl(t, "status")
		if !strings.Contains(stdout, "drifted") || stderr != fmt.Sprintf("lpctl: note: life[%d]: %s\n", v.pid, want) {
			t.Fatalf("%s%s", stdout, stderr)
		}
		_, stdout, _ = lpctl(t, "status", "--json")
		if !strings.Contains(stdout, `"state":"drifted"`) ||
			!strings.Contains(stdout, fmt.Sprintf(`"error":{"code":"bytes-differ","message":%q,"tid":0,"function":"value"}`, want)) {
			t.Fatal(stdout)
		}
	}
	if status, _, stderr := lpctl(t, "revert", "life", "--pid", pid); status != 0 {
		t.Fatal(stderr)
	}
	v.wantValue(1)
}

// TestForkWhileApplying has a process fork while an operation on it waits for a thread to leave: by the time that anybody
// asks, the parent's record says applied, but the child has the text from before.
//
//machine:preempts
func TestForkWhileApplying(t *testing.T) {
	v := startVictim(t, "victim")
	v.ask("dwell")
	c, other := dial(t), dial(t)
	p := rawPatch(t, v.path, "dwell")
	transfer(t, c, p)
	done := make(chan error)
	go func() {
		_, err := c.Op(lpnl.VerbApply, p.Hash, lpnl.Target{PID: v.pid}, lpnl.Options{MaxStop: 2 * time.Second, Timeout: time.Hour})
		done <- err
	}()
	waitFor(t, "the patch", func() bool { return strings.Contains(maps(t, v.pid), "/raw") })
	child := v.fork("fork")
	v.ask("leave")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wantStates(t, other, map[int]lpnl.State{v.pid: lpnl.StateApplied, child: lpnl.StateLoaded})
	do(t, other, lpnl.VerbApply, p, child)
	do(t, other, lpnl.VerbRestore, p, child)
	do(t, other, lpnl.VerbUnload, p, child)
	wantStates(t, other, map[int]lpnl.State{v.pid: lpnl.StateApplied})
}

// TestForkWhileLoading has a child whose copy of the patch lacks a fix-up, as if the fork had been in the middle of the
// load. It is made before the patch is applied there.
//
//machine:preempts
func TestForkWhileLoading(t *testing.T) {
	v := startVictim(t, "life")
	c := dial(t)
	// mov eax, [rip + fix-up]; add eax, edi; ret; and at 64 a 2.
	code := make([]byte, 65)
	copy(code, []byte{0x8b, 0x05, 0, 0, 0, 0, 0x01, 0xf8, 0xc3})
	code[64] = 2
	p := rawPatchWith(t, v.path, "value", code)
	p.Fixups = []lpnl.Fixup{{Place: 2, Addend: 60, Image: -1, Kind: lpnl.FixupKindPc32}}
	transfer(t, c, p)
	do(t, c, lpnl.VerbLoad, p, v.pid)
	child := v.fork("fork")
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", child), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	at := int64(wantStates(t, c, map[int]lpnl.State{v.pid: lpnl.StateLoaded, child: lpnl.StateLoaded})[0].MappedAt)
	if _, err := mem.WriteAt(make([]byte, 4), at+2); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{child, v.pid} {
		do(t, c, lpnl.VerbApply, p, pid)
	}
	v.wantChild(child, 2)
	v.wantValue(2)
}

// TestForkPart forks a process that has only some segments of a patch in its memory, as it is for a moment in a load and in an
// unload. To the child nothing is missing, whatever it is asked to do with the patch.
//
//machine:preempts
func TestForkPart(t *testing.T) {
	for part := range 2 {
		t.Run(fmt.Sprint("without segment ", part), func(t *testing.T) {
			v := startVictim(t, "life")
			c := dial(t)
			p := partedPatch(t, v.path)
			transfer(t, c, p)
			base := do(t, c, lpnl.VerbLoad, p, v.pid).MappedAt
			missing := p.Segments[part]
			v.ask(fmt.Sprintf("unmap %d %d", base+missing.Vaddr, missing.Size))
			applied, unloaded := v.fork("fork"), v.fork("fork")
			wantStates(t, c, map[int]lpnl.State{v.pid: lpnl.StateDrifted, applied: lpnl.StateLoaded, unloaded: lpnl.StateLoaded})
			do(t, c, lpnl.VerbUnload, p, unloaded)
			do(t, c, lpnl.VerbCheck, p, applied)
			wantStates(t, c, map[int]lpnl.State{v.pid: lpnl.StateDrifted, applied: lpnl.StateLoaded})
			do(t, c, lpnl.VerbApply, p, applied)
			v.wantChild(applied, 2)
			v.wantChild(unloaded, 1)
			refuse(t, c, lpnl.VerbApply, p, v.pid, rawOptions, lpnl.RefusalPatchMissing)
			for _, verb := range []lpnl.Verb{lpnl.VerbRestore, lpnl.VerbUnload} {
				do(t, c, verb, p, applied)
			}
			v.wantChild(applied, 1)
		})
	}
}

// partedPatch is a patch of two segments: code, which needs a fix-up to find the other, with a value and the word that
// would forbid an unload.
func partedPatch(t *testing.T, path string) *lpnl.Patch {
	t.Helper()
	// mov eax, [rip + fix-up]; add eax, edi; ret; and on the next page a 2.
	image := make([]byte, 4096+4)
	copy(image, []byte{0x8b, 0x05, 0, 0, 0, 0, 0x01, 0xf8, 0xc3})
	image[4096] = 2
	p := rawPatchWith(t, path, "value", image)
	p.Segments = append(p.Segments, lpnl.Segment{
		Vaddr: 4096, Offset: 4096, Size: 4096, Prot: lpnl.SegmentProtRead | lpnl.SegmentProtWrite,
	})
	p.Fixups = []lpnl.Fixup{{Place: 2, Addend: 4096 - 4, Image: -1, Kind: lpnl.FixupKindPc32}}
	p.Pin = 4096 + 8
	return p
}

// TestForkTwoPatches has a child inherit two patches, in the order in which they were loaded.
//
//machine:preempts
func TestForkTwoPatches(t *testing.T) {
	v := startVictim(t, "victim")
	c := dial(t)
	first, second := rawPatch(t, v.path, "straddle"), rawPatch(t, v.path, "value")
	first.Name, second.Name = "first", "second"
	for _, p := range []*lpnl.Patch{first, second} {
		transfer(t, c, p)
		do(t, c, lpnl.VerbApply, p, v.pid)
	}
	child := v.fork("fork")
	list, err := c.Status()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range list {
		got = append(got, fmt.Sprint(r.PID, r.Patch, r.State))
	}
	want := []string{
		fmt.Sprint(v.pid, "first", lpnl.StateApplied), fmt.Sprint(v.pid, "second", lpnl.StateApplied),
		fmt.Sprint(child, "first", lpnl.StateApplied), fmt.Sprint(child, "second", lpnl.StateApplied),
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("status says %v, want %v", got, want)
	}
	for _, p := range []*lpnl.Patch{second, first} {
		do(t, c, lpnl.VerbRestore, p, child)
		do(t, c, lpnl.VerbUnload, p, child)
	}
}

// TestValueChanged changes a variable that was patched, as the program may. A child of before the patch is not taken for
// patched because its variable has some other value.
func TestValueChanged(t *testing.T) {
	v := startVictim(t, "victim")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	addRawSite(t, p, v.path, "number")
	p.Functions = p.Functions[:1]
	number := &p.Sites[1]
	number.Kind, number.Old, number.New = lpnl.SiteKindBytes, []byte{1, 0, 0, 0}, []byte{2, 0, 0, 0}
	transfer(t, c, p)
	do(t, c, lpnl.VerbLoad, p, v.pid)
	child := v.fork("fork")
	base := imageBase(t, v.pid, v.path)
	set := func(pid int) {
		t.Helper()
		mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer mem.Close()
		if _, err := mem.WriteAt([]byte{7, 0, 0, 0}, int64(base+number.Vaddr)); err != nil {
			t.Fatal(err)
		}
	}
	set(child)
	do(t, c, lpnl.VerbApply, p, v.pid)
	wantStates(t, c, map[int]lpnl.State{v.pid: lpnl.StateApplied, child: lpnl.StateLoaded})
	set(v.pid)
	list := wantStates(t, c, map[int]lpnl.State{v.pid: lpnl.StateDrifted, child: lpnl.StateLoaded})
	want := "number has neither its old bytes nor those of patch raw: the program changed it since"
	if list[0].Message != want || list[0].Function != "number" {
		t.Fatalf("status says %q of %q, want %q", list[0].Message, list[0].Function, want)
	}
}

// imageBase is where the first byte of a file is mapped.
func imageBase(t *testing.T, pid int, path string) uint64 {
	t.Helper()
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(maps(t, pid)) {
		var start uint64
		if strings.HasSuffix(strings.TrimSpace(line), path) && parse(line, "%x-", &start) {
			return start
		}
	}
	t.Fatalf("no %s in\n%s", path, maps(t, pid))
	return 0
}
