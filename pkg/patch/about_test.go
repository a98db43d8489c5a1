// SPDX-License-Identifier: GPL-2.0

package patch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// full returns an About with all fields set.
func full() *About {
	return &About{
		Title: "request smuggling in HTTP/2", CVEs: []string{"CVE-2026-1234", "CVE-1999-0000012"},
		Advisories: []string{"DSA-5821-1", "https://www.debian.org/security/2026/dsa-5821?x=1#y", "RHSA-2026:1234"},
		Severity:   "critical", Package: "libnghttp2", Version: "1:1.52.0-1+deb12u1~x", Fixed: "1:1.52.0-1+deb12u2",
		Supersedes: []string{"nghttp2-1", "sha256:" + strings.Repeat("0a", 32)},
	}
}

// TestAboutRoundTrip checks that an About is stored in the file and covered by its hash.
func TestAboutRoundTrip(t *testing.T) {
	c := sample()
	plain := encode(t, c)
	c.Spec.About = full()
	f, err := Read(encode(t, c))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full(), f.Spec.About); diff != "" {
		t.Error(diff)
	}
	without, err := Read(plain)
	if err != nil {
		t.Fatal(err)
	}
	if f.SHA256 == without.SHA256 || cmp.Equal(f.BuildID, without.BuildID) || strings.Contains(string(plain), "about") {
		t.Error("it makes no difference to the file")
	}
	if diff := cmp.Diff(without.Segments(), f.Segments()); diff != "" {
		t.Errorf("it is mapped: %s", diff)
	}
}

func TestAboutRefuses(t *testing.T) {
	const name = "letters, digits and + . _ - (a letter or digit first)"
	many := make([]string, maxAboutList+1)
	for i := range many {
		many[i] = fmt.Sprintf("CVE-2026-%04d", i)
	}
	for _, tt := range []struct {
		change func(*About)
		want   string
	}{
		{func(a *About) { a.Title = "two\nlines" }, `title "two\nlines" has a character that is not printable`},
		{func(a *About) { a.Title = "\x1b[2J" }, `title "\x1b[2J" has a character that is not printable`},
		{func(a *About) { a.Title = "\u202eevil" }, `title "\u202eevil" has a character that is not printable`},
		{func(a *About) { a.Title = strings.Repeat("x", 256) }, "title is longer than 255 bytes"},
		{func(a *About) { a.Severity = "bad" }, `severity "bad" is not known; it can be none, low, medium, high or critical`},
		{func(a *About) { a.CVEs[0] = "cve-2026-1234" }, `"cve-2026-1234" is no CVE id; one is CVE-, the year, - and 4 digits or more, like CVE-2026-12345`},
		{func(a *About) { a.CVEs[0] = "CVE-2026-123" }, `"CVE-2026-123" is no CVE id; one is CVE-, the year, - and 4 digits or more, like CVE-2026-12345`},
		{func(a *About) { a.CVEs[0] = "CVE-2026-1234\n" }, `"CVE-2026-1234\n" is no CVE id; one is CVE-, the year, - and 4 digits or more, like CVE-2026-12345`},
		{func(a *About) { a.CVEs[0] = "" }, `"" is no CVE id; one is CVE-, the year, - and 4 digits or more, like CVE-2026-12345`},
		{func(a *About) { a.CVEs[0] = "CVE-2026-" + strings.Repeat("1", 20) }, `"CVE-2026-11111111111111111111" is no CVE id; one is CVE-, the year, - and 4 digits or more, like CVE-2026-12345`},
		{func(a *About) { a.CVEs[1] = a.CVEs[0] }, "cves has CVE-2026-1234 twice; give it once"},
		{func(a *About) { a.CVEs = many }, "cves has 1025 entries; 1024 are possible"},
		{func(a *About) { a.Advisories[0] = "DSA 1" }, `advisory "DSA 1" is neither an id like DSA-1234-1 nor a URL`},
		{func(a *About) { a.Advisories[0] = "" }, `advisory "" is neither an id like DSA-1234-1 nor a URL`},
		{func(a *About) { a.Advisories[0] = "javascript://x" }, `advisory "javascript://x" is no URL that can be opened; one begins with https:// and has no spaces`},
		{func(a *About) { a.Advisories[0] = "https://" }, `advisory "https://" is no URL that can be opened; one begins with https:// and has no spaces`},
		{func(a *About) { a.Advisories[0] = "https://x/a b" }, `advisory "https://x/a b" is no URL that can be opened; one begins with https:// and has no spaces`},
		{func(a *About) { a.Advisories[0] = "https://x/\a" }, `advisory "https://x/\a" has a character that is not printable`},
		{func(a *About) { a.Package = "a/b" }, `package "a/b" is not possible: 1 to 127 ` + name},
		{func(a *About) { a.Package = "-x" }, `package "-x" is not possible: 1 to 127 ` + name},
		{func(a *About) { a.Package = strings.Repeat("x", 128) }, `package "` + strings.Repeat("x", 128) + `" is not possible: 1 to 127 ` + name},
		{func(a *About) { a.Version = "1 2" }, `version "1 2" is not possible: 1 to 127 letters, digits and . + ~ : _ ^ - (a letter or digit first)`},
		{func(a *About) { a.Fixed = "1\n" }, `fixed "1\n" is not possible: 1 to 127 letters, digits and . + ~ : _ ^ - (a letter or digit first)`},
		{func(a *About) { a.Fixed = a.Version }, "version and fixed are both 1:1.52.0-1+deb12u1~x; version is the one without the fix in its files, fixed the one with it"},
		{func(a *About) { a.Package = "" }, "version 1:1.52.0-1+deb12u1~x is of a package that is not named; give package, too"},
		{func(a *About) { a.Supersedes[0] = "a/b" }, `supersedes: the name "a/b" is not possible: letters, digits and . _ + - only`},
		{func(a *About) { a.Supersedes[0] = "sha256:12" }, `supersedes: "sha256:12" is no SHA-256 of a file; sha256: is followed by 64 hexadecimal digits`},
	} {
		a := full()
		tt.change(a)
		if err := a.Check(); err == nil || err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
		c := sample()
		c.Spec.About = a
		if _, err := Encode(c); err == nil || !strings.HasSuffix(err.Error(), "about: "+tt.want) {
			t.Errorf("in a file: got  %v\nwant %s", err, tt.want)
		}
	}
}

func TestReadAbout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "about.yaml")
	for text, want := range map[string]string{
		"cves: [CVE-2026-1]\n":              path + `: "CVE-2026-1" is no CVE id; one is CVE-, the year, - and 4 digits or more, like CVE-2026-12345`,
		"cve: CVE-2026-1234\n":              path + ": yaml: line 1: field cve not found in type patch.About",
		"title: a\n---\ntitle: b\n":         path + ": yaml: there is more than one document",
		"":                                  path + ": it says nothing; leave it out, or give title, cves and the like",
		"title: ''\n":                       path + ": it says nothing; leave it out, or give title, cves and the like",
		strings.Repeat("#", maxAboutFile+1): path + " is larger than 1048576 bytes; it is to have title, cves, advisories and the like of one patch",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadAbout(path); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if err := os.WriteFile(path, []byte("title: \"it's: so\"\ncves:\n- CVE-2026-1234\nseverity: low\npackage: redis\nfixed: 5:7.0.15-1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadAbout(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&About{Title: "it's: so", CVEs: []string{"CVE-2026-1234"}, Severity: "low", Package: "redis", Fixed: "5:7.0.15-1"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestAboutOr checks that the receiver takes precedence, field by field.
func TestAboutOr(t *testing.T) {
	none, some := (*About)(nil), &About{Title: "t", CVEs: []string{"CVE-2026-9999"}}
	if got := none.Or(&About{}); got != nil {
		t.Errorf("of nothing: %+v", got)
	}
	want := full()
	want.Title, want.CVEs = some.Title, some.CVEs
	if diff := cmp.Diff(want, some.Or(full())); diff != "" {
		t.Error(diff)
	}
	for _, got := range []*About{full().Or(some), full().Or(none), none.Or(full())} {
		if diff := cmp.Diff(full(), got); diff != "" {
			t.Error(diff)
		}
	}
}
