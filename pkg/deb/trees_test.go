// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pault.ag/go/debian/version"
)

func parse(t *testing.T, s string) version.Version {
	t.Helper()
	v, err := version.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSettle checks which differences between two trees count, the rules for the others, and the resulting newer tree.
func TestSettle(t *testing.T) {
	older := tree(t, map[string]string{
		"debian/changelog": "x (3.0.17-1) a\n", "debian/patches/series": "a\n", ".pc/applied-patches": "a\n", ".git/config": "a",
		"VERSION.dat": "MAJOR=3\nPATCH=17\nRELEASE_DATE=\"1 Jul 2025\"\n", "src/a.c": "/* Copyright 2021 X */\nint v = 17;\nint x;\n",
		"src/same.c": "int same;\n", "src/gone.c": "int gone;\n", "test/t.c": "int t;\n", "po/de.po": "a", "doc/x.c": "a", "README.md": "a",
		"configure.ac": "AC_INIT([x], [3.0.17])\n", "run": "#!/bin/sh\n", "INSTALL.1": "x 3.0.17\n",
	})
	newer := tree(t, map[string]string{
		"debian/changelog": "x (3.0.20-1) a\n", "debian/patches/series": "b\n", ".pc/applied-patches": "b\n", ".git/config": "b",
		"VERSION.dat": "MAJOR=3\nPATCH=20\nRELEASE_DATE=\"7 Apr 2026\"\n", "src/a.c": "/* Copyright 2021-2026 X */\nint v = 20;\nint x;\nint y;\n",
		"src/same.c": "int same;\n", "src/new.c": "int new;\n", "test/t.c": "int u;\n", "po/de.po": "b", "doc/x.c": "b", "README.md": "b",
		"configure.ac": "AC_INIT([x], [3.0.20])\n", "run": "#!/bin/sh\n", "INSTALL.1": "x 3.0.20\n",
	})
	then := time.Date(2026, 4, 7, 0, 0, 0, 0, time.UTC)
	for _, name := range []string{"src/a.c", "VERSION.dat"} {
		if err := os.Chtimes(filepath.Join(newer, name), then, then); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(newer, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(newer, "src/same.c"), 0o664); err != nil {
		t.Fatal(err)
	}
	got, err := Settle(older, newer, parse(t, "3.0.17-1"), parse(t, "3.0.20-1"))
	if err != nil {
		t.Fatal(err)
	}
	want := &Difference{
		Taken: []string{"run", "src/a.c", "src/gone.c", "src/new.c"},
		LeftOut: []LeftOut{
			{"INSTALL.1", docsRule}, {"README.md", docsRule}, {"VERSION.dat", versionRule}, {"configure.ac", versionRule}, {"debian/changelog", changelogRule},
			{"debian/patches/series", packagingRule}, {"doc/x.c", docsRule}, {"po/de.po", localeRule}, {"src/a.c", yearsRule}, {"test/t.c", testsRule},
		},
		Kept: []string{"VERSION.dat", "configure.ac", "debian/changelog"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]string{
		"VERSION.dat": "MAJOR=3\nPATCH=17\nRELEASE_DATE=\"1 Jul 2025\"\n", "debian/changelog": "x (3.0.17-1) a\n",
		"src/a.c": "/* Copyright 2021 X */\nint v = 20;\nint x;\nint y;\n", "test/t.c": "int u;\n",
	} {
		path := filepath.Join(newer, name)
		text, err := os.ReadFile(path)
		if err != nil || string(text) != want {
			t.Errorf("%s is now %q, %v", name, text, err)
		}
		if st, err := os.Stat(path); name == "src/a.c" && (err != nil || !st.ModTime().Equal(then)) {
			t.Errorf("%s: its time is another one, %v", name, err)
		}
	}
	if got.Nothing() {
		t.Error("nothing differs")
	}
}

// TestSettleNothing checks that only replaced files prove that nothing differs, and files excluded by name do not.
func TestSettleNothing(t *testing.T) {
	older := map[string]string{"debian/changelog": "x (1.0-1) a\n", "a.c": "int x;\n", "debian/patches/series": ""}
	for name, want := range map[string]bool{"debian/changelog": true, "debian/patches/series": true, "doc/a.c": false, "tests/a.c": false, "a.c": false} {
		newer := map[string]string{}
		for k, v := range older {
			newer[k] = v
		}
		newer[name] += "x"
		d, err := Settle(tree(t, older), tree(t, newer), parse(t, "1.0-1"), parse(t, "1.0-2"))
		if err != nil || d.Nothing() != want {
			t.Errorf("%s differs: %v, %+v, %v", name, !want, d, err)
		}
	}
}

// TestVersionLines checks which lines only contain the version.
func TestVersionLines(t *testing.T) {
	for _, tt := range []struct{ from, to, file, old, new, want string }{
		{"3.0.17", "3.0.20", "a.c", `"x 3.0.17"`, `"x 3.0.20"`, versionRule},
		{"3.0.17", "3.0.20", "a.c", `"x 13.0.17"`, `"x 13.0.20"`, ""},
		{"3.0.17", "3.0.20", "a.c", `"x 3.0.17.1"`, `"x 3.0.20.1"`, ""},
		{"3.0.17", "3.0.20", "a.c", "#define MAX 17", "#define MAX 20", ""},
		{"3.0.17", "3.0.20", "a.h", "#define X_VERSION_MICRO 17", "#define X_VERSION_MICRO 20", versionRule},
		{"3.0.17", "3.0.20", "a.h", "#define X_VERSION_MICRO 18", "#define X_VERSION_MICRO 20", ""},
		{"3.0.17", "3.0.20", "a.h", "#define X_VERSION_MICRO 17 + a", "#define X_VERSION_MICRO 20 + b", ""},
		{"3.0.17", "3.0.20", "a.h", "#define PROTOCOL_VERSION 17", "#define PROTOCOL_VERSION 20", ""},
		{"1.0-1", "1.0-2", "a.c", "if (copyright && year < 1999)", "if (copyright && year < 2000)", ""},
		{"8.2.32", "8.2.36", "a.h", "#define PHP_VERSION_ID 80232", "#define PHP_VERSION_ID 80236", versionRule},
		{"15.18-0", "15.20-0", "a.c", "f(15.18)", "f(15.20)", ""},
		{"15.18-0", "15.20-0", "configure", "PACKAGE_VERSION='15.18'", "PACKAGE_VERSION='15.20'", versionRule},
		{"1.0-1", "1.0-2", "a.c", `"1.0-1"`, `"1.0-2"`, ""},
		{"7.0.15-1~deb12u7", "7.0.15-1~deb12u10", "a.c", `"7.0.15-1~deb12u7"`, `"7.0.15-1~deb12u10"`, versionRule},
		{"1.0-1", "1.0-2", "a.c", "if (f(c) > 1999)", "if (f(c) > 2000)", ""},
		{"1.0-1", "1.0-2", "a.c", "(c) 1999, 2001 A", "(c) 1999-2026 A", yearsRule},
		{"1.0-1", "1.0-2", "a.c", "/* Copyright 1999 A */ int x = 1;", "/* Copyright 1999 A */ int x = 2;", ""},
		{"3.0.17", "3.0.20", "VERSION.dat", "RELEASE_DATE=1 Jul 2025", "RELEASE_DATE=7 April 2026", versionRule},
		{"3.0.17", "3.0.20", "a.c", "date = 1 Jul 2025", "date = 7 Apr 2026", ""},
		{"1.0", "1.0.1", "version.h", "#define MICRO 0", "#define MICRO 1", ""},
	} {
		v := versionsOf(parse(t, tt.from), parse(t, tt.to))
		if got := v.rule(tt.old, tt.new, versionFile().MatchString(tt.file)); got != tt.want {
			t.Errorf("%s → %s, %s: %q and %q: rule %q, not %q", tt.from, tt.to, tt.file, tt.old, tt.new, got, tt.want)
		}
	}
}

// TestKeepVersions checks lines next to added and removed ones.
func TestKeepVersions(t *testing.T) {
	v := versionsOf(parse(t, "3.0.17"), parse(t, "3.0.20"))
	old := "a\nversion 3.0.17\nb\nc\nversion 3.0.17\n"
	new := "a\nversion 3.0.20\nmore\nb\nc2\nversion 3.0.20\n"
	text, rules := v.keep("x.c", []byte(old), []byte(new))
	// the first one is kept, because one line was replaced by two, which may be unrelated
	if want := "a\nversion 3.0.20\nmore\nb\nc2\nversion 3.0.17\n"; string(text) != want || len(rules) != 1 {
		t.Errorf("got %q, %q", text, rules)
	}
}
