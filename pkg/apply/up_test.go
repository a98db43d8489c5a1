// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
)

// TestToKeep leaves out what another one takes the place of, if that can be kept and does as much.
func TestToKeep(t *testing.T) {
	f := newFleet(t, 0)
	old := f.patch("old", true)
	f.superseding("new", "old")
	f.superseding("newest", "new")
	more := f.spec("more", false)
	more.Images[0].BuildID = otherID
	f.file(more)
	f.superseding("half", "more")
	on := f.spec("on", false, old)
	on.About = &patch.About{Supersedes: []string{"newest"}}
	f.file(on)
	var got []string
	for _, p := range ToKeep(f.scanned("old", "new", "newest", "more", "half", "on")) {
		got = append(got, p.Spec.Name)
	}
	if diff := cmp.Diff([]string{"newest", "more", "half", "on"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestPlanOrder: a patch comes after all that it is built upon, of however many those are.
func TestPlanOrder(t *testing.T) {
	f := newFleet(t, 1)
	x, y := f.patch("x", false), f.patch("y", false)
	one := f.patch("one", false, x, y)
	f.patch("last", false, one)
	p, err := f.session().Plan(f.scanned("last", "one", "x", "y"), Selection{}, false)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range p.Steps {
		got = append(got, s.Patch.Spec.Name)
	}
	if diff := cmp.Diff([]string{"x", "y", "one", "last"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestPlanRevert: what a plan has applied is reverted in those, too, that were forked with it, and not in who had it before.
func TestPlanRevert(t *testing.T) {
	f := newFleet(t, 3)
	old, fix := f.patch("old", false), f.superseding("fix", "old")
	f.apply(lpnl.VerbApply, fix, f.pids[0])
	f.apply(lpnl.VerbApply, old, f.pids[1])
	p, err := f.session().Plan(f.scanned("fix"), Selection{}, false)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Concerns("[p]") || p.Concerns("p") {
		t.Error("the service is another one")
	}
	first := p.Split("[p]")
	first.Apply(lpnl.Options{}, func(*Step) {})
	child := f.process()
	for _, r := range f.has[f.pids[2]] {
		r.PID = child
		f.has[child] = append(f.has[child], r)
	}
	f.remap(child)
	out, replaced, err := first.Revert(lpnl.Options{})
	if err != nil || len(out) != 3 || fmt.Sprint(replaced) != "[old]" {
		t.Errorf("%+v, replaced %v, %v", out, replaced, err)
	}
	for i, pid := range f.pids {
		if has := len(f.has[pid]); (has > 0) != (i == 0) {
			t.Errorf("process %d has %d patches", i, has)
		}
	}
}

// TestPlanRequests counts what the kernel is asked for steps of many services: once for its state, and again only where a step has
// changed that of a process that is met once more.
func TestPlanRequests(t *testing.T) {
	f := newFleet(t, 10)
	f.patch("x", false)
	f.patch("y", false)
	if _, err := f.session().RunSelected(lpnl.VerbApply, f.patch("other", false), Selection{All: true}, lpnl.Options{}); err != nil {
		t.Fatal(err)
	}
	p, err := f.session().Plan(f.scanned("x", "y"), Selection{}, false)
	if err != nil || len(p.Steps) != 2 {
		t.Fatalf("%d steps, %v", len(p.Steps), err)
	}
	for _, step := range []struct {
		what  string
		do    func()
		looks int
	}{
		{"check", func() { p.Check(lpnl.Options{}) }, 1},
		{"apply", func() { p.Apply(lpnl.Options{}, func(*Step) {}) }, 2},
	} {
		f.asked = map[string]int{}
		step.do()
		if f.asked["status"] > step.looks || f.asked["op"] != 20 {
			t.Errorf("%s: %v, want %d looks and 20 operations", step.what, f.asked, step.looks)
		}
	}
}
