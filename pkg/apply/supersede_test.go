// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/applytest"
)

// TestSupersede applies a patch that names another one of which it takes the place, beside a third one.
func TestSupersede(t *testing.T) {
	const busy = "thread 9 (w) is executing patch old"
	for _, c := range []struct {
		name   string
		verb   Verb
		busy   bool
		values bool // the old one changes a value, too
		upon   bool // the third one was built upon the old one
		has    string
		note   string
		err    string
	}{
		{name: "applied", verb: lpnl.VerbApply, has: "new applied, third applied", note: "replaced old"},
		{name: "checked", verb: lpnl.VerbCheck, has: "old applied, third applied"},
		{name: "busy", verb: lpnl.VerbApply, busy: true, has: "new applied, old applied, third applied", note: "old stays under it: " + busy},
		{name: "busy check", verb: lpnl.VerbCheck, busy: true, has: "old applied, third applied", note: "old stays under it: " + busy},
		{name: "busy with a value", verb: lpnl.VerbApply, busy: true, values: true, has: "old applied, third applied", err: busy},
		{name: "under another", verb: lpnl.VerbApply, upon: true, has: "old applied, third applied",
			err: "patch new takes the place of patch old, upon which patch third was built, which is applied in p[PID]; revert that one first"},
		{name: "loaded", verb: lpnl.VerbLoad, has: "new loaded, old applied, third applied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFleet(t, 1)
			spec := f.spec("old", false)
			if !c.values {
				spec.Sites = spec.Sites[:1]
			}
			old := f.file(spec)
			var upon []PatchRef
			if c.upon {
				upon = append(upon, old)
			}
			for _, p := range []PatchRef{old, f.patch("third", false, upon...)} {
				if out := f.session().Run(lpnl.VerbApply, p, f.first(), lpnl.Options{}); out[0].Err != nil {
					t.Fatal(out[0].Err)
				}
			}
			if c.busy {
				f.busy = "old"
			}
			spec = f.spec("new", false)
			spec.About = &patch.About{Supersedes: []string{"old"}}
			out := f.session().Run(c.verb, f.file(spec), f.first(), lpnl.Options{Timeout: quiescentTry})[0]
			if got := fmt.Sprint(out.Err); got != strings.ReplaceAll(cmp.Or(c.err, "<nil>"), "PID", fmt.Sprint(f.pids[0])) {
				t.Errorf("got %s, want %s", got, c.err)
			}
			if out.Note != c.note {
				t.Errorf("the note is %q, want %q", out.Note, c.note)
			}
			if got := f.states(); got != c.has {
				t.Errorf("the target has %s, want %s", got, c.has)
			}
		})
	}
}

// TestReplaceBelow: what was replaced stays where a patch that is built upon it is mapped, though not applied, and goes after that if both
// are replaced.
func TestReplaceBelow(t *testing.T) {
	f := newFleet(t, 1)
	old := f.patch("old", false)
	third := f.patch("third", false, old)
	f.apply(lpnl.VerbApply, old, f.pids[0])
	f.apply(lpnl.VerbApply, third, f.pids[0])
	f.apply(lpnl.VerbRestore, PatchRef{Name: "third"}, f.pids[0])
	out := f.session().Run(lpnl.VerbApply, f.superseding("new", "old"), f.first(), lpnl.Options{})[0]
	const note = "replaced old; patch old is restored and stays mapped: patch third, which is restored, is built upon it; unload it later"
	if out.Err != nil || out.Note != note {
		t.Errorf("got  %v, %q\nwant %q", out.Err, out.Note, note)
	}
	if got, want := f.states(), "new applied, old restored, third restored"; got != want {
		t.Errorf("the target has %s, want %s", got, want)
	}

	f = newFleet(t, 1)
	old = f.patch("old", false)
	f.apply(lpnl.VerbApply, old, f.pids[0])
	f.apply(lpnl.VerbApply, f.patch("third", false, old), f.pids[0])
	out = f.session().Run(lpnl.VerbApply, f.superseding("new", "old", "third"), f.first(), lpnl.Options{})[0]
	if got := f.states(); out.Err != nil || out.Note != "replaced old, third" || got != "new applied" {
		t.Errorf("%v, %q, %s", out.Err, out.Note, got)
	}
}

// TestSupersedeMitigation: a fix takes the place of a mitigation of its function, and so does another mitigation.
func TestSupersedeMitigation(t *testing.T) {
	mitigation := func(f *fleet, name string) PatchRef {
		spec, err := applytest.Mitigation(name, f.prog)
		if err != nil {
			t.Fatal(err)
		}
		return f.file(spec)
	}
	elsewhere := func(f *fleet) PatchRef {
		spec := f.spec("elsewhere", false)
		spec.Sites[0].Vaddr += 32
		spec.Functions[0].Symbol, spec.Functions[0].Bodies = "other", []patch.Range{{Start: spec.Sites[0].Vaddr, End: spec.Sites[0].Vaddr + 16}}
		return f.file(spec)
	}
	for _, c := range []struct {
		name      string
		before    func(f *fleet) PatchRef
		after     func(f *fleet) PatchRef
		has, note string
		err       string
		third     bool
	}{
		{"a fix", func(f *fleet) PatchRef { return mitigation(f, "m") }, func(f *fleet) PatchRef { return f.patch("fix", true) }, "fix applied", "replaced m", "", false},
		{"a fix beside another patch", func(f *fleet) PatchRef { return mitigation(f, "m") }, func(f *fleet) PatchRef { return f.patch("fix", true) },
			"elsewhere applied, fix applied", "replaced m", "", true},
		{"another mitigation", func(f *fleet) PatchRef { return mitigation(f, "m") }, func(f *fleet) PatchRef { return mitigation(f, "n") }, "n applied", "replaced m", "", false},
		{"a fix of another function", func(f *fleet) PatchRef { return mitigation(f, "m") }, elsewhere, "elsewhere applied, m applied", "", "", false},
		{"a mitigation of what is fixed", func(f *fleet) PatchRef { return f.patch("fix", true) }, func(f *fleet) PatchRef { return mitigation(f, "m") }, "fix applied", "",
			"patch m was built for main as it is in the file, patch fix replaces that function, and fix is applied already; " +
				"build one patch of both fixes and apply it with --replace, or revert fix first", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFleet(t, 1)
			before := []PatchRef{c.before(f)}
			if c.third {
				before = append(before, elsewhere(f))
			}
			for _, p := range before {
				if out := f.session().Run(lpnl.VerbApply, p, f.first(), lpnl.Options{}); out[0].Err != nil {
					t.Fatal(out[0].Err)
				}
			}
			out := f.session().Run(lpnl.VerbApply, c.after(f), f.first(), lpnl.Options{})[0]
			if got := fmt.Sprint(out.Err); got != cmp.Or(c.err, "<nil>") || out.Note != c.note {
				t.Errorf("%s, note %q, want %s, %q", got, out.Note, c.err, c.note)
			}
			if got := f.states(); got != c.has {
				t.Errorf("the target has %s, want %s", got, c.has)
			}
		})
	}
}

// first is the first process.
func (f *fleet) first() []proc.Process {
	f.tb.Helper()
	t, err := proc.New(f.root).Process(f.pids[0])
	if err != nil {
		f.tb.Fatal(err)
	}
	return []proc.Process{t}
}

// states are those of the patches in the first process.
func (f *fleet) states() string {
	var list []string
	for _, r := range f.has[f.pids[0]] {
		list = append(list, fmt.Sprint(r.Patch, " ", r.State))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// TestSplitSuperseded: by name, by the name of its own, by sum, and not what it was built upon.
func TestSplitSuperseded(t *testing.T) {
	named := func(name string, id, sum byte) layer {
		return layer{&PatchFile{Spec: &patch.Spec{Name: name}, buildID: []byte{id}, sum: [sha256.Size]byte{sum}}, lpnl.Report{Patch: name}}
	}
	layers := []layer{named("fix", 1, 1), named("fix", 2, 2), named("old", 3, 3), named("sum", 4, 4), named("other", 5, 5)}
	spec := &patch.Spec{Name: "fix", Images: []patch.Image{{BuildID: patch.Hex{2}}}, Upon: []patch.Upon{{Name: "fix"}},
		About: &patch.About{Supersedes: []string{"old", "sha256:04" + strings.Repeat("00", 31)}}}
	out, others := splitSuperseded(spec, layers)
	var got []string
	for _, s := range out {
		got = append(got, fmt.Sprint(s.Spec.Name, s.buildID))
	}
	got = append(got, "and")
	for _, l := range others {
		got = append(got, fmt.Sprint(l.Spec.Name, l.buildID))
	}
	if got, want := strings.Join(got, " "), "fix[1] old[3] sum[4] and fix[2] other[5]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
