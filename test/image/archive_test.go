// SPDX-License-Identifier: GPL-2.0

package image

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// addArchive leaves in the root what apt is to find, in the order in which it is published: in /archive/1 the program of the
// quick start with its mistake, a package with a patch for it, as the guide for distributions says, and one as it must not be;
// in /archive/2 the program without the mistake. /archive/next is another patch in a package of the same name.
func addArchive(t *testing.T, top, root string) {
	t.Helper()
	dir := t.TempDir()
	source, fixed := filepath.Join(dir, "source"), filepath.Join(dir, "fixed")
	example := filepath.Join(top, "Documentation/example")
	for _, tree := range []string{source, fixed} {
		run(t, "cp", "-r", example, tree)
	}
	run(t, "patch", "--quiet", "-d", fixed, "-p1", "-i", filepath.Join(example, "fix.patch"))
	for i, tree := range []string{source, fixed} {
		run(t, "make", "-C", tree)
		addProgram(t, filepath.Join(tree, "greet"), filepath.Join(root, "archive"), fmt.Sprint(i+1))
	}

	addPatches(t, example, source, filepath.Join(root, "archive"))
	for _, part := range []string{"1", "2"} {
		path := filepath.Join(root, "archive", part)
		cmd := exec.Command("dpkg-scanpackages", ".")
		cmd.Dir = path
		list, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(path, "Packages"), string(list), 0o644)
	}
}

// addPatches puts packages of patches into the archive, for the program that is built in source.
func addPatches(t *testing.T, example, source, archive string) {
	t.Helper()
	dir := t.TempDir()
	fix, other := filepath.Join(example, "fix.patch"), filepath.Join(dir, "other.patch")
	writeFile(t, other, strings.ReplaceAll(readFile(t, fix), "Hello,", "Good day,"), 0o644)
	lpctl := filepath.Join(dir, "lpctl")
	run(t, "go", "build", "-o", lpctl, "lpatch/ctl/lpctl")
	for i, change := range []string{fix, other} {
		version, part := fmt.Sprint(i+1), filepath.Join(archive, []string{"1", "next"}[i])
		lp := filepath.Join(dir, version, "greet-fix.lp")
		run(t, "mkdir", "-p", filepath.Dir(lp), part)
		run(t, lpctl, "build", "source", source, "--target", filepath.Join(source, "greet"), "--patch", change,
			"-o", lp, "--package", "greet", "--package-version", "1", "--", "make")
		run(t, lpctl, "package", lp, "--deb", "--version", version, "--maintainer", "Nobody <nobody@example.org>", "--out", part)
	}
	writeFile(t, filepath.Join(dir, "exact/DEBIAN/control"),
		"Package: greet-exact\nVersion: 1\nArchitecture: amd64\nMaintainer: test\nDepends: lpatch, greet (= 1)\nDescription: test\n", 0o644)
	makeDeb(t, filepath.Join(dir, "exact"), filepath.Join(archive, "1"))
}

// addProgram puts a package of this version of the program into its part of the archive: a service that is not restarted in an upgrade.
func addProgram(t *testing.T, program, archive, version string) {
	t.Helper()
	tree := t.TempDir()
	writeFile(t, filepath.Join(tree, "DEBIAN/control"),
		"Package: greet\nVersion: "+version+"\nArchitecture: amd64\nMaintainer: test\nDescription: test\n", 0o644)
	writeFile(t, filepath.Join(tree, "usr/lib/systemd/system/greet.service"),
		"[Service]\nExecStart=/usr/bin/greet\nStandardOutput=truncate:/run/greet.log\n", 0o644)
	run(t, "install", "-D", program, filepath.Join(tree, "usr/bin/greet"))
	makeDeb(t, tree, filepath.Join(archive, version))
}

func makeDeb(t *testing.T, tree, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "dpkg-deb", "--root-owner-group", "--build", tree, dir)
}
