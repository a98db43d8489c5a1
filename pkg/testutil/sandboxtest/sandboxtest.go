// SPDX-License-Identifier: GPL-2.0

// Package sandboxtest creates sandboxes for tests.
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

// programs lists the programs in every sandbox.
const programs = "sh bash cat chmod chown chroot cp dd find grep head id ln ls mkdir mkfifo mknod mount mv nsenter patch readlink rm seq setpriv setsid sleep sort stat tar touch tr true umount unshare wc"

// libraries is the directory of shared libraries on this machine.
const libraries = "/lib/x86_64-linux-gnu"

// New returns a sandbox whose root directory contains some programs of this machine and a directory /build that belongs to
// the builder. It skips the test if sandboxes are not available.
func New(t testing.TB) *sandbox.Sandbox {
	t.Helper()
	Needed(t)
	ctx := context.Background()
	s, err := sandbox.Make(ctx, filepath.Join(t.TempDir(), "box"))
	if err != nil {
		t.Fatal(err)
	}
	s.Limits.Time = time.Minute // a hanging job ends before the test does
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

// copyLibraries copies the shared libraries that a program needs.
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

// Needed skips the test if sandboxes are not available on this machine.
func Needed(t testing.TB) {
	t.Helper()
	if missing := sandbox.Missing(os.Geteuid(), exec.LookPath); len(missing) > 0 {
		t.Skipf("note: sandboxes are not tried: %s (make deps installs it)", strings.Join(missing, ", "))
	}
}
