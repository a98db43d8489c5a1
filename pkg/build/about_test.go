// SPDX-License-Identifier: GPL-2.0

package build

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	debversion "pault.ag/go/debian/version"

	"lpatch/pkg/deb"
	"lpatch/pkg/diff"
	"lpatch/pkg/link"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

// partOf returns an image in which functions of an object change.
func partOf(object string, functions ...string) *builder {
	res := &diff.Result{New: &diff.Object{Name: object}}
	for _, name := range functions {
		res.Changed = append(res.Changed, diff.Change{Old: &lpelf.Symbol{Name: name}})
	}
	return &builder{inputs: []*link.Input{{Diff: res}}, res: &Result{}}
}

func sourceOf(t *testing.T, text string) *deb.Source {
	t.Helper()
	v, err := debversion.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return &deb.Source{Name: "x", Version: v}
}

// toldFixes returns patches of a package whose changelog names one additional CVE.
func toldFixes(t *testing.T) []deb.Fix {
	return fixesFor(t, [3]string{"CVE-2026-0001_01.patch", "src/a.c", "int one;"}, [3]string{"CVE-2026-0002.patch", "src/b.c", "int two;"},
		[3]string{"CVE-2026-0003.patch", "src/all.h", "int three;"}, [3]string{"CVE-2026-0004.patch", "doc/x.txt", "x"},
		[3]string{"CVE-2026-0005.patch", "src/other.c", "int five;"}, [3]string{"CVE-2026-0001_02.patch", "src/a.c", "int six;"})
}

func toldPackager(t *testing.T, fixes []deb.Fix) *packager {
	t.Helper()
	p := &packager{fixes: fixes, old: sourceOf(t, "1:1-1"), newer: sourceOf(t, "1:1-2"), whole: true, res: &PackageResult{},
		log: deb.Told{Title: "many", CVEs: []string{"CVE-2026-0001", "CVE-2026-0006"}, Advisories: []string{"DSA-1-1"}}}
	if err := p.readFixes(); err != nil {
		t.Fatal(err)
	}
	return p
}

// toldCVEs returns the last digits of the CVEs of each image.
func toldCVEs(parts []*builder) (out []string) {
	for _, b := range parts {
		if b != nil {
			out = append(out, strings.ReplaceAll(strings.Join(b.o.About.CVEs, " "), "CVE-2026-000", ""))
		}
	}
	return out
}

// TestTell checks that each image claims the fixes that concern it, and none that were left out or are doubtful.
func TestTell(t *testing.T) {
	fixes := toldFixes(t)
	unchanged := func() *builder { return &builder{res: &Result{}} }
	leftOut := func(why string) *builder {
		b := unchanged()
		b.leaveOut("x.o", why)
		return b
	}
	refused := unchanged()
	refused.refusals = Refusals{diff.Refusal{Code: "object-gone"}}
	unknown := unchanged()
	unknown.unknown = Refusals{diff.Refusal{Code: "object-not-found"}}
	five := func() *builder { return partOf("src/z.o", "_Z4fivev") }
	a := func() *builder { return partOf("src/prog-a.o") }
	warns := func(ids string) string {
		return "no patch is said to fix " + strings.ReplaceAll("CVE-2026-000"+ids, " ", " CVE-2026-000") + ", which the package names, for nothing tells which of its files that is in; give --cve if you know"
	}
	for name, c := range map[string]struct {
		parts   []*builder
		want    []string
		warning string
	}{
		"one image":                    {[]*builder{a(), unchanged()}, []string{"1 3 6", "3"}, warns("2 4 5")},
		"with objects of other images": {[]*builder{a(), leftOut(notLinked)}, []string{"1 3 6", "3"}, warns("2 4 5")},
		"several":                      {[]*builder{a(), partOf("lib/b.o"), five(), partOf("src/y.o", "seven")}, []string{"1 3", "2 3", "3", "3"}, warns("4 5 6")},
		"one that is not read":         {[]*builder{a(), nil}, []string{"1"}, warns("2 3 4 5 6")},
		"one that is refused":          {[]*builder{a(), refused}, []string{"1", ""}, warns("2 3 4 5 6")},
		"an object that is not found":  {[]*builder{a(), unknown}, []string{"1", ""}, warns("2 3 4 5 6")},
		"an object that is left out":   {[]*builder{a(), leftOut("nothing in the target refers to it")}, []string{"1", ""}, warns("2 3 4 5 6")},
		"a header by its function":     {[]*builder{partOf("src/y.o", "three"), five()}, []string{"3", ""}, warns("1 2 4 5 6")},
		"a function by its source":     {[]*builder{partOf("src/other.o", "five"), a()}, []string{"3 5", "1 3"}, warns("2 4 6")},
		"none that changes":            {[]*builder{unchanged()}, []string{"3"}, warns("1 2 4 5 6")},
	} {
		p := toldPackager(t, fixes)
		p.tell(c.parts)
		p.tell(c.parts) // as in another round
		if diff := cmp.Diff(c.want, toldCVEs(c.parts)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if diff := cmp.Diff([]string{c.warning}, p.res.Warnings); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	p, parts := toldPackager(t, fixes), []*builder{a(), unchanged()}
	p.tell(parts)
	want := &patch.About{Title: "many", CVEs: parts[0].o.About.CVEs, Advisories: []string{"DSA-1-1"}, Package: "x", Version: "1:1-1", Fixed: "1:1-2"}
	if diff := cmp.Diff(want, parts[0].o.About); diff != "" {
		t.Error(diff)
	}

	// Fixes that were left out are not claimed, nor are those that only the changelog of an incomplete difference names.
	p, parts = toldPackager(t, fixes), []*builder{a(), unchanged()}
	p.refuseFix(fixes[5], "it does not fit")
	p.fixes, p.whole = fixes[:5], false
	p.tell(parts)
	if diff := cmp.Diff([]string{"3", "3"}, toldCVEs(parts)); diff != "" {
		t.Error(diff)
	}

	// metadata of the author takes precedence
	p, parts = toldPackager(t, fixes), []*builder{a(), partOf("lib/b.o")}
	p.o.About = &patch.About{CVEs: []string{"CVE-2026-9999"}, Severity: "high"}
	p.tell(parts)
	want = &patch.About{CVEs: []string{"CVE-2026-9999"}, Severity: "high", Package: "x", Version: "1:1-1", Fixed: "1:1-2"}
	if diff := cmp.Diff(want, parts[1].o.About); diff != "" || len(p.res.Warnings) > 0 {
		t.Errorf("%s%q", diff, p.res.Warnings)
	}
}

// TestTellParts checks that a CVE is not claimed if the location of one part of its fix is unknown.
func TestTellParts(t *testing.T) {
	fixes := fixesFor(t, [3]string{"CVE-2026-0001_01.patch", "src/a.c", "int one;"}, [3]string{"CVE-2026-0001_02.patch", "src/other.c", "int two;"},
		[3]string{"CVE-2026-0002_01.patch", "src/a.c", "int one;"}, [3]string{"CVE-2026-0002_02.patch", "doc/x.txt", "x"})
	p, parts := toldPackager(t, fixes), []*builder{partOf("src/a.o"), partOf("src/b.o")}
	p.tell(parts)
	if diff := cmp.Diff([]string{"2", ""}, toldCVEs(parts)); diff != "" {
		t.Error(diff)
	}
}

// TestTellNamesakes checks that functions distinguish source files of the same name.
func TestTellNamesakes(t *testing.T) {
	fixes := fixesFor(t, [3]string{"CVE-2026-0001.patch", "src/a.c", "int one;"}, [3]string{"CVE-2026-0002.patch", "lib/a.c", "int two;"})
	p, parts := toldPackager(t, fixes), []*builder{partOf("build/a.o", "one"), partOf("build2/a.o", "two"), partOf("build3/a.o", "three")}
	p.tell(parts)
	if diff := cmp.Diff([]string{"1", "2", ""}, toldCVEs(parts)); diff != "" {
		t.Error(diff)
	}
}

// TestCheckAbout checks that a patch must be for the package it is built for.
func TestCheckAbout(t *testing.T) {
	for _, c := range []struct {
		about *patch.About
		want  string
	}{
		{nil, ""},
		{&patch.About{Package: "x", Version: "1:1-1"}, ""},
		{&patch.About{Fixed: "1:1-1"}, "version and fixed are both 1:1-1; version is the one without the fix in its files, fixed the one with it"},
		{&patch.About{Package: "y"}, "the patch is said to be for the package y, and is built for x; leave package out, build deb knows it"},
		{&patch.About{Package: "x", Version: "1-1"}, "the patch is said to be for version 1-1, and is built for 1:1-1; leave version out, build deb knows it"},
	} {
		p := &packager{o: PackageOptions{About: c.about}, old: sourceOf(t, "1:1-1")}
		if err := p.checkAbout(); c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}
