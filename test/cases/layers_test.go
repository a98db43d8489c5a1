// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lpatch/pkg/lpnl"
)

// plus is lea eax, [rdi + n]; ret.
func plus(n byte) []byte { return []byte{0x8d, 0x47, n, 0xc3} }

// layer makes and transfers a patch of that name with which each of the functions returns its argument plus n.
func layer(t *testing.T, c *lpnl.Client, path, name string, n byte, symbols ...string) *lpnl.Patch {
	t.Helper()
	p := rawPatchWith(t, path, symbols[0], plus(n))
	for _, symbol := range symbols[1:] {
		addRawSite(t, p, path, symbol)
	}
	p.Name = name
	transfer(t, c, p)
	return p
}

// wantLayers asks for the applied patches of a process, from the first one that was applied to the last.
func wantLayers(t *testing.T, c *lpnl.Client, pid int, want ...string) {
	t.Helper()
	list, err := c.Status()
	if err != nil {
		t.Fatal(err)
	}
	got := map[int]string{}
	for _, r := range list {
		if r.PID != pid {
			continue
		}
		if (r.State == lpnl.StateApplied) != (r.Layer > 0) || got[r.Layer] != "" && r.Layer > 0 {
			t.Fatalf("patch %s is %v on layer %d, beside %q", r.Patch, r.State, r.Layer, got[r.Layer])
		}
		got[r.Layer] = r.Patch
	}
	delete(got, 0)
	for i, name := range want {
		if got[i+1] != name || len(got) != len(want) {
			t.Fatalf("the layers are %v, want %v", got, want)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("the layers are %v, want %v", got, want)
	}
}

// TestLayers stacks three patches on one function. The last one that was applied counts, and they are taken off in turn.
//
//machine:preempts
func TestLayers(t *testing.T) {
	v := startVictim(t, "victim", "-t", "2", "-m", "sleep")
	c := dial(t)
	a, b, d := layer(t, c, v.path, "a", 2, "value"), layer(t, c, v.path, "b", 3, "value"), layer(t, c, v.path, "d", 4, "value")
	do(t, c, lpnl.VerbLoad, d, v.pid) // the order of loading does not count
	for i, p := range []*lpnl.Patch{a, b, d} {
		do(t, c, lpnl.VerbApply, p, v.pid)
		v.wantValue(i + 2)
	}
	wantLayers(t, c, v.pid, "a", "b", "d")
	for _, p := range []*lpnl.Patch{a, b} {
		refuseWith(t, c, lpnl.VerbRestore, p, v.pid, lpnl.RefusalCovered,
			"value is replaced by patch d too, which was applied later, restore that one first")
		refuse(t, c, lpnl.VerbUnload, p, v.pid, lpnl.Options{}, lpnl.RefusalStillApplied)
		refuse(t, c, lpnl.VerbApply, p, v.pid, lpnl.Options{}, lpnl.RefusalAlready)
	}
	wantLayers(t, c, v.pid, "a", "b", "d")
	do(t, c, lpnl.VerbRestore, d, v.pid)
	v.wantValue(3)
	do(t, c, lpnl.VerbRestore, b, v.pid)
	v.wantValue(2)
	do(t, c, lpnl.VerbApply, d, v.pid)
	v.wantValue(4)
	do(t, c, lpnl.VerbApply, b, v.pid)
	v.wantValue(3)
	wantLayers(t, c, v.pid, "a", "d", "b")
	for i, p := range []*lpnl.Patch{b, d, a} {
		do(t, c, lpnl.VerbRestore, p, v.pid)
		v.wantValue([]int{4, 2, 1}[i])
		do(t, c, lpnl.VerbUnload, p, v.pid)
	}
	wantNoTargets(t, c)
}

// TestLayersPartly covers one of two functions of a patch: it cannot be restored, and nothing of it is.
//
//machine:preempts
func TestLayersPartly(t *testing.T) {
	v := startVictim(t, "victim")
	c := dial(t)
	below, above := layer(t, c, v.path, "below", 2, "value", "straddle"), layer(t, c, v.path, "above", 3, "straddle")
	do(t, c, lpnl.VerbApply, below, v.pid)
	do(t, c, lpnl.VerbApply, above, v.pid)
	refuseWith(t, c, lpnl.VerbRestore, below, v.pid, lpnl.RefusalCovered,
		"straddle is replaced by patch above too, which was applied later, restore that one first")
	v.wantValue(2)
	if got := v.ask("straddle"); got != "value 3" {
		t.Fatalf("the victim says %q, want value 3", got)
	}
	do(t, c, lpnl.VerbRestore, above, v.pid)
	if got := v.ask("straddle"); got != "value 2" {
		t.Fatalf("the victim says %q, want value 2", got)
	}
	do(t, c, lpnl.VerbRestore, below, v.pid)
	v.wantValue(1)
}

// TestLayersOverlap asks for bytes that are a part of a jump.
//
//machine:preempts
func TestLayersOverlap(t *testing.T) {
	v := startVictim(t, "victim")
	c := dial(t)
	whole := layer(t, c, v.path, "whole", 2, "value")
	part := rawPatch(t, v.path, "value")
	part.Name, part.Functions = "part", nil
	part.Sites[0].Kind, part.Sites[0].Old, part.Sites[0].New = lpnl.SiteKindBytes, part.Sites[0].Old[:2], []byte{0x90, 0x90}
	part.Hash[0]++
	transfer(t, c, part)
	do(t, c, lpnl.VerbApply, whole, v.pid)
	refuseWith(t, c, lpnl.VerbApply, part, v.pid, lpnl.RefusalSiteTaken,
		"value is replaced by patch whole at a part of it, restore that one first")
	v.wantValue(2)
}

// TestLayersTwice gives one file for two images, so that two sites of a patch are at one place, or one begins in the other.
//
//machine:preempts
func TestLayersTwice(t *testing.T) {
	v := startVictim(t, "victim")
	c := dial(t)
	for i, off := range []uint64{0, 2} {
		p := rawPatch(t, v.path, "value")
		again, site := p.Images[0], p.Sites[0]
		again.TextVaddr, again.SpanStart, again.SpanEnd = again.TextVaddr+4096, again.SpanStart+4096, again.SpanEnd+4096
		site.Image, site.Vaddr = 1, site.Vaddr+4096+off
		p.Images, p.Sites = append(p.Images, again), append(p.Sites, site)
		p.Hash[0] += byte(1 + i)
		transfer(t, c, p)
		for _, verb := range []lpnl.Verb{lpnl.VerbCheck, lpnl.VerbApply} {
			refuseWith(t, c, verb, p, v.pid, lpnl.RefusalSiteTaken, fmt.Sprintf("value and value of patch raw are at one place in victim[%d]", v.pid))
		}
	}
	v.wantValue(1)
}

// TestLayersActive covers a function in whose new code a thread is: that counts as active too.
//
//machine:preempts
func TestLayersActive(t *testing.T) {
	v := startVictim(t, "victim")
	c := dial(t)
	below := rawPatchWith(t, v.path, "straddle", forever)
	below.Name = "below"
	transfer(t, c, below)
	above, elsewhere := layer(t, c, v.path, "above", 2, "straddle"), layer(t, c, v.path, "elsewhere", 2, "value")
	r := do(t, c, lpnl.VerbApply, below, v.pid)
	v.ask(fmt.Sprintf("call %#x", r.MappedAt))
	wantExecuting := func(verb lpnl.Verb, p *lpnl.Patch, o lpnl.Options) {
		t.Helper()
		o.MaxStop, o.Timeout = rawOptions.MaxStop, 100*time.Millisecond
		got := refuse(t, c, verb, p, v.pid, o, lpnl.RefusalThreadActive)
		if want := fmt.Sprintf("thread %d (victim) is executing patch below", got.TID); got.Message != want {
			t.Fatalf("%s: %q, want %q", verb, got.Message, want)
		}
	}
	wantExecuting(lpnl.VerbApply, above, lpnl.Options{})
	wantExecuting(lpnl.VerbApply, elsewhere, lpnl.Options{Replace: true})
	do(t, c, lpnl.VerbApply, elsewhere, v.pid) // which has nothing to do with it
	v.wantValue(2)
}

// TestReplace has one patch take the place of three, in one window.
func TestReplace(t *testing.T) {
	v := startVictim(t, "victim", "-t", "2", "-m", "sleep")
	c := dial(t)
	events, err := lpnl.DialEvents()
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	a, b, d := layer(t, c, v.path, "a", 2, "value"), layer(t, c, v.path, "b", 3, "straddle"), layer(t, c, v.path, "d", 4, "value")
	next := layer(t, c, v.path, "next", 5, "value")
	for _, p := range []*lpnl.Patch{a, b, d} {
		do(t, c, lpnl.VerbApply, p, v.pid)
	}
	replace := rawOptions
	replace.Replace = true
	if _, err := c.Op(lpnl.VerbCheck, next.Hash, lpnl.Target{PID: v.pid}, replace); err != nil {
		t.Fatal(err)
	}
	wantLayers(t, c, v.pid, "a", "b", "d")
	if _, err := c.Op(lpnl.VerbRestore, d.Hash, lpnl.Target{PID: v.pid}, replace); err == nil ||
		!strings.Contains(err.Error(), "only an apply can be a dry run, or replace other patches") {
		t.Fatalf("a restore that replaces: %v", err)
	}
	if _, err := c.Op(lpnl.VerbApply, next.Hash, lpnl.Target{PID: v.pid}, replace); err != nil {
		t.Fatal(err)
	}
	v.wantValue(5)
	if got := v.ask("straddle"); got != "value 1" {
		t.Fatalf("the victim says %q, want value 1", got)
	}
	wantLayers(t, c, v.pid, "next")
	var told []string
	for len(told) < 7 {
		e, err := events.Receive()
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, fmt.Sprint(e.Patch, " ", e.State))
	}
	const want = "[a applied b applied d applied next applied a restored b restored d restored]"
	if got := fmt.Sprint(told); got != want {
		t.Fatalf("the events were %s, want %s", got, want)
	}
	for _, p := range []*lpnl.Patch{a, b, d} {
		do(t, c, lpnl.VerbUnload, p, v.pid)
	}
	do(t, c, lpnl.VerbRestore, next, v.pid)
	v.wantValue(1)
}

// TestReplaceByBelow has a patch that is applied already replace those above and below it.
func TestReplaceByBelow(t *testing.T) {
	v := startVictim(t, "victim")
	c := dial(t)
	a, b, d := layer(t, c, v.path, "a", 2, "value"), layer(t, c, v.path, "b", 3, "value"), layer(t, c, v.path, "d", 4, "value")
	for _, p := range []*lpnl.Patch{a, b, d} {
		do(t, c, lpnl.VerbApply, p, v.pid)
	}
	replace := rawOptions
	replace.Replace = true
	if _, err := c.Op(lpnl.VerbApply, b.Hash, lpnl.Target{PID: v.pid}, replace); err != nil {
		t.Fatal(err)
	}
	v.wantValue(3)
	wantLayers(t, c, v.pid, "b")
	if _, err := c.Op(lpnl.VerbApply, b.Hash, lpnl.Target{PID: v.pid}, replace); err == nil {
		t.Fatal("there was nothing left to replace, and it was not refused")
	}
	do(t, c, lpnl.VerbRestore, b, v.pid)
	v.wantValue(1)
}

// TestSupersede has a patch take the place of some of those that are applied, in one window: the others stay as they are.
func TestSupersede(t *testing.T) {
	v := startVictim(t, "victim", "-t", "2", "-m", "sleep")
	c := dial(t)
	a, b, k := layer(t, c, v.path, "a", 2, "value"), layer(t, c, v.path, "b", 3, "straddle"), layer(t, c, v.path, "k", 4, "value")
	next, elsewhere := layer(t, c, v.path, "next", 5, "value"), layer(t, c, v.path, "elsewhere", 6, "straddle")
	supersede := func(verb lpnl.Verb, p *lpnl.Patch, others ...*lpnl.Patch) error {
		o := rawOptions
		for _, other := range others {
			o.Supersede = append(o.Supersede, other.Hash)
		}
		_, err := c.Op(verb, p.Hash, lpnl.Target{PID: v.pid}, o)
		return err
	}
	want := func(value, straddle int, layers ...string) {
		t.Helper()
		v.wantValue(value)
		if got := v.ask("straddle"); got != fmt.Sprint("value ", straddle) {
			t.Fatalf("the victim says %q, want %d", got, straddle)
		}
		wantLayers(t, c, v.pid, layers...)
	}
	done := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	done(supersede(lpnl.VerbApply, a, next, a)) // of what is not applied, and of itself
	do(t, c, lpnl.VerbApply, b, v.pid)
	done(supersede(lpnl.VerbCheck, next, a))
	want(2, 3, "a", "b")
	done(supersede(lpnl.VerbApply, next, a))
	want(5, 3, "b", "next")
	do(t, c, lpnl.VerbRestore, next, v.pid)
	want(1, 3, "b")

	// What goes may lie upon what stays, but not under it.
	do(t, c, lpnl.VerbApply, k, v.pid)
	do(t, c, lpnl.VerbApply, a, v.pid)
	done(supersede(lpnl.VerbApply, next, a))
	want(5, 3, "b", "k", "next")
	const covered = "value is replaced by patch next too, which was applied later, restore that one first"
	for _, p := range []*lpnl.Patch{a, elsewhere} {
		if err := supersede(lpnl.VerbApply, p, k); err == nil || err.Error() != covered {
			t.Fatalf("%s, which is to take the place of what is under another one: %v", p.Name, err)
		}
		want(5, 3, "b", "k", "next")
	}
	done(supersede(lpnl.VerbApply, elsewhere, k, next)) // both go, so neither is in the way
	want(1, 6, "b", "elsewhere")
	do(t, c, lpnl.VerbRestore, elsewhere, v.pid)
	want(1, 3, "b")

	// One that is applied already has those above it and below it go.
	for _, p := range []*lpnl.Patch{a, next, k} {
		do(t, c, lpnl.VerbApply, p, v.pid)
	}
	done(supersede(lpnl.VerbApply, next, k, a))
	want(5, 3, "b", "next")
	do(t, c, lpnl.VerbRestore, next, v.pid)
	want(1, 3, "b")

	if err := supersede(lpnl.VerbRestore, b, a); err == nil || err.Error() != "only an apply can be a dry run, or replace other patches" {
		t.Fatalf("a restore that takes the place of a patch: %v", err)
	}
	do(t, c, lpnl.VerbRestore, b, v.pid)
	want(1, 1)
}

// TestForkLayers has children of each height of the stack. What is in a child's memory counts, and is taken off in turn.
//
//machine:preempts
func TestForkLayers(t *testing.T) {
	v := startVictim(t, "life")
	c := dial(t)
	a, b := layer(t, c, v.path, "a", 2, "value"), layer(t, c, v.path, "b", 3, "value")
	next := layer(t, c, v.path, "next", 4, "value")
	do(t, c, lpnl.VerbLoad, b, v.pid)
	do(t, c, lpnl.VerbApply, a, v.pid)
	one := v.fork("fork")
	do(t, c, lpnl.VerbApply, b, v.pid)
	two := v.fork("fork")
	replace := rawOptions
	replace.Replace = true
	if _, err := c.Op(lpnl.VerbApply, next.Hash, lpnl.Target{PID: v.pid}, replace); err != nil {
		t.Fatal(err)
	}
	three := v.fork("fork")
	wantLayers(t, c, one, "a")
	wantLayers(t, c, two, "a", "b")
	wantLayers(t, c, three, "next")
	refuse(t, c, lpnl.VerbRestore, a, two, lpnl.Options{}, lpnl.RefusalCovered)
	do(t, c, lpnl.VerbRestore, b, two)
	v.wantChild(two, 2)
	do(t, c, lpnl.VerbApply, b, one)
	v.wantChild(one, 3)
	do(t, c, lpnl.VerbRestore, b, one)
	for _, child := range []int{one, two} {
		do(t, c, lpnl.VerbRestore, a, child)
		v.wantChild(child, 1)
	}
	do(t, c, lpnl.VerbRestore, next, three)
	v.wantChild(three, 1)
}

// TestForkLayersAtOnce asks all the time for what a server has that forks all the time and has many patches upon one another.
// A child has all of them or is not known yet: a part of them would be one whose bytes are nobody's.
//
//machine:preempts
func TestForkLayersAtOnce(t *testing.T) {
	v := startVictim(t, "life")
	c := dial(t)
	for i := range 16 {
		do(t, c, lpnl.VerbApply, layer(t, c, v.path, fmt.Sprint("layer", i), byte(2+i), "value"), v.pid)
	}
	v.ask("churn")
	children := map[int]bool{}
	for began := time.Now(); time.Since(began) < 4*time.Second || len(children) < 20; {
		if time.Since(began) > patience(time.Minute) {
			t.Fatalf("only %d children were seen", len(children)-1)
		}
		list, err := c.Status()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			children[r.PID] = true
			if r.State == lpnl.StateDrifted {
				t.Fatalf("patch %s in process %d: %s", r.Patch, r.PID, r.Message)
			}
		}
	}
	v.ask("calm")
	t.Logf("%d children were seen", len(children)-1)
}

// TestLayersDrift has the program drop the page with two patches on it: the upper one is applied again over what is
// there, and then the lower one is what it was.
//
//machine:preempts
func TestLayersDrift(t *testing.T) {
	v := startVictim(t, "life")
	c := dial(t)
	a, b := layer(t, c, v.path, "a", 2, "value"), layer(t, c, v.path, "b", 3, "value")
	do(t, c, lpnl.VerbApply, a, v.pid)
	do(t, c, lpnl.VerbApply, b, v.pid)
	v.ask("drop")
	v.wantValue(1)
	for _, r := range wantStatus(t, c, 2) {
		if r.State != lpnl.StateDrifted {
			t.Fatalf("patch %s is %v, want drifted", r.Patch, r.State)
		}
	}
	refuse(t, c, lpnl.VerbApply, a, v.pid, lpnl.Options{}, lpnl.RefusalCovered)
	do(t, c, lpnl.VerbApply, b, v.pid)
	v.wantValue(3)
	wantLayers(t, c, v.pid, "a", "b")
	do(t, c, lpnl.VerbRestore, b, v.pid)
	v.wantValue(2)
	do(t, c, lpnl.VerbRestore, a, v.pid)
	v.wantValue(1)
}

// wantStatus asks for the status of n patches.
func wantStatus(t *testing.T, c *lpnl.Client, n int) []lpnl.Report {
	t.Helper()
	list, err := c.Status()
	if err != nil || len(list) != n {
		t.Fatalf("status has %d entries (%v), want %d", len(list), err, n)
	}
	return list
}
