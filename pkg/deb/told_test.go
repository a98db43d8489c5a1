// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pault.ag/go/debian/version"
)

// TestFixTold parses typical headers of patches.
func TestFixTold(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want Told
	}{
		"CVE-2026-1234_01.patch": {
			"Description: Refuse a length below zero.\n It was read as a big one.\nOrigin: upstream, https://x/DSA-1-1\nBug-Debian: https://bugs.debian.org/1\n\n--- a/f.c\n+++ b/f.c\n+CVE-2026-7777\n",
			Told{Title: "Refuse a length below zero.", CVEs: []string{"CVE-2026-1234"}, Advisories: []string{"DSA-1-1"}},
		},
		"mail.patch": {
			"From 0123 Mon Sep 17 00:00:00 2001\nFrom: X <x@example.org>\nDate: today\nSubject: [PATCH 1/2] [x] fix it\r\n\nFixes cve-2026-2222 and CVE-2026-11111, GHSA-abcd-1234-ef56.\n---\n f.c | 2 +-\n CVE-2026-8888\n",
			Told{Title: "fix it", CVEs: []string{"CVE-2026-11111", "CVE-2026-2222"}, Advisories: []string{"GHSA-abcd-1234-ef56"}},
		},
		"below.patch":   {"Description:\n  on the line\tbelow\n\nIndex: f.c\n", Told{Title: "on the line below"}},
		"hostile.patch": {"Subject: a\x1b[2J\xff\u202e\ufffd\nDescription: no\n", Told{Title: `a\x1b[2J\xff\u202e?`}},
		"long.patch":    {"Subject: " + strings.Repeat("ä", 200) + "\n", Told{Title: strings.Repeat("ä", 100) + "…"}},
		"bare.patch":    {"--- a/f.c\n+++ b/f.c\n", Told{}},
		"cve-1.patch":   {"", Told{}},
	} {
		got, err := Fix{name, []byte(c.text)}.Told()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

const entry = "x (VERSION) bookworm-security; urgency=high\n\nTEXT\n\n -- X <x@example.org>  Mon, 02 Feb 2026 15:04:05 +0100\n\n"

func entryOf(version, text string) string {
	return strings.NewReplacer("VERSION", version, "TEXT", text).Replace(entry)
}

// TestToldSince checks that only entries after the version count, without what an entry declares as not fixed.
func TestToldSince(t *testing.T) {
	log := entryOf("1:2-3", "  * New release.\n  * CVE-2026-0003: use after free in\n    the parser (DSA-3-1)\n  * Revert the fix of CVE-2026-0002, which\n    broke things") +
		entryOf("1:2-2", "  [ X ]\n  * Fix overflows\n    - one (CVE-2026-0001)\n    - two, CVE-2026-0002\n  * CVE-2026-0009 does not concern us: not affected") +
		entryOf("1:2-1", "  * CVE-2025-0001") + "what nobody can read\n"
	v := func(text string) version.Version {
		parsed, err := version.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	dir := tree(t, map[string]string{"debian/changelog": log})
	for after, want := range map[string]Told{
		"1:2-1": {Title: "CVE-2026-0003: use after free in the parser (DSA-3-1)", CVEs: []string{"CVE-2026-0001", "CVE-2026-0003"}, Advisories: []string{"DSA-3-1"}},
		"1:2-2": {Title: "CVE-2026-0003: use after free in the parser (DSA-3-1)", CVEs: []string{"CVE-2026-0003"}, Advisories: []string{"DSA-3-1"}},
		"3:1":   {},
	} {
		got, err := ToldSince(dir, v(after))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("after %s: %s", after, diff)
		}
	}
	if _, err := ToldSince(dir, v("1:1")); err == nil || !strings.HasPrefix(err.Error(), dir+"/debian/changelog: ") {
		t.Errorf("an entry that cannot be read: %v", err)
	}
	if got, err := ToldSince(t.TempDir(), v("1")); err != nil || got.Title != "" {
		t.Errorf("without a changelog: %+v, %v", got, err)
	}
}

// TestNotFixed checks phrases in changelogs which may say that a CVE is not fixed.
func TestNotFixed(t *testing.T) {
	after, err := version.Parse("1-1")
	if err != nil {
		t.Fatal(err)
	}
	for text, fixed := range map[string]bool{
		"  * CVE-2026-1000: removed pending investigation":                                           false,
		"  * debian/patches: disable CVE-2026-1000.patch: regression":                                false,
		"  * CVE-2026-1000.patch: causes a regression in logins":                                     false,
		"  * This upload does not fix CVE-2026-1000":                                                 false,
		"  * This upload doesn't yet fix CVE-2026-1000":                                              false,
		"  * Partial fix for CVE-2026-1000":                                                          false,
		"  * Fixes CVE-2026-1000 in part":                                                            false,
		"  * Upload without the fix for CVE-2026-1000":                                               false,
		"  * CVE-2026-1000: the parser is still vulnerable":                                          false,
		"  * Back out CVE-2026-1000":                                                                 false,
		"  * CVE-2026-1000 backed out":                                                               false,
		"  * Backed-out: CVE-2026-1000":                                                              false,
		"  * CVE-2026-1000 could not be backported":                                                  false,
		"  * CVE-2026-1000 is not yet fixed":                                                         false,
		"  * no fix for CVE-2026-1000":                                                               false,
		"  * CVE-2026-1000 remains open":                                                             false,
		"  * CVE-2026-1000: postponed":                                                               false,
		"  * CVE-2026-1000: overflow\n    - removed, logins failed":                                  false,
		"  * CVE-2026-1000: overflow\n    - in the parser\n      + backed\n        out":              false,
		"  * Patches that were dropped:\n    - CVE-2026-1000.patch\n    - other.patch":               false,
		"  * CVE-2026-1000: overflow\n    - check it\n  * other.patch: removed":                      true,
		"  * CVE-2026-1000: overflow\n    - CVE-2026-2000.patch: not affected\n    - x":              true,
		"  * CVE-2026-1000: a length was not checked, so that users without rights read all of it":   true,
		"  * SECURITY UPDATE: use after free\n    - debian/patches/CVE-2026-1000.patch: keep a copy": true,
	} {
		got, err := ToldSince(tree(t, map[string]string{"debian/changelog": entryOf("1-2", text)}), after)
		if err != nil {
			t.Fatal(err)
		}
		if is := len(got.CVEs) == 1 && got.CVEs[0] == "CVE-2026-1000" && got.Title != ""; is != fixed || !fixed && (len(got.CVEs) > 0 || got.Title != "") {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

// TestHostileLog checks a changelog with an excessive number of lines, of which the newest entries count.
func TestHostileLog(t *testing.T) {
	if got := string(withoutBlank([]byte("x\n\n \n\t\n y\n"))); got != "x\n y\n" {
		t.Errorf("%q is left", got)
	}
	entry := strings.ReplaceAll(entryOf("2", "  * Fix CVE-2026-1234."), "\n\n", "\n")
	log := entry + strings.Repeat(strings.ReplaceAll(entry, "1234", "5678"), maxLog/len(entry)) + "  the rest is too long\n"
	got, err := ToldSince(tree(t, map[string]string{"debian/changelog": log}), parse(t, "1"))
	if err != nil || strings.Join(got.CVEs, " ") != "CVE-2026-1234 CVE-2026-5678" {
		t.Errorf("%+v, %v", got, err)
	}
}
