// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pault.ag/go/debian/version"

	"lpatch/pkg/testutil/filetest"
	"lpatch/pkg/testutil/sandboxtest"
)

// tree writes files (path to content) into a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	filetest.Tree(t, dir, files)
	return dir
}

const fixA = "Description: a\n\n--- a/f.c\n+++ b/f.c\n@@ -1,2 +1,2 @@\n-int a;\n+int b;\n int x;\n"

func namesOf(fixes []Fix) string {
	var out []string
	for _, f := range fixes {
		out = append(out, f.Name)
	}
	return strings.Join(out, " ")
}

func TestNewFixes(t *testing.T) {
	older := map[string]string{"debian/patches/series": "# those of old\na.patch\n", "debian/patches/a.patch": fixA}
	tests := []struct {
		name          string
		newer         map[string]string
		want, changed string
	}{
		{"new ones", map[string]string{
			"debian/patches/series": "b/b.patch -p1 # urgent\na.patch\n\nCVE-1.patch\n",
			// refreshed: other line numbers, another header, and additional tests
			"debian/patches/a.patch": hunkTest + strings.Replace(fixA, "a\n\n--- a/f.c\n+++ b/f.c\n@@ -1,2 +1,2 @@", "b\n\n--- x/f.c\t2026\n+++ b/f.c\t2026\n@@ -7,2 +7,2 @@", 1),
		}, "b/b.patch CVE-1.patch", ""},
		{"changed", map[string]string{
			"debian/patches/series": "a.patch\n", "debian/patches/a.patch": strings.Replace(fixA, "+int b", "+int c", 1),
		}, "", "a.patch"},
		{"gone", map[string]string{"debian/patches/series": "b.patch\n"}, "b.patch", "a.patch"},
		{"none", nil, "", "a.patch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			was, is := tree(t, older), tree(t, tt.newer)
			got, err := NewFixes(was, is)
			if err != nil || namesOf(got) != tt.want {
				t.Errorf("got %q, %v, want %q", namesOf(got), err, tt.want)
			}
			changed, err := ChangedFixes(was, is)
			if err != nil || strings.Join(changed, " ") != tt.changed {
				t.Errorf("changed are %q, %v, not %q", changed, err, tt.changed)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	all := []Fix{{Name: "CVE-2026-1_01.patch"}, {Name: "CVE-2026-1_02.patch"}, {Name: "CVE-2026-11.patch"}, {Name: "sub/Fix-it.patch"}}
	tests := []struct {
		names []string
		want  string
	}{
		{nil, "CVE-2026-1_01.patch CVE-2026-1_02.patch CVE-2026-11.patch sub/Fix-it.patch"},
		{[]string{"cve-2026-1"}, "CVE-2026-1_01.patch CVE-2026-1_02.patch"},
		{[]string{"sub/fix-it.patch", "CVE-2026-11"}, "CVE-2026-11.patch sub/Fix-it.patch"},
	}
	for _, tt := range tests {
		if got, err := Choose(all, tt.names); err != nil || namesOf(got) != tt.want {
			t.Errorf("%v: got %q, %v, want %q", tt.names, namesOf(got), err, tt.want)
		}
	}
	if _, err := Choose(all, []string{"CVE-2026"}); err != nil {
		t.Errorf("CVE-2026: %v", err)
	}
	if _, err := Choose(all, []string{"CVE-2027"}); err == nil || !strings.Contains(err.Error(), "there are: CVE-2026-1_01.patch, ") {
		t.Errorf("a name that is none: %v", err)
	}
}

const (
	hunkTest = "--- a/tests/t.c\n+++ b/tests/t.c\n@@ -1,2 +1,2 @@\n-int t;\n+int u;\n int x;\n"
	hunkNew  = "--- /dev/null\n+++ b/tests/new.txt\n@@ -0,0 +1 @@\n+-- new\n"
)

func TestApply(t *testing.T) {
	r := &Root{sandboxtest.New(t), nil}
	tests := []struct {
		name    string
		source  map[string]string
		patch   string
		leftOut string
		want    string // of f.c
		err     string
	}{
		{"fits", map[string]string{"f.c": "int a;\nint x;\n", "tests/t.c": "int t;\nint x;\n"}, fixA + hunkTest + hunkNew, "", "int b;\nint x;\n", ""},
		{"tests do not", map[string]string{"f.c": "int a;\nint x;\n", "tests/t.c": "other\n"}, fixA + hunkTest, "tests/t.c", "int b;\nint x;\n", ""},
		{"source does not", map[string]string{"f.c": "other\n"}, fixA, "", "other\n", "f.c of the older version; if it stands upon other new patches"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := r.Put(t.Context(), tree(t, tt.source), "/build/tree"); err != nil {
				t.Fatal(err)
			}
			leftOut, err := r.Apply(t.Context(), Fix{"fix.patch", []byte(tt.patch)}, "/build/tree")
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			dir := filepath.Join(t.TempDir(), "tree")
			if err := r.TakeFiles(t.Context(), "/build/tree", []string{"f.c", "not-there.c"}, dir); err != nil {
				t.Fatal(err)
			}
			data, readErr := os.ReadFile(filepath.Join(dir, "f.c"))
			if readErr != nil || string(data) != tt.want || strings.Join(leftOut, " ") != tt.leftOut {
				t.Errorf("got %q, left out %v (%v)", data, leftOut, readErr)
			}
		})
	}
}

// TestPutFiles replaces some files of a tree in the root.
func TestPutFiles(t *testing.T) {
	r := &Root{sandboxtest.New(t), nil}
	all := map[string]string{"a.c": "old", "sub/b.c": "old", "sub/c.c": "old"}
	if err := r.Put(t.Context(), tree(t, all), "/build/tree"); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "some")
	if err := r.TakeFiles(t.Context(), "/build/tree", []string{"a.c", "sub/b.c", "none.c"}, dir); err != nil {
		t.Fatal(err)
	}
	filetest.Tree(t, filepath.Join(dir, "new"), map[string]string{"d.c": "new"})
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "sub/b.c"), []byte("new"), 0o600), r.PutFiles(t.Context(), dir, "/build/tree")); err != nil {
		t.Fatal(err)
	}
	if err := r.TakeTree(t.Context(), "/build/tree", dir); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for name := range map[string]bool{"a.c": true, "sub/b.c": true, "sub/c.c": true, "new/d.c": true} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		got[name] = string(data)
	}
	if diff := cmp.Diff(map[string]string{"a.c": "old", "sub/b.c": "new", "sub/c.c": "old", "new/d.c": "new"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestIsCompiled(t *testing.T) {
	for path, want := range map[string]bool{
		"src/a.c": true, "configure.ac": true, "lib/Makefile": true, "CMakeLists.txt": true, "src/testing.c": true,
		"tests/a.c": false, "doc/x.xml": false, "src/test/a.c": false, "NEWS": false, "man/xz.1": false, "tests/unit/a.tcl": false,
	} {
		if got := isCompiled(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestCheck(t *testing.T) {
	has := func(list string) func(string) (string, error) {
		return func(name string) (string, error) {
			if !strings.Contains(" "+list+" ", " "+name+" ") {
				return "", exec.ErrNotFound
			}
			return "/bin/" + name, nil
		}
	}
	const all = "apt-get dpkg-deb mmdebstrap bwrap unshare setpriv prlimit choom mount"
	for uid, list := range map[int]string{0: all, 1000: all + " newuidmap newgidmap"} {
		if err := check(uid, has(list)); err != nil {
			t.Error(err)
		}
	}
	err := check(1000, has("apt-get dpkg-deb unshare setpriv prlimit choom mount newgidmap"))
	const want = "building a package needs mmdebstrap (apt-get install mmdebstrap), and bwrap (apt-get install bubblewrap), and newuidmap (apt-get install uidmap)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestBuildPath(t *testing.T) {
	v, err := version.Parse("5:7.0.15-1~deb12u7")
	if err != nil {
		t.Fatal(err)
	}
	s := Source{Name: "redis", Version: v}
	got := []string{s.ID(), s.BuildPath()}
	if diff := cmp.Diff([]string{"redis_7.0.15-1~deb12u7", "/build/reproducible-path/redis-7.0.15"}, got); diff != "" {
		t.Error(diff)
	}
}
