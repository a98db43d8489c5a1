// SPDX-License-Identifier: GPL-2.0

// Package sandboxtest makes sandboxes for tests.
package sandboxtest

import (
	"context"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lpatch/pkg/sandbox"
	"lpatch/pkg/testutil/filetest"
)

// programs are what every root has.
const programs = "sh bash cat chmod chown chroot cp dd find grep head id ln ls mkdir mkfifo mknod mount mv nsenter patch readlink rm seq setpriv setsid sleep sort stat tar touch tr true umount unshare wc"

// libraries is where this machine has libraries.
const libraries = "/lib/x86_64-linux-gnu"

// New makes a sandbox whose root has some programs of this machine, and a directory /build of the builder's. Without what a sandbox
// needs the test is left out.
func New(t testing.TB) *sandbox.Sandbox {
	t.Helper()
	Needed(t)
	ctx := context.Background()
	s, err := sandbox.Make(ctx, filepath.Join(t.TempDir(), "box"))
	if err != nil {
		t.Fatal(err)
	}
	s.Limits.Time = time.Minute // a job of a test that hangs ends before the test
	t.Cleanup(func() {
		if err := sandbox.Remove(ctx, s.Dir); err != nil {
			t.Error(err)
		}
	})
	stage := t.TempDir()
	filetest.Tree(t, stage, map[string]string{"etc/passwd": "build:x:1000:1000::/:/bin/sh\n", "usr/bin/.x": "", libraries[1:] + "/.x": "", "lib64/.x": ""})
	for _, dir := range []string{"bin", "sbin"} {
		if err := os.Symlink("usr/bin", filepath.Join(stage, dir)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range strings.Fields(programs) {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		filetest.Copy(t, path, filepath.Join(stage, "usr/bin", name))
		copyLibraries(t, path, stage)
	}
	const script = "tar -xpf - -C /mnt; mkdir /mnt/build; chown 1000:1000 /mnt/build"
	fill := sandbox.Job{Name: "fill", Host: true, As: sandbox.Installer, Args: []string{"sh", "-ec", script}}
	if err := s.PutBy(ctx, fill, stage); err != nil {
		t.Fatal(err)
	}
	return s
}

// copyLibraries copies what a program needs to be executed.
func copyLibraries(t testing.TB, path, stage string) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	needed, err := f.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(needed, "ld-linux-x86-64.so.2") {
		to := filepath.Join(stage, libraries, name)
		if strings.HasPrefix(name, "ld-") {
			to = filepath.Join(stage, "lib64", name)
		}
		if _, err := os.Stat(to); err == nil {
			continue
		}
		filetest.Copy(t, filepath.Join(libraries, name), to)
		copyLibraries(t, filepath.Join(libraries, name), stage)
	}
}

// Needed leaves a test out if this machine lacks what a sandbox needs.
func Needed(t testing.TB) {
	t.Helper()
	if missing := sandbox.Missing(os.Geteuid(), exec.LookPath); len(missing) > 0 {
		t.Skipf("note: sandboxes are not tried: %s (make deps installs it)", strings.Join(missing, ", "))
	}
}
