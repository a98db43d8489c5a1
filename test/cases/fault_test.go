// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"lpatch/pkg/lpnl"
)

// injector makes one allocation of the module fail, in whatever thread: the client's, the operation's own, a work
// queue's. Of the module is what has one of its functions on the kernel's stack (Documentation/fault-injection of
// Linux).
type injector struct {
	t    *testing.T
	what string // failslab or fail_page_alloc
	dir  string
	arm  func(n int) // the nth allocation from now on is to fail
	c    *lpnl.Client
}

// newInjector makes failslab (objects) or fail_page_alloc (pages) look at the module only.
func newInjector(t *testing.T, name string) *injector {
	t.Helper()
	in := &injector{t: t, what: name, dir: "/sys/kernel/debug/" + name, c: dial(t)}
	start, end := moduleText(t)
	in.set("require-start", start)
	in.set("require-end", end)
	in.set("stacktrace-depth", 32)
	in.set("ignore-gfp-wait", 0)
	in.set("task-filter", 0)
	in.set("verbose", 0)
	in.set("times", 0)
	in.set("probability", 100)
	t.Cleanup(func() { in.set("probability", 0) })
	if name == "failslab" {
		in.arm = in.armByInterval
		in.spareKmemleak()
	} else {
		in.set("min-order", 0)
		in.set("ignore-gfp-highmem", 0)
		in.arm = in.armBySpace
	}
	return in
}

func (in *injector) set(name string, value uint64) {
	in.t.Helper()
	if err := os.WriteFile(filepath.Join(in.dir, name), []byte(strconv.FormatUint(value, 10)), 0); err != nil {
		in.t.Fatal(err)
	}
}

// moduleText is where the module's functions are.
func moduleText(t *testing.T) (start, end uint64) {
	t.Helper()
	start = ^uint64(0)
	for _, s := range kernelSymbols(t) {
		if s.module == "[lpatch]" && strings.EqualFold(s.kind, "t") {
			start, end = min(start, s.addr), max(end, s.addr+4096)
		}
	}
	if end == 0 {
		t.Fatal("/proc/kallsyms has no function of lpatch")
	}
	return start, end
}

type kernelSymbol struct {
	addr               uint64
	kind, name, module string
}

func kernelSymbols(t *testing.T) []kernelSymbol {
	t.Helper()
	data, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		t.Fatal(err)
	}
	var symbols []kernelSymbol
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		addr, err := strconv.ParseUint(f[0], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		symbols = append(symbols, kernelSymbol{addr, f[1], f[2], strings.Join(f[3:], " ")})
	}
	return symbols
}

// spareKmemleak leaves out the allocations that the kernel makes to keep account of the module's.
func (in *injector) spareKmemleak() {
	in.t.Helper()
	var start, end uint64
	symbols := kernelSymbols(in.t)
	for _, s := range symbols {
		if s.name == "__alloc_object" {
			start = s.addr
		}
	}
	if start == 0 {
		in.t.Fatal("/proc/kallsyms has no __alloc_object: mm/kmemleak.c has changed")
	}
	end = ^uint64(0)
	for _, s := range symbols {
		if s.addr > start {
			end = min(end, s.addr)
		}
	}
	in.set("reject-start", start)
	in.set("reject-end", end)
}

// armByInterval uses that with an interval of n each nth allocation fails. The kernel does not say where in the interval
// it is, so allocations are spent until one fails.
func (in *injector) armByInterval(n int) {
	in.t.Helper()
	in.set("interval", uint64(n))
	in.set("times", 1)
	for tries := 0; !in.fired(); tries++ {
		in.c.Info() // two allocations at least
		if tries > n {
			in.t.Fatalf("%s does not let an allocation fail", in.what)
		}
	}
	in.set("times", 1)
}

// armBySpace uses that the kernel takes the size of each allocation from a budget before it lets one fail, and counts
// pages for bytes there.
func (in *injector) armBySpace(n int) {
	in.t.Helper()
	in.set("space", uint64(n))
	in.set("times", 1)
}

// fired says whether the allocation came to pass, and failed.
func (in *injector) fired() bool {
	in.t.Helper()
	left, err := os.ReadFile(filepath.Join(in.dir, "times"))
	if err != nil {
		in.t.Fatal(err)
	}
	return strings.TrimSpace(string(left)) == "0"
}

// disarm ends the injection and says whether an allocation failed.
func (in *injector) disarm() bool {
	in.t.Helper()
	fired := in.fired()
	in.set("times", 0)
	return fired
}

// faulty is something that is tried with one allocation failing after another.
type faulty struct {
	prepare func()
	try     func() error
	done    func() // everything is as it must be after a success
	undone  func() // everything is as it was before
	undo    func()
}

// sweep lets the first allocation fail, then the second, until no allocation is left that could. Whatever fails, try
// either succeeds all the same, or it fails for lack of memory, has changed nothing, and succeeds the next time.
func (in *injector) sweep(f faulty) {
	in.t.Helper()
	failed := 0
	for n := 1; ; n++ {
		f.prepare()
		in.arm(n)
		err := f.try()
		fired := in.disarm()
		if err != nil {
			if !fired || !lacksMemory(err) {
				in.t.Fatalf("with allocation %d failing (it was made: %v): %v", n, fired, err)
			}
			failed++
			f.undone()
			if err := f.try(); err != nil {
				in.t.Fatalf("after allocation %d had failed, and the try with it: %v", n, err)
			}
		}
		f.done()
		f.undo()
		f.undone()
		if !fired {
			in.t.Logf("%s: %d allocations, %d of them indispensable", in.what, n-1, failed)
			if failed == 0 && in.what == "failslab" {
				in.t.Fatal("no failing allocation was noticed")
			}
			return
		}
	}
}

// lacksMemory says whether an error is one that a failed allocation may end in, and says so.
func lacksMemory(err error) bool {
	if errors.Is(err, syscall.ENOMEM) {
		return true
	}
	for _, words := range []string{"no memory", "failed with error 12", "(error 12)", "cannot be read"} {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}

// faults is a running target whose state is looked at in every way there is.
type faults struct {
	*injector
	v    *victim
	p    *lpnl.Patch
	refs int64 // to the module, before anything is done
}

func newFaults(t *testing.T, injection string) *faults {
	t.Helper()
	v := startVictim(t, "victim", "-t", "2", "-m", "spin")
	f := &faults{injector: newInjector(t, injection), v: v, p: rawPatch(t, v.path, "value"), refs: moduleRefs(t)}
	transfer(t, f.c, f.p)
	return f
}

func moduleRefs(t *testing.T) int64 {
	t.Helper()
	data, err := os.ReadFile("/sys/module/lpatch/refcnt")
	if err != nil {
		t.Fatal(err)
	}
	refs, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return refs
}

// want looks whether the target is in a state: what the module says, what the program does, what is mapped, and who
// holds the module.
func (f *faults) want(state lpnl.State) {
	f.t.Helper()
	states, value, refs := map[int]lpnl.State{}, 1, f.refs
	if state != lpnl.StateNone {
		states[f.v.pid] = state
		refs++
	}
	if state == lpnl.StateApplied {
		value = 2
	}
	wantStates(f.t, f.c, states)
	f.v.wantValue(value)
	if strings.Contains(maps(f.t, f.v.pid), "/raw") != (state != lpnl.StateNone) {
		f.t.Fatalf("state %v, and these mappings:\n%s", state, maps(f.t, f.v.pid))
	}
	calls, _, _ := f.v.stats()
	waitFor(f.t, "the threads to go on", func() bool {
		now, _, _ := f.v.stats()
		return now > calls
	})
	waitFor(f.t, fmt.Sprintf("%d references to the module", refs), func() bool {
		f.v.stats() // the main thread sleeps with a gate before it until it has something to do
		return moduleRefs(f.t) == refs
	})
}

func (f *faults) do(verbs ...lpnl.Verb) {
	f.t.Helper()
	for _, verb := range verbs {
		do(f.t, f.c, verb, f.p, f.v.pid)
	}
}

// verb is one step of a target's life, with what takes it back.
func (f *faults) verb(verb lpnl.Verb, from, to lpnl.State, back ...lpnl.Verb) faulty {
	return faulty{
		prepare: func() {},
		try: func() error {
			_, err := f.c.Op(verb, f.p.Hash, lpnl.Target{PID: f.v.pid}, rawOptions)
			return err
		},
		done:   func() { f.want(to) },
		undone: func() { f.want(from) },
		undo:   func() { f.do(back...) },
	}
}

// TestFaults lets each allocation of each operation fail, in turn. Cases with this prefix run where the kernel is built
// with CONFIG_FAILSLAB.
//
//machine:preempts
//machine:needs CONFIG_FAILSLAB
func TestFaults(t *testing.T) {
	for _, injection := range []string{"failslab", "fail_page_alloc"} {
		t.Run(injection, func(t *testing.T) {
			f := newFaults(t, injection)
			steps := []struct {
				verb     lpnl.Verb
				from, to lpnl.State
				before   []lpnl.Verb
				back     []lpnl.Verb
			}{
				{verb: lpnl.VerbCheck},
				{verb: lpnl.VerbLoad, to: lpnl.StateLoaded, back: []lpnl.Verb{lpnl.VerbUnload}},
				{verb: lpnl.VerbApply, to: lpnl.StateApplied, back: []lpnl.Verb{lpnl.VerbRestore, lpnl.VerbUnload}},
				{verb: lpnl.VerbRestore, from: lpnl.StateApplied, to: lpnl.StateRestored,
					before: []lpnl.Verb{lpnl.VerbApply}, back: []lpnl.Verb{lpnl.VerbApply}},
				{verb: lpnl.VerbUnload, from: lpnl.StateLoaded,
					before: []lpnl.Verb{lpnl.VerbRestore, lpnl.VerbUnload, lpnl.VerbLoad}, back: []lpnl.Verb{lpnl.VerbLoad}},
			}
			for _, s := range steps {
				t.Logf("%s:", s.verb)
				f.do(s.before...)
				f.sweep(f.verb(s.verb, s.from, s.to, s.back...))
			}
			f.v.wantNoWrong()
		})
	}
}

// TestFaultsInTransfer lets each allocation of the transfer of a patch fail. The patch file is free afterwards.
//
//machine:preempts
//machine:needs CONFIG_FAILSLAB
func TestFaultsInTransfer(t *testing.T) {
	in := newInjector(t, "failslab")
	watcher, p := dial(t), rawPatch(t, fixtures+"victim", "value")
	p.Fixups = []lpnl.Fixup{{Place: 8, Image: -1, Kind: lpnl.FixupKindAbs64}}
	wantPatches := func(want int) {
		t.Helper()
		waitFor(t, fmt.Sprintf("%d patches", want), func() bool {
			info, err := watcher.Info()
			return err == nil && info.Patches == want
		})
	}
	var c *lpnl.Client
	in.sweep(faulty{
		prepare: func() { c = dial(t) },
		try:     func() error { return c.Transfer(p) },
		done:    func() { wantPatches(1) },
		undo:    func() { c.Close() },
		undone:  func() { wantPatches(0) },
	})
	waitFor(t, "the patch file to be free", func() bool {
		f, err := os.OpenFile(p.File.Name(), os.O_RDWR, 0)
		if err == nil {
			f.Close()
		}
		return err == nil
	})
}

// TestFaultsInStatus lets each allocation of a status fail that has a record to make, for a child.
//
//machine:preempts
//machine:needs CONFIG_FAILSLAB
func TestFaultsInStatus(t *testing.T) {
	in := newInjector(t, "failslab")
	v, c := startVictim(t, "life"), dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	do(t, c, lpnl.VerbApply, p, v.pid)
	var child int
	in.sweep(faulty{
		prepare: func() { child = v.fork("fork") },
		try: func() error {
			_, err := c.Status()
			return err
		},
		done: func() { wantStates(t, c, map[int]lpnl.State{v.pid: lpnl.StateApplied, child: lpnl.StateApplied}) },
		undo: func() {
			syscall.Kill(child, syscall.SIGKILL)
			waitFor(t, "the child's record to end", func() bool {
				info, err := c.Info()
				return err == nil && info.Targets == 1
			})
		},
		undone: func() { v.wantValue(2) },
	})
	for _, verb := range []lpnl.Verb{lpnl.VerbRestore, lpnl.VerbUnload} {
		do(t, c, verb, p, v.pid)
	}
	v.wantValue(1)
}

// TestFaultsInBoot lets each allocation of a boot entry fail.
//
//machine:preempts
//machine:needs CONFIG_FAILSLAB
func TestFaultsInBoot(t *testing.T) {
	in := newInjector(t, "failslab")
	path, c := fixtures+"start", dial(t)
	p := rawPatch(t, path, "value")
	transfer(t, c, p)
	wantEntries := func(want int) func() {
		return func() {
			t.Helper()
			if list, err := c.Boots(); err != nil || len(list) != want {
				t.Fatalf("there are %d boot entries (%v), want %d", len(list), err, want)
			}
		}
	}
	in.sweep(faulty{
		prepare: func() {},
		try:     func() error { return c.BootAdd(p.Hash, 0) },
		done:    wantEntries(1),
		undo:    func() { c.BootRemove(p.Hash) },
		undone:  wantEntries(0),
	})
}
