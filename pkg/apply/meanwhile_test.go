// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/filetest"
)

// TestMeanwhile has a target change after the snapshot was taken.
func TestMeanwhile(t *testing.T) {
	for _, c := range meanwhile {
		t.Run(c.name, func(t *testing.T) {
			f := newFleet(t, 3)
			a := f.patch("a", c.relies)
			f.do(lpnl.VerbApply, a)
			p := PatchRef{Name: "a"}
			if c.given != nil {
				p = c.given(f, a)
			}
			f.looked = func() { c.then(f) }
			f.asked = map[string]int{}
			r, err := f.session().RunSelected(c.verb, p, Selection{All: true}, c.o)
			if err != nil {
				t.Fatal(err)
			}
			c.check(t, f, r)
		})
	}
}

// do does a verb to all.
func (f *fleet) do(verb Verb, p PatchRef) {
	f.tb.Helper()
	if _, err := f.session().RunSelected(verb, p, Selection{All: true}, lpnl.Options{}); err != nil {
		f.tb.Fatal(err)
	}
}

const clash = "patch a was built for main as it is in the file, patch b replaces that function, and %s is applied already; " +
	"build one patch of both fixes and apply it with --replace, or revert %[1]s first"

var meanwhile = []struct {
	name   string
	relies bool                            // a does, on what b replaces
	given  func(*fleet, PatchRef) PatchRef // what comes before, after a was applied; and the patch of the verb, which is a by its name otherwise
	verb   Verb
	o      lpnl.Options
	then   func(*fleet)
	check  func(*testing.T, *fleet, Result)
}{
	{"reverted by name", false, nil, Revert, lpnl.Options{}, reverted, wantOne(1, true, "p[PID] has no patch \"a\" loaded", 3)},
	{"reverted by file", false, file, Revert, lpnl.Options{}, reverted, wantOne(1, true, "p[PID] has no patch \"a\" loaded", 3)},
	{"reverted, and applied by name", false, restored, lpnl.VerbApply, lpnl.Options{}, reverted,
		wantOne(1, false, "p[PID] has no patch \"a\" loaded; give the patch file, or see \"lpctl status\"", 3)},
	{"another version", false, nil, Revert, lpnl.Options{}, func(f *fleet) { f.swap("a") },
		func(t *testing.T, f *fleet, r Result) {
			if len(f.has[f.pids[1]]) != 0 {
				t.Errorf("%+v of %+v", r.Outcomes, f.has)
			}
		}},
	{"applied under one that does not go with it", true, func(f *fleet, a PatchRef) PatchRef { restored(f, a); return f.patch("b", false) },
		lpnl.VerbApply, lpnl.Options{}, func(f *fleet) { f.set(0, lpnl.StateApplied) }, wantOne(1, false, fmt.Sprintf(clash, "a"), 2)},
	{"restored, and in nobody's way", true, other, lpnl.VerbApply, lpnl.Options{}, func(f *fleet) { f.set(0, lpnl.StateRestored) },
		wantOne(1, false, "", 2)},
	{"unmapped, and in nobody's way", false, func(f *fleet, a PatchRef) PatchRef { f.do(lpnl.VerbApply, f.patch("c", false)); return other(f, a) },
		lpnl.VerbApply, lpnl.Options{}, reverted, wantOne(1, false, "", 2)},
	{"restored under one that is built upon it", false, upon, lpnl.VerbApply, lpnl.Options{}, func(f *fleet) { f.set(0, lpnl.StateRestored) },
		wantOne(1, false, "patch on is built upon patch a, which is restored in p[PID] and not applied; apply that first", 2)},
	{"restored, and built upon another", false, func(f *fleet, a PatchRef) PatchRef { on := upon(f, a); f.do(lpnl.VerbApply, on); return on },
		lpnl.VerbApply, lpnl.Options{}, func(f *fleet) { f.set(1, lpnl.StateRestored) },
		wantOne(1, false, "patch on is built upon patch a, which need not be where it was when this one was mapped, and it is still restored in p[PID]; "+
			"unload it first, then apply it", 2)},
	{"applied and replaced", false, func(f *fleet, a PatchRef) PatchRef { restored(f, a); return f.patch("b", false) },
		lpnl.VerbApply, lpnl.Options{Replace: true}, func(f *fleet) { f.set(0, lpnl.StateApplied) },
		func(t *testing.T, f *fleet, r Result) {
			if r.Outcomes[1].Note != "replaced a" || r.Outcomes[0].Note != "" || len(f.has[f.pids[1]]) != 1 {
				t.Errorf("%+v of %+v", r.Outcomes, f.has)
			}
		}},
	{"another one in its place", true, file, lpnl.VerbApply, lpnl.Options{}, func(f *fleet) { f.patch("b", false); f.swap("b") },
		wantOne(1, false, fmt.Sprintf(clash, "b"), 3)},
	{"an unreadable one in its place", true, other, lpnl.VerbApply, lpnl.Options{}, func(f *fleet) {
		f.files["c"] = filepath.Join(f.tb.TempDir(), "c")
		filetest.Lease(f.tb, f.files["c"])
		f.swap("c")
	},
		func(t *testing.T, f *fleet, r Result) {
			if err := r.Outcomes[1].Err; err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("patch c is applied in p[%d] and cannot be read there: ", f.pids[1])) {
				t.Errorf("%v", err)
			}
		}},
	{"forked", true, other, lpnl.VerbApply, lpnl.Options{}, forked, wantOne(3, false, fmt.Sprintf(clash, "a"), 3)},
	{"forked and reverted", true, nil, Revert, lpnl.Options{}, forked,
		func(t *testing.T, f *fleet, r Result) {
			if len(r.Outcomes) != 4 || len(f.has[f.pids[3]]) != 0 {
				t.Errorf("%+v of %+v", r.Outcomes, f.has)
			}
		}},
}

func file(_ *fleet, a PatchRef) PatchRef  { return a }
func other(f *fleet, _ PatchRef) PatchRef { return f.patch("b", false) }
func upon(f *fleet, a PatchRef) PatchRef  { return f.patch("on", false, a) }

func restored(f *fleet, _ PatchRef) PatchRef {
	f.do(lpnl.VerbRestore, PatchRef{Name: "a"})
	return PatchRef{Name: "a"}
}

// TestMeanwhileNamed names processes of which one has got the patch after the snapshot was taken.
func TestMeanwhileNamed(t *testing.T) {
	f := newFleet(t, 2)
	if out := f.session().Run(lpnl.VerbApply, f.patch("a", false), []proc.Process{f.target(0)}, lpnl.Options{}); out[0].Err != nil {
		t.Fatal(out[0].Err)
	}
	f.looked = func() {
		f.has[f.pids[1]] = slices.Clone(f.has[f.pids[0]])
		f.has[f.pids[1]][0].PID = f.pids[1]
		f.remap(f.pids[1])
	}
	r, err := f.session().RunSelected(Revert, PatchRef{Name: "a"}, Selection{PIDs: f.pids}, lpnl.Options{})
	if err != nil || len(r.Outcomes) != 2 || r.Outcomes[1].Err != nil || len(f.has[f.pids[0]])+len(f.has[f.pids[1]]) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func (f *fleet) target(i int) proc.Process {
	p, err := proc.New(f.root).Process(f.pids[i])
	if err != nil {
		f.tb.Fatal(err)
	}
	return p
}

// forked has the first target get a child.
func forked(f *fleet) {
	child := f.process()
	f.has[child] = slices.Clone(f.has[f.pids[0]])
	f.has[child][0].PID = child
	f.remap(child)
}

// reverted has the second lose its first patch.
func reverted(f *fleet) {
	f.has[f.pids[1]] = f.has[f.pids[1]][1:]
	f.remap(f.pids[1])
}

// set changes the state of a patch of the second.
func (f *fleet) set(patch int, state lpnl.State) { f.has[f.pids[1]][patch].State = state }

// swap has the second have another patch in the place of its first one.
func (f *fleet) swap(name string) {
	r := &f.has[f.pids[1]][0]
	r.Hash, r.Patch = lpnl.Hash{9}, name
	f.names[r.Hash] = name
	f.remap(f.pids[1])
}

// wantOne wants an answer for one target, and that the kernel was not asked for the state of all more often than that.
func wantOne(i int, settled bool, want string, looks int) func(*testing.T, *fleet, Result) {
	return func(t *testing.T, f *fleet, r Result) {
		t.Helper()
		at := slices.IndexFunc(r.Outcomes, func(o Outcome) bool { return o.Process.PID == f.pids[i] })
		if at < 0 {
			t.Fatalf("no outcome in %+v", r)
		}
		out, got := r.Outcomes[at], ""
		if out.Err != nil {
			got = strings.ReplaceAll(out.Err.Error(), strconv.Itoa(f.pids[i]), "PID")
		}
		if got != want || out.Settled != settled {
			t.Errorf("settled %v, %s\nwant    %v, %s", out.Settled, got, settled, want)
		}
		if f.asked["status"] > looks {
			t.Errorf("asked %v", f.asked)
		}
		if errors.Is(out.Err, errStale) {
			t.Error("it is told that it is stale")
		}
	}
}

// TestMappedMeanwhile reads the maps of a process before a patch is mapped in it, and takes the snapshot after that.
func TestMappedMeanwhile(t *testing.T) {
	f := newFleet(t, 1)
	a, s := f.patch("a", false), f.session()
	v := s.view(f.target(0))
	if _, err := v.maps(); err != nil {
		t.Fatal(err)
	}
	f.do(lpnl.VerbApply, a)
	if err := s.look(); err != nil {
		t.Fatal(err)
	}
	layers, err := s.layers(v)
	if err != nil || len(layers) != 1 || layers[0].report.Patch != "a" {
		t.Errorf("%+v, %v", layers, err)
	}
}
