// SPDX-License-Identifier: GPL-2.0

package build

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/codes"
	"lpatch/pkg/deb"
	"lpatch/pkg/diff"
)

// fixesFor writes patches that each change a line of a file: NAME FILE TEXT.
func fixesFor(t *testing.T, list ...[3]string) []deb.Fix {
	t.Helper()
	var out []deb.Fix
	for _, f := range list {
		out = append(out, deb.Fix{Name: f[0], Text: []byte("--- a/" + f[1] + "\n+++ b/" + f[1] + "\n@@ -1 +1 @@ int heading(void)\n-int a;\n+" + f[2] + "\n")})
	}
	return out
}

// TestBlame checks which fixes refusals are attributed to, and which other fixes depend on these.
func TestBlame(t *testing.T) {
	fixes := fixesFor(t, [3]string{"CVE-2026-1_01.patch", "src/a.c", "int one;"}, [3]string{"CVE-2026-1_02.patch", "src/z.c", "int z;"},
		[3]string{"b.patch", "src/b.c", "int two;"}, [3]string{"a-again.patch", "src/a.c", "int three;"}, [3]string{"types.patch", "src/types.h", "struct thing x;"},
		[3]string{"tests.patch", "tests/a.c", "int four;"})
	refusal := func(code codes.Code, file, symbol string) ImageResult {
		return ImageResult{Paths: []string{"p/bin/x"}, Err: Refusals{diff.Refusal{Code: code, File: file, Symbol: symbol, Text: "no"}}}
	}
	for name, c := range map[string]struct {
		refusal ImageResult
		want    string
	}{
		"by the source":           {refusal("new-tls", "src/prog-b.o", "v"), "b.patch"},
		"by source and symbol":    {refusal("new-tls", "src/a.o", "three"), "a-again.patch"},
		"with its parts":          {refusal("new-tls", "src/a.o", "one"), "CVE-2026-1_01.patch CVE-2026-1_02.patch a-again.patch"},
		"by the symbol alone":     {refusal("struct-layout-changed", "src/other.o", "thing"), "types.patch"},
		"heading":                 {refusal("target-differs", "src/z.o", "heading"), "CVE-2026-1_02.patch"},
		"to none":                 {refusal("target-differs", "src/ab.o", "f"), ""},
		"only another's":          {refusal("fix-incomplete", "src/a.o", ""), ""},
		"nothing to do":           {ImageResult{Err: ErrNothing}, ""},
		"the file as a whole":     {refusal("target-unfit", "p/bin/x", ""), ""},
		"not by part of the word": {refusal("new-tls", "src/other.o", "thin"), ""},
		"tests are none of it":    {refusal("new-tls", "tests/a.o", "four"), "CVE-2026-1_01.patch CVE-2026-1_02.patch a-again.patch"},
	} {
		got := blame(fixes, []ImageResult{c.refusal})
		if names := strings.Join(slices.Sorted(maps.Keys(got)), " "); names != c.want {
			t.Errorf("%s: %s, not %s", name, names, c.want)
		}
	}
	got := blame(fixes, []ImageResult{refusal("new-tls", "src/a.o", "one")})
	for name, want := range map[string]string{
		"CVE-2026-1_01.patch": "src/a.o: one: [new-tls] no",
		"CVE-2026-1_02.patch": "it may stand upon CVE-2026-1_01.patch, which is left out, for both change the same file or are of one CVE",
	} {
		if got[name] != want {
			t.Errorf("%s: %q, not %q", name, got[name], want)
		}
	}
}

// TestMerge checks that a file that was built keeps its result, and that a later round may build one that was refused.
func TestMerge(t *testing.T) {
	refused := Refusals{{Code: "new-tls"}}
	first, second := &Result{}, &Result{}
	before := []ImageResult{{File: "a", Result: first}, {File: "b", Err: refused}, {File: "c", Err: refused}, {File: "d", Err: ErrNothing}}
	now := []ImageResult{{File: "a", Result: second}, {File: "b", Result: second}, {File: "c", Err: ErrNothing}, {File: "d", Err: refused}}
	got := merge(before, now)
	if got[0].Result != first || got[1].Result != second || got[2].Result != nil || got[3].Err != ErrNothing { //nolint:errorlint // the same value
		t.Errorf("%+v", got)
	}
	if still := stillRefused(got, now); len(still) != 2 || still[0].File != "c" {
		t.Errorf("still refused: %+v", still)
	}
}

// TestUnfit checks that a file that cannot be read does not affect others.
func TestUnfit(t *testing.T) {
	list := []ImageResult{{Paths: []string{"p/bin/x"}, Err: unfit("p/bin/x", ErrNothing)}}
	if err := finishAll(list, []*builder{nil}); err != nil || list[0].Err == nil {
		t.Errorf("%v, %+v", err, list)
	}
	if want := "p/bin/x: lpctl cannot read what is needed of this file, and the others of the package are not concerned: " + ErrNothing.Error() + " [target-unfit]"; list[0].Err.Error() != want {
		t.Errorf("it says %q, not %q", list[0].Err, want)
	}
}

// TestLeaveWhole checks that, with patches on top of the older tree, changes to older patches are reported as left out.
func TestLeaveWhole(t *testing.T) {
	p := &packager{whole: true, changed: []string{"old.patch"}, res: &PackageResult{}}
	p.leaveWhole()
	p.leaveWhole() // the next round reports nothing more
	want := []RefusedFix{{"old.patch", "it is another one in the newer version, or not there, which only the whole difference has"}}
	if !slices.Equal(p.res.Refused, want) || p.whole {
		t.Errorf("%+v", p.res.Refused)
	}
}
