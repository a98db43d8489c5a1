// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
)

// busy is a kernel in whose target a thread is in every function that may not be active, and so many in the others.
type busy struct {
	asked  []lpnl.Options
	active int
}

func (b *busy) Transfer(*lpnl.Patch) error     { return nil }
func (b *busy) Status() ([]lpnl.Report, error) { return nil, nil }

func (b *busy) Op(_ lpnl.Verb, _ lpnl.Hash, _ lpnl.Target, o lpnl.Options) (lpnl.Report, error) {
	b.asked = append(b.asked, o)
	r := lpnl.Report{Attempts: 3}
	if len(o.AllowActive) == 0 {
		r.Refusal, r.Message = lpnl.RefusalThreadActive, "thread 7 (w) has on its stack an address inside f"
		return r, &lpnl.Refused{Report: r}
	}
	r.ActiveThreads = b.active
	return r, nil
}

// attemptWith is one on some process, with a patch of which one function may be active.
func attemptWith(k Kernel, lone string) *attempt {
	return &attempt{session: New(k, proc.New("/proc")), view: &view{}, lone: lone}
}

func TestLoneFunction(t *testing.T) {
	k := &busy{active: 2}
	out := attemptWith(k, "f").op(lpnl.VerbApply, lpnl.Options{Timeout: 10 * time.Second})
	if out.Err != nil {
		t.Fatal(out.Err)
	}
	want := []lpnl.Options{
		{Timeout: quiescentTry},
		{Timeout: 10*time.Second - quiescentTry, AllowActive: []string{"f"}},
	}
	if diff := cmp.Diff(want, k.asked); diff != "" {
		t.Errorf("the kernel was asked (-want +got):\n%s", diff)
	}
	const note = "calls that were under way finish in the code that they began in, or never leave it; " +
		"\"lpctl status\" tells how many are left"
	if r := out.Report; out.Note != note || r.Attempts != 6 || r.ActiveThreads != 2 {
		t.Errorf("note %q after %d attempts, %d threads", out.Note, r.Attempts, r.ActiveThreads)
	}
	// Who has left by the time of the second try is not told of, and neither is anybody of a check.
	for _, c := range []struct {
		verb   lpnl.Verb
		active int
	}{{lpnl.VerbApply, 0}, {lpnl.VerbCheck, 2}} {
		out := attemptWith(&busy{active: c.active}, "f").op(c.verb, lpnl.Options{Timeout: time.Second})
		if out.Err != nil || out.Note != "" || out.Report.ActiveThreads != c.active {
			t.Errorf("%s: note %q, %d threads, %v", c.verb, out.Note, out.Report.ActiveThreads, out.Err)
		}
	}
}

// TestQuiescenceStands lists when a thread that is in the way stays one.
func TestQuiescenceStands(t *testing.T) {
	for name, c := range map[string]struct {
		verb lpnl.Verb
		spec patch.Spec
	}{
		"not proved":    {lpnl.VerbApply, patch.Spec{Sites: make([]patch.Site, 1), Functions: []patch.Function{{Symbol: "f"}}}},
		"two functions": {lpnl.VerbApply, patch.Spec{Sites: make([]patch.Site, 2), Functions: make([]patch.Function, 2)}},
		"a value too":   {lpnl.VerbRestore, patch.Spec{Sites: make([]patch.Site, 2), Functions: []patch.Function{{Symbol: "f", MayBeActive: true}}}},
		"unload":        {lpnl.VerbUnload, patch.Spec{Sites: make([]patch.Site, 1), Functions: []patch.Function{{Symbol: "f", MayBeActive: true}}}},
	} {
		k := &busy{}
		err := attemptWith(k, lone(&c.spec)).op(c.verb, lpnl.Options{Timeout: time.Second}).Err
		if RefusalCode(err) != lpnl.RefusalThreadActive || len(k.asked) != 1 || len(k.asked[0].AllowActive) != 0 {
			t.Errorf("%s: %v after %+v", name, err, k.asked)
		}
	}
}

func TestAllowable(t *testing.T) {
	spec := &patch.Spec{Name: "fix", Functions: []patch.Function{{Symbol: "f", MayBeActive: true}, {Symbol: "g.isra.0"}}}
	for _, c := range []struct {
		spec    *patch.Spec
		symbol  string
		message string
	}{
		{spec, "h", "patch fix does not replace a function h that could be allowed to be active; it replaces: f, g.isra.0"},
		{spec, "f", "patch fix has functions of which calls under way may not finish in the old code, so f must not be active; " +
			"try again when no thread is in it"},
		{nil, "f", "whether f may be active is only in the file of patch fix; give the file instead of the name"},
	} {
		if _, err := allowable(c.spec, PatchRef{Name: "fix"}, []string{c.symbol}); err == nil || err.Error() != c.message {
			t.Errorf("%s: %v, want %s", c.symbol, err, c.message)
		}
	}
}

// TestAllowableNames: a function may be named in each way in which lpctl shows it, and is then named as the kernel has it.
func TestAllowableNames(t *testing.T) {
	deep := "_ZN" + strings.Repeat("9namespace", 14) + "1fEi"
	readable := strings.Repeat("namespace::", 14) + "f(int)"
	spec := &patch.Spec{Name: "fix", Functions: []patch.Function{
		{Symbol: deep, MayBeActive: true}, {Symbol: "_ZN1a3putEi", MayBeActive: true}, {Symbol: "_ZN1a3putEl", MayBeActive: true}, {Symbol: "_RNvCs15kBYyAo9fc_7mycrate7example", MayBeActive: true},
	}}
	given := []string{deep, clip(deep), readable, strings.TrimSuffix(readable, "(int)"), "a::put(int)", "_ZN1a3putEl", "mycrate::example"}
	got, err := allowable(spec, PatchRef{}, given)
	if err != nil {
		t.Fatal(err)
	}
	short := deep[:lpnl.NameMax]
	want := []string{short, short, short, short, "_ZN1a3putEi", "_ZN1a3putEl", "_RNvCs15kBYyAo9fc_7mycrate7example"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names for the kernel (-want +got):\n%s", diff)
	}
	const several = "patch fix replaces several functions a::put: _ZN1a3putEi, _ZN1a3putEl; give the whole name of each that may be active"
	if _, err := allowable(spec, PatchRef{}, []string{"a::put"}); err == nil || err.Error() != several {
		t.Errorf("error %v, want %s", err, several)
	}
	text := "thread 7 is in " + short + " again"
	if got := unclip(spec).Replace(text); got != "thread 7 is in "+deep+" again" {
		t.Errorf("the kernel's text becomes %q", got)
	}
	spec.Functions[1].Symbol = deep + "l"
	if got := unclip(spec).Replace(text); got != text {
		t.Errorf("a name that two functions begin with becomes %q", got)
	}
}
