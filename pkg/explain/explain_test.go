// SPDX-License-Identifier: GPL-2.0

package explain

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/lpnl"
)

// TestAll checks that every table was found and every row has an explanation.
func TestAll(t *testing.T) {
	count := map[string]int{}
	for _, e := range All() {
		count[e.Document]++
		if e.Meaning == "" || e.Document == "reference.md" && e.Advice == "" || strings.ContainsAny(e.Meaning+e.Advice, "`|") {
			t.Errorf("%+v", e)
		}
	}
	if count["reference.md"] < 30 || count["patch-author-guide.md"] < 90 {
		t.Errorf("%v", count)
	}
}

// TestRefusals checks that every refusal of the kernel has an explanation.
func TestRefusals(t *testing.T) {
	n := 0
	for r := lpnl.RefusalNone + 1; !strings.Contains(r.String(), fmt.Sprint(int(r))); r++ {
		if n++; !slices.ContainsFunc(Of(r.String()), func(e Entry) bool { return e.Document == "reference.md" }) {
			t.Errorf("nothing is said of %s", r)
		}
	}
	if n < 26 {
		t.Errorf("only %d refusals", n)
	}
}

func TestOf(t *testing.T) {
	want := []Entry{{
		"covered", "a patch that was applied later is on top at a site, restore that one first",
		"the sentence names it; so for one that was built upon this one and is mapped", "reference.md",
	}}
	if diff := cmp.Diff(want, Of("covered")); diff != "" {
		t.Error(diff)
	}
	want = []Entry{{"import-tls", "a symbol of a library that the target does not use (in this way); use what it uses, or name the library with --lib", "", "patch-author-guide.md"}}
	if diff := cmp.Diff(want, Of("import-tls")); diff != "" {
		t.Error(diff)
	}
	if got := Of("nothing"); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}
