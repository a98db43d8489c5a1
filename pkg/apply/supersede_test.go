package apply

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/apply/applytest"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
)

// mitigation makes a patch file that mitigates main, which the fleet's patches replace.
func (f *fleet) mitigation(name string) Patch {
	f.tb.Helper()
	spec, err := applytest.Mitigation(name, f.prog)
	if err != nil {
		f.tb.Fatal(err)
	}
	return f.write(spec)
}

// beside is a patch of another function.
func (f *fleet) beside(name string) Patch {
	f.tb.Helper()
	spec, err := applytest.Spec(name, f.prog)
	if err != nil {
		f.tb.Fatal(err)
	}
	spec.Sites[0].Vaddr += 32
	spec.Functions[0].Symbol, spec.Functions[0].Bodies = "other", []patch.Range{{Start: spec.Sites[0].Vaddr, End: spec.Sites[0].Vaddr + 16}}
	return f.write(spec)
}

// lone is a fix that replaces main and nothing else, of which calls under way may finish in the old code.
func (f *fleet) lone(name string) Patch {
	f.tb.Helper()
	spec, err := applytest.Spec(name, f.prog)
	if err != nil {
		f.tb.Fatal(err)
	}
	spec.Sites, spec.Functions[0].MayBeActive = spec.Sites[:1], true
	spec.Relies = []patch.Reliance{{Symbol: "main", Start: spec.Functions[0].Bodies[0].Start}}
	return f.write(spec)
}

// active refuses to replace at once, as if somebody was in the function.
func active(_ Verb, _ string, o lpnl.Options) lpnl.Refusal {
	if o.Replace {
		return lpnl.RefusalThreadActive
	}
	return lpnl.RefusalNone
}

// TestSupersede applies fixes where a mitigation is: that goes, and what else is there stays.
func TestSupersede(t *testing.T) {
	fix := func(f *fleet) Patch { return f.patch("fix", true) }
	lone := func(f *fleet) Patch { return f.lone("fix") }
	mitigated := func(f *fleet) []Patch { return []Patch{f.mitigation("m")} }
	two := func(f *fleet) []Patch { return []Patch{f.beside("o"), f.mitigation("m")} }
	for _, c := range []struct {
		name   string
		before func(*fleet) []Patch
		fix    func(*fleet) Patch
		verb   Verb
		refuse func(Verb, string, lpnl.Options) lpnl.Refusal
		asks   []string
		left   []string
		note   string
		err    string
	}{
		{"at once", mitigated, fix, lpnl.VerbApply, nil, []string{"apply fix replacing", "unload m"}, []string{"fix"}, "replaced m", ""},
		{"checked", mitigated, fix, lpnl.VerbCheck, nil, []string{"check fix replacing"}, []string{"m"}, "", ""},
		{"checked beside another", two, fix, lpnl.VerbCheck, nil, []string{"check fix"}, []string{"m", "o"}, "", ""},
		{"beside another", two, fix, lpnl.VerbApply, nil, []string{"restore m", "apply fix", "unload m"}, []string{"fix", "o"}, "replaced m", ""},
		{"another mitigation", mitigated, func(f *fleet) Patch { return f.mitigation("n") }, lpnl.VerbApply, nil,
			[]string{"apply n replacing", "unload m"}, []string{"n"}, "replaced m", ""},
		{"not of that function", mitigated, func(f *fleet) Patch { return f.beside("o") }, lpnl.VerbApply, nil, []string{"apply o"}, []string{"m", "o"}, "", ""},
		{"over a fix", func(f *fleet) []Patch { return []Patch{f.patch("fix", true)} }, func(f *fleet) Patch { return f.mitigation("m") }, lpnl.VerbApply, nil, nil,
			[]string{"fix"}, "", "patch m was built for main as it is in the file, patch fix replaces that function, and fix is applied already; " +
				"build one patch of both fixes and apply it with --replace, or revert fix first"},
		{"refused at once", mitigated, fix, lpnl.VerbApply, active, []string{"apply fix replacing"}, []string{"m"}, "", "apply is refused, fix is none"},
		{"refused at once, and may be active", mitigated, lone, lpnl.VerbApply, active,
			[]string{"apply fix replacing", "restore m", "apply fix", "unload m"}, []string{"fix"}, "replaced m", ""},
		{"refused beside another", two, fix, lpnl.VerbApply, refused("apply fix"), []string{"restore m", "apply fix", "apply m"}, []string{"m", "o"}, "", "apply is refused, fix is none"},
		{"not put back", two, fix, lpnl.VerbApply, refused("apply fix", "apply m"), []string{"restore m", "apply fix", "apply m"}, []string{"o"}, "",
			"apply is refused, fix is none; mitigation m was taken off for it and could not be put back: apply is refused, m is restored; apply it again"},
		{"not taken off", two, fix, lpnl.VerbApply, refused("restore m"), []string{"restore m"}, []string{"m", "o"}, "", "restore is refused, m is applied"},
		{"stays mapped", mitigated, fix, lpnl.VerbApply, refused("unload m"), []string{"apply fix replacing", "unload m"}, []string{"fix"},
			"replaced m; patch m is restored and stays mapped: unload is refused, m is restored; unload it later", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFleet(t, 1)
			for _, p := range c.before(f) {
				f.do(lpnl.VerbApply, p)
			}
			p := c.fix(f)
			f.asks, f.refuse = nil, c.refuse
			r, err := f.session().RunSelected(c.verb, p, Selection{All: true}, lpnl.Options{Timeout: 1000 * quiescentTry})
			if err != nil || len(r.Outcomes) != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
			out, text := r.Outcomes[0], ""
			if out.Err != nil {
				text = out.Err.Error()
			}
			if text != c.err || out.Note != c.note {
				t.Errorf("%s, note %q\nwant %s, %q", text, out.Note, c.err, c.note)
			}
			if diff := cmp.Diff(c.asks, f.asks); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			var left []string
			for _, r := range f.has[f.pids[0]] {
				if r.State == lpnl.StateApplied {
					left = append(left, r.Patch)
				}
			}
			slices.Sort(left)
			if diff := cmp.Diff(c.left, left); diff != "" {
				t.Errorf("what is applied, -want +got:\n%s", diff)
			}
		})
	}
}

// refused refuses some operations.
func refused(these ...string) func(Verb, string, lpnl.Options) lpnl.Refusal {
	return func(verb Verb, name string, _ lpnl.Options) lpnl.Refusal {
		if slices.Contains(these, string(verb)+" "+name) {
			return lpnl.RefusalThreadActive
		}
		return lpnl.RefusalNone
	}
}
