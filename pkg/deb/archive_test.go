// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
	"lpatch/pkg/testutil/sandboxtest"
)

// repository creates an archive with two versions of source package tiny and its binary packages.
func repository(t *testing.T) (list, dir string) {
	t.Helper()
	for _, tool := range []string{"apt-get", "dpkg-source", "dpkg-deb", "dpkg-scanpackages"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("note: the archive is not tried: %v (make deps installs it)", err)
		}
	}
	sandboxtest.Needed(t)
	dir = t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // it is read by other users
		t.Fatal(err)
	}
	script := `
for v in 1.0-1 1.0-1+deb12u1; do
	mkdir -p "tiny-$v/debian/source" "tiny-$v/debian/patches"
	cd "tiny-$v"
	echo '3.0 (quilt)' >debian/source/format
	echo 'int x;' >x.c
	printf 'tiny (%s) unstable; urgency=low\n\n  * X.\n\n -- A <a@example.org>  Wed, 25 Nov 2026 12:00:00 +0000\n' "1:$v" >debian/changelog
	printf 'Source: tiny\nMaintainer: A <a@example.org>\nStandards-Version: 4.6.2\n\nPackage: tiny-bin\nArchitecture: any\nDescription: x\n' >debian/control
	printf '#!/bin/sh\n' >debian/rules
	: >debian/patches/series
	cd ..
	[ -f tiny_1.0.orig.tar.gz ] || tar -czf tiny_1.0.orig.tar.gz --exclude=debian "tiny-$v"
	echo signature >tiny_1.0.orig.tar.gz.asc
	dpkg-source -q -b "tiny-$v"
	mkdir -p "bin-$v/DEBIAN" "bin-$v/usr/bin"
	echo "$v" >"bin-$v/usr/bin/tiny"
	printf 'Package: tiny-bin\nSource: tiny (1:%s)\nVersion: 1:%s+b1\nArchitecture: amd64\nMaintainer: A <a@example.org>\nDescription: x\n' "$v" "$v" >"bin-$v/DEBIAN/control"
	dpkg-deb -b "bin-$v" . >/dev/null
	rm -r "tiny-$v" "bin-$v"
done
dpkg-scanpackages -m . >Packages 2>/dev/null
dpkg-scansources . >Sources 2>/dev/null
`
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return fmt.Sprintf("deb [trusted=yes] copy:%[1]s ./\ndeb-src [trusted=yes] copy:%[1]s ./\n", dir), dir
}

// openTiny opens this archive in directory repo, and finds the first version of its source package.
func openTiny(ctx context.Context, t *testing.T) (a *Archive, s *Source, repo string) {
	t.Helper()
	list, repo := repository(t)
	a, err := openArchive(ctx, filepath.Join(t.TempDir(), "apt"), "bookworm", list, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err = a.FindSource(ctx, "tiny", "1:1.0-1")
	if err != nil {
		t.Fatal(err)
	}
	return a, s, repo
}

func TestArchive(t *testing.T) {
	ctx := context.Background()
	a, s, _ := openTiny(ctx, t)
	dir := t.TempDir()
	dsc, err := a.FetchSource(ctx, s, filepath.Join(dir, "source"))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.UnpackDebian(ctx, dsc, filepath.Join(dir, "tree")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "tree/debian/changelog")); err != nil {
		t.Error(err)
	}
	binaries, err := a.FindBinaries(ctx, s)
	if err != nil || len(binaries) != 1 || binaries[0] != (Binary{"tiny-bin", "1:1.0-1+b1"}) {
		t.Fatalf("binaries %v, %v", binaries, err)
	}
	if err := a.FetchBinaries(ctx, binaries, filepath.Join(dir, "new/stock")); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "new/stock/tiny-bin/usr/bin/tiny")); err != nil || string(data) != "1.0-1\n" {
		t.Errorf("the package has %q, %v", data, err)
	}
	gone := []Binary{{"tiny-bin", "1:1.0-9"}}
	if err := a.FetchBinaries(ctx, gone, filepath.Join(dir, "gone")); err == nil || !strings.Contains(err.Error(), "does not serve it (any more); name an archive of its time with --snapshot, or have it beside") {
		t.Errorf("a package that is not there: %v", err)
	}
	for _, tt := range []struct{ name, version, want string }{
		{"tiny", "1:1.0-2", "bookworm has no version 1:1.0-2 of the source package tiny; it has 1:1.0-1"},
		{"nothere", "1", "bookworm has no source package nothere"},
		{"tiny", "a b", "not a version"},
	} {
		if _, err := a.FindSource(ctx, tt.name, tt.version); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: error %v, want %q", tt.name, tt.version, err, tt.want)
		}
	}
}

// TestArchiveIncomplete removes files that the archive lists: the signature and the .dsc file are not needed, and of a
// version that is not built only Debian's part is.
func TestArchiveIncomplete(t *testing.T) {
	filetest.Slow(t)
	ctx := context.Background()
	a, s, repo := openTiny(ctx, t)
	dir := t.TempDir()
	remove := func(name string) {
		t.Helper()
		if err := os.Remove(filepath.Join(repo, name)); err != nil {
			t.Fatal(err)
		}
	}
	remove("tiny_1.0.orig.tar.gz.asc")
	dsc, err := a.FetchSource(ctx, s, filepath.Join(dir, "no-signature"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("dpkg-source", "--no-check", "-x", dsc, filepath.Join(dir, "tree")).CombinedOutput(); err != nil {
		t.Errorf("dpkg-source: %v\n%s", err, out)
	}
	remove("tiny_1.0-1.dsc")
	if dsc, err = a.FetchSource(ctx, s, filepath.Join(dir, "no-description")); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("dpkg-source", "--no-check", "-x", dsc, filepath.Join(dir, "tree-without-description")).CombinedOutput(); err != nil {
		t.Errorf("dpkg-source: %v\n%s", err, out)
	}
	remove("tiny_1.0.orig.tar.gz")
	if err := CopyUpstream(filepath.Join(dir, "no-description"), filepath.Join(dir, "with-upstream")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.FetchSource(ctx, s, filepath.Join(dir, "with-upstream")); err != nil {
		t.Errorf("with a copy of upstream's tar: %v", err)
	}
	if _, err := a.FetchSource(ctx, s, filepath.Join(dir, "no-dsc")); err == nil || !strings.Contains(err.Error(), "does not serve it (any more); name a .dsc file or an unpacked directory of it, or an archive of its time with --snapshot: ") {
		t.Errorf("a source without upstream's tar: error %v", err)
	}
	if dsc, err = a.FetchDebian(ctx, s, filepath.Join(dir, "only-debian")); err != nil {
		t.Fatal(err)
	}
	if err := a.UnpackDebian(ctx, dsc, filepath.Join(dir, "debian-tree")); err != nil {
		t.Error(err)
	}
	remove("tiny_1.0-1.debian.tar.xz")
	if _, err := a.FetchDebian(ctx, s, filepath.Join(dir, "nothing")); err == nil || !strings.Contains(err.Error(), "does not serve it (any more)") {
		t.Errorf("Debian's part is gone: error %v", err)
	}
}
