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

// partOf is an image in which functions of an object change.
func partOf(object string, functions ...string) *builder {
	res := &diff.Result{New: &diff.Object{Name: object}}
	for _, name := range functions {
		res.Changed = append(res.Changed, diff.Change{Old: &lpelf.Symbol{Name: name}})
	}
	return &builder{inputs: []*link.Input{{Diff: res}}}
}

func sourceOf(t *testing.T, text string) *deb.Source {
	t.Helper()
	v, err := debversion.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return &deb.Source{Name: "x", Version: v}
}

// TestTell: each image is said to have what concerns it, and nothing that was left out.
func TestTell(t *testing.T) {
	fixes := fixesFor(t, [3]string{"CVE-2026-0001_01.patch", "src/a.c", "int one;"}, [3]string{"CVE-2026-0002.patch", "src/b.c", "int two;"},
		[3]string{"CVE-2026-0003.patch", "src/all.h", "int three;"}, [3]string{"CVE-2026-0004.patch", "doc/x.txt", "x"},
		[3]string{"CVE-2026-0005.patch", "src/other.c", "int five;"}, [3]string{"CVE-2026-0001_02.patch", "src/a.c", "int six;"})
	newPackager := func() (*packager, []*builder) {
		p := &packager{fixes: fixes, old: sourceOf(t, "1:1-1"), newer: sourceOf(t, "1:1-2"), whole: true, res: &PackageResult{},
			log: deb.Told{Title: "many", CVEs: []string{"CVE-2026-0001", "CVE-2026-0006"}, Advisories: []string{"DSA-1-1"}}}
		if err := p.readFixes(); err != nil {
			t.Fatal(err)
		}
		return p, []*builder{partOf("src/prog-a.o"), partOf("lib/b.o"), partOf("src/z.o", "_Z4fivev"), nil, partOf("src/y.o", "seven")}
	}
	cves := func(parts []*builder) (out []string) {
		for _, b := range parts {
			if b != nil {
				out = append(out, strings.ReplaceAll(strings.Join(b.o.About.CVEs, " "), "CVE-2026-000", ""))
			}
		}
		return out
	}
	p, parts := newPackager()
	p.tell(parts)
	// 3 is in a header, 4 in nothing that runs, 6 in the changelog alone.
	if diff := cmp.Diff([]string{"1 3 6", "2 3 6", "3 5 6", "3 6"}, cves(parts)); diff != "" {
		t.Error(diff)
	}
	want := &patch.About{Title: "many", CVEs: parts[0].o.About.CVEs, Advisories: []string{"DSA-1-1"}, Package: "x", Version: "1:1-1", Fixed: "1:1-2"}
	if diff := cmp.Diff(want, parts[0].o.About); diff != "" {
		t.Error(diff)
	}

	// What was left out is not fixed, nor is what only the changelog names of a difference that is not whole any more.
	p, parts = newPackager()
	p.refuseFix(fixes[5], "it does not fit")
	p.fixes, p.whole = fixes[:5], false
	p.tell(parts)
	if diff := cmp.Diff([]string{"3", "2 3", "3 5", "3"}, cves(parts)); diff != "" {
		t.Error(diff)
	}

	// What the author says counts.
	p, parts = newPackager()
	p.o.About = &patch.About{CVEs: []string{"CVE-2026-9999"}, Severity: "high"}
	p.tell(parts)
	want = &patch.About{Title: "many", CVEs: []string{"CVE-2026-9999"}, Severity: "high", Advisories: []string{"DSA-1-1"}, Package: "x", Version: "1:1-1", Fixed: "1:1-2"}
	if diff := cmp.Diff(want, parts[1].o.About); diff != "" {
		t.Error(diff)
	}
}

// TestCheckAbout: a patch is for the package that it is built for.
func TestCheckAbout(t *testing.T) {
	for _, c := range []struct {
		about *patch.About
		want  string
	}{
		{nil, ""},
		{&patch.About{Package: "x", Version: "1:1-1"}, ""},
		{&patch.About{Fixed: "1:1-1"}, "version and fixed are both 1:1-1; version is the one without the fix in its files, fixed the one with it"},
		{&patch.About{Package: "y"}, "the patch is said to be for the package y, and is built for x; leave package out, --deb knows it"},
		{&patch.About{Package: "x", Version: "1-1"}, "the patch is said to be for version 1-1, and is built for 1:1-1; leave version out, --deb knows it"},
	} {
		p := &packager{o: PackageOptions{About: c.about}, old: sourceOf(t, "1:1-1")}
		if err := p.checkAbout(); c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}
