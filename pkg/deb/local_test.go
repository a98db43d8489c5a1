// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/testutil/filetest"
)

// TestOpenSource opens sources of this machine: a .dsc file, and an unpacked directory.
func TestOpenSource(t *testing.T) {
	ctx := context.Background()
	a, _, repo := openTiny(ctx, t)
	dsc := filepath.Join(repo, "tiny_1.0-1+deb12u1.dsc")
	s, err := OpenSource(dsc, "tiny")
	if err != nil || s.Version.String() != "1:1.0-1+deb12u1" || !s.Local() || strings.Join(s.Binaries, " ") != "tiny-bin" {
		t.Fatalf("%+v, %v", s, err)
	}
	dir := t.TempDir()
	if err := os.Remove(filepath.Join(repo, "tiny_1.0.orig.tar.gz.asc")); err != nil {
		t.Fatal(err)
	}
	fetched, err := a.FetchSource(ctx, s, filepath.Join(dir, "source"))
	if err != nil {
		t.Fatal(err)
	}
	tree := filepath.Join(dir, "tree")
	if out, err := exec.Command("dpkg-source", "--no-check", "-x", fetched, tree).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-source: %v\n%s", err, out)
	}
	u, err := OpenSource(tree, "tiny")
	if err != nil || u.Version.String() != "1:1.0-1+deb12u1" || u.Tree != tree || strings.Join(u.Binaries, " ") != "tiny-bin" {
		t.Fatalf("%+v, %v", u, err)
	}
	// their packages may be in the same directory
	if err := a.FetchStock(ctx, s, filepath.Join(dir, "stock")); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "stock/tiny-bin/usr/bin/tiny")); err != nil || string(data) != "1.0-1+deb12u1\n" {
		t.Errorf("the package has %q, %v", data, err)
	}
	if got, err := a.DebianOf(ctx, u, dir); err != nil || got != tree {
		t.Errorf("debian of %s is in %s, %v", tree, got, err)
	}

	if err := os.Remove(filepath.Join(repo, "tiny_1.0.orig.tar.gz")); err != nil {
		t.Fatal(err)
	}
	_, err = a.FetchSource(ctx, s, filepath.Join(dir, "again"))
	says(t, err, dsc+" names tiny_1.0.orig.tar.gz, which is not beside it")
	_, err = OpenSource(dsc, "other")
	says(t, err, dsc+" is of the source package tiny, not of other, which was asked for")
	_, err = OpenSource(dir, "tiny")
	says(t, err, dir+" has no debian/changelog; name the top directory of an unpacked source package, or its .dsc file")
	_, err = OpenSource(filepath.Join(repo, "Packages"), "tiny-bin")
	if err == nil {
		t.Error("a list of packages was taken for a description")
	}
}

// TestHostileSource checks malicious names of files, packages and versions, which are used in paths and commands.
func TestHostileSource(t *testing.T) {
	const good = "Format: 3.0 (quilt)\nSource: tiny\nVersion: 1.0-1\nBinary: tiny-bin, -oDir::Bin::dpkg=/x, ../../y, *\nFiles:\n d41d8cd98f00b204e9800998ecf8427e 0 tiny.tar\n"
	outside := t.TempDir()
	filetest.Tree(t, outside, map[string]string{"secret": "of this machine"})
	for name, c := range map[string]struct{ from, to, opens, copies string }{
		"good":           {"", "", "", ""},
		"version":        {"Version: 1.0-1", "Version: 1.0/../../x-1", `DSC: "1.0/../../x-1" is not a version of a Debian package: invalid character in version number`, ""},
		"file above":     {"tiny.tar", "../secret", "", "DSC names ../secret, which is not the name of a file beside it"},
		"directory":      {"tiny.tar", "..", "", "DSC names .., which is not the name of a file beside it"},
		"link to a file": {"tiny.tar", "link", "", "DIR/link is a symbolic link, which is not followed: have the file itself there"},
		"fifo":           {"tiny.tar", "fifo", "", "DIR/fifo is not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			filetest.Tree(t, dir, map[string]string{"tiny.dsc": strings.Replace(good, c.from, c.to, 1), "tiny.tar": ""})
			if err := errors.Join(os.Symlink(outside+"/secret", dir+"/link"), syscall.Mkfifo(dir+"/fifo", 0o600)); err != nil {
				t.Fatal(err)
			}
			at := strings.NewReplacer("DSC", dir+"/tiny.dsc", "DIR", dir)
			s, err := OpenSource(dir+"/tiny.dsc", "tiny")
			if c.opens != "" {
				says(t, err, at.Replace(c.opens))
				return
			}
			if err != nil || strings.Join(s.Binaries, " ") != "tiny-bin" {
				t.Fatalf("packages %q, %v", s.Binaries, err)
			}
			_, err = s.copySource(filepath.Join(dir, "to"))
			if c.copies == "" && err != nil {
				t.Error(err)
			} else if c.copies != "" {
				says(t, err, at.Replace(c.copies))
			}
		})
	}
}

// TestHostileTree checks a source with links in place of its description, and with files of excessive size.
func TestHostileTree(t *testing.T) {
	filetest.Slow(t)
	const huge = 512 << 20
	outside := t.TempDir()
	filetest.Tree(t, outside, map[string]string{"control": "Package: x\n", "changelog": "x (1) y; z\n"})
	log := map[string]string{"debian/changelog": "tiny (1.0-1) unstable; urgency=low\n"}
	for name, to := range map[string]string{"debian/changelog": outside + "/changelog", "debian/control": outside + "/control"} {
		dir := tree(t, log)
		if err := errors.Join(os.RemoveAll(filepath.Join(dir, name)), os.Symlink(to, filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenSource(dir, "tiny"); err == nil || !strings.Contains(err.Error(), "path escapes from parent") {
			t.Errorf("%s: %v", name, err)
		}
	}
	older, newer := tree(t, log), tree(t, log)
	series := strings.Repeat("a.patch\n", 64)
	for _, dir := range []string{older, newer} {
		filetest.Tree(t, dir, map[string]string{"debian/patches/series": series, "debian/patches/a.patch": "", "same.c": "", "other.c": filepath.Base(dir)})
		for name, size := range map[string]int64{"debian/patches/a.patch": 8 << 20, "same.c": huge, "other.c": huge} {
			if err := os.Truncate(filepath.Join(dir, name), size); err != nil {
				t.Fatal(err)
			}
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	d, err := Settle(older, newer, parse(t, "1.0-1"), parse(t, "1.0-2"))
	if err != nil || strings.Join(d.Taken, " ") != "other.c" {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := (&Source{Tree: newer}).Sum(); err != nil {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 64<<20 {
		t.Errorf("%d MiB were allocated", got>>20)
	}
	_, err = NewFixes(older, newer)
	says(t, err, fmt.Sprintf("%s/debian/patches has more than %d bytes of patches", older, maxText))
}

// TestHostileSeries checks that patches outside of the source are not read.
func TestHostileSeries(t *testing.T) {
	outside := t.TempDir()
	filetest.Tree(t, outside, map[string]string{"secret": fixA, "series": "a.patch\n"})
	for name, c := range map[string]struct {
		series, link, to string
	}{
		"by its name":   {"../../../secret", "", ""},
		"by a link":     {"link", "debian/patches/link", "OUTSIDE/secret"},
		"by many ..":    {"link", "debian/patches/link", "../../../../../../../../../../../../OUTSIDE/secret"},
		"the directory": {"sub/secret", "debian/patches/sub", "OUTSIDE"},
		"all":           {"", "debian/patches/series", "OUTSIDE/series"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, map[string]string{"debian/patches/x": ""})
			if c.link != "" {
				if err := os.Symlink(strings.Replace(c.to, "OUTSIDE", outside, 1), filepath.Join(dir, c.link)); err != nil {
					t.Fatal(err)
				}
			}
			if c.series != "" {
				filetest.Tree(t, dir, map[string]string{"debian/patches/series": c.series + "\n"})
			}
			got, err := NewFixes(t.TempDir(), dir)
			if err == nil || !strings.Contains(err.Error(), "path escapes from parent") {
				t.Errorf("got %q, error %v", namesOf(got), err)
			}
		})
	}
	dir := tree(t, map[string]string{"debian/patches/series": "gone\n"})
	got, err := NewFixes(t.TempDir(), dir)
	if err != nil || len(got) != 1 {
		t.Fatalf("got %q, %v", namesOf(got), err)
	}
	_, err = got[0].Files()
	says(t, err, "debian/patches/gone is named in its series and is not there")
}

func says(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("it says\n%v\nand not\n%s", err, want)
	}
}

// TestSum distinguishes sources of the same version.
func TestSum(t *testing.T) {
	sums := map[string]bool{}
	for _, files := range []map[string]string{{"a": "x"}, {"a": "y"}, {"b": "x"}} {
		dir := tree(t, files)
		s := &Source{Tree: dir}
		sum, err := s.Sum()
		if again, _ := (&Source{Tree: dir}).Sum(); err != nil || again != sum || sums[sum] {
			t.Errorf("%v: %s, %v", files, sum, err)
		}
		sums[sum] = true
	}
	if sum, err := (&Source{}).Sum(); sum != "" || err != nil {
		t.Errorf("of the archive's: %q, %v", sum, err)
	}
}

func TestReadBuildInfo(t *testing.T) {
	s := &Source{Name: "hello", Version: parse(t, "1:2.10-3")}
	const good = `Format: 1.0
Source: hello
Binary: hello hello-dbgsym
Architecture: amd64
Version: 1:2.10-3
Checksums-Sha256:
 0 1 hello_2.10-3_amd64.deb
Build-Origin: Debian
Build-Architecture: amd64
Build-Path: /build/hello-abc/hello-2.10
Installed-Build-Depends:
 autoconf (= 2.71-3),
 gcc-12:amd64 (= 12.2.0-14),
 libc6 (= 2.36-9+deb12u7)
Environment:
 DEB_BUILD_OPTIONS="parallel=4"
`
	file := func(text string) string {
		return filepath.Join(tree(t, map[string]string{"x.buildinfo": text}), "x.buildinfo")
	}
	path := file(good)
	got, err := ReadBuildInfo(path, s)
	want := &BuildInfo{path, "/build/hello-abc/hello-2.10", []Binary{{"autoconf", "2.71-3"}, {"gcc-12", "12.2.0-14"}, {"libc6", "2.36-9+deb12u7"}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, err := ReadBuildInfo(file(strings.ReplaceAll(strings.Replace(good, "Source: hello", "Source: hello (1:2.10-3)", 1), "Version: 1:2.10-3", "Version: 1:2.10-3+b1")), s); err != nil {
		t.Errorf("of a build that was repeated: %v", err)
	}
	for _, c := range [][3]string{
		{"Source: hello", "Source: bye", "FILE is about a build of bye 1:2.10-3, not of hello 1:2.10-3"},
		{"Version: 1:2.10-3", "Version: 1:2.10-33", "FILE is about a build of hello 1:2.10-33, not of hello 1:2.10-3"},
		{"Build-Architecture: amd64", "Build-Architecture: arm64", "FILE is about a build on arm64, and lpctl builds for amd64; name the one of the build machine for amd64"},
		{"autoconf (= 2.71-3)", "autoconf", `FILE: "autoconf" in Installed-Build-Depends is not PACKAGE (= VERSION)`},
		{"Installed-Build-Depends", "Build-Depends", "FILE is not a .buildinfo file: it has no field Installed-Build-Depends"},
		{"/build/hello-abc/hello-2.10", "/usr", "FILE: Build-Path /usr is not where a package can be built"},
		{"/build/hello-abc/hello-2.10", "/build/../usr/lib", "FILE: Build-Path /build/../usr/lib is not where a package can be built"},
	} {
		path := file(strings.Replace(good, c[0], c[1], 1))
		_, err := ReadBuildInfo(path, s)
		says(t, err, strings.Replace(c[2], "FILE", path, 1))
	}
}

// TestSnapshot opens a version that only exists in a snapshot of the archive.
func TestSnapshot(t *testing.T) {
	filetest.Slow(t)
	const url = "https://snapshot.debian.org/archive/debian/20260131T000000Z"
	m, err := snapshotMirrors(url + "/")
	if err != nil || m.Main.URI != url || m.Security.URI != strings.Replace(url, "/debian/", "/debian-security/", 1) {
		t.Errorf("%+v, %v", m, err)
	}
	_, err = snapshotMirrors("https://deb.debian.org/debian")
	says(t, err, "--snapshot https://deb.debian.org/debian: its end is not a time; name an archive as it was then, like https://snapshot.debian.org/archive/debian/20260131T000000Z")

	ctx := context.Background()
	now, repo := repository(t)
	then, _ := repository(t)
	for _, pattern := range []string{"tiny_1.0-1.*", "tiny-bin_1.0-1+b1*"} {
		files, _ := filepath.Glob(filepath.Join(repo, pattern))
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd := exec.Command("sh", "-ec", "dpkg-scanpackages -m . >Packages 2>/dev/null; dpkg-scansources . >Sources 2>/dev/null")
	cmd.Dir = repo
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a, err := openArchive(ctx, filepath.Join(t.TempDir(), "now"), "bookworm", now, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.FindSource(ctx, "tiny", "1:1.0-1")
	says(t, err, "bookworm has no version 1:1.0-1 of the source package tiny; it has 1:1.0-1+deb12u1; name a .dsc file or an unpacked directory of it, or an archive of its time with --snapshot")
	if a, err = openArchive(ctx, filepath.Join(t.TempDir(), "both"), "bookworm", now+then, nil); err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"1:1.0-1", "1:1.0-1+deb12u1"} {
		s, err := a.FindSource(ctx, "tiny", v)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if _, err := a.FetchSource(ctx, s, filepath.Join(dir, "source")); err != nil {
			t.Error(err)
		}
		// both archives contain one of them, which must be listed once
		if list, err := a.FindBinaries(ctx, s); err != nil || len(list) != 1 {
			t.Errorf("%v, %v", list, err)
		}
		if err := a.FetchStock(ctx, s, dir+"/stock"); err != nil {
			t.Error(err)
		}
	}
}
