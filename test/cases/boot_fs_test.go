// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lpatch/pkg/testutil/filetest"
)

// onDisk are the files of each file system that test/fixtures makes an image of.
var onDisk = []string{"start", "start-static", "start-shared", "libstart.so"}

// fileSystems are those that a program is started from, each with what has it there: that returns the directory.
var fileSystems = map[string]func(t *testing.T) string{
	"ext4": func(t *testing.T) string {
		return mountImage(t, "ext4", "crc32c_generic", "crc16", "mbcache", "jbd2", "ext4")
	},
	"squashfs": func(t *testing.T) string { return mountImage(t, "squashfs", "squashfs") },
	"erofs":    func(t *testing.T) string { return mountImage(t, "erofs", "crc32c_generic", "libcrc32c", "erofs") },
	"tmpfs": func(t *testing.T) string {
		dir := t.TempDir()
		mount(t, "tmpfs", dir, "tmpfs", 0)
		for _, name := range onDisk {
			filetest.Copy(t, fixtures+name, filepath.Join(dir, name))
		}
		return dir
	},
	"bind mount": func(t *testing.T) string {
		dir := t.TempDir()
		mount(t, fixtures, dir, "", unix.MS_BIND)
		return dir
	},
	"overlayfs": func(t *testing.T) string {
		_, merged := mountOverlay(t, onDisk...)
		return merged
	},
}

// mountImage mounts the image of a file system, for which it loads those of these modules that the kernel has as such.
func mountImage(t *testing.T, kind string, modules ...string) string {
	t.Helper()
	for _, m := range append(modules, "loop") {
		loadKernels(t, m, "")
	}
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(known), "\t"+kind+"\n") {
		t.Skipf("this kernel has no %s", kind)
	}
	dir := t.TempDir()
	// Read-only: mount keeps the device open, and some kernels do not mount what is open for writing (BLK_DEV_WRITE_MOUNTED).
	if status, stdout, stderr := run(t, exec.Command("mount", "-t", kind, "-o", "loop,ro", fixtures+"image."+kind, dir)); status != 0 {
		t.Fatalf("mounting the image of %s: exit status %d\n%s%s", kind, status, stdout, stderr)
	}
	unmount(t, dir)
	return dir
}

// TestBootFileSystems has a program and a library on each kind of file system, and starts them there, in a chroot too.
func TestBootFileSystems(t *testing.T) {
	for kind, place := range fileSystems {
		t.Run(kind, func(t *testing.T) {
			dir := place(t)
			in := func(name string) string { return filepath.Join(dir, name) }
			chroot := exec.Command("/start-static")
			chroot.SysProcAttr = &syscall.SysProcAttr{Chroot: dir}
			for _, s := range []struct {
				image   string
				cmd     *exec.Cmd
				want    int
				applied uint64
			}{
				{"start-static", exec.Command(in("start-static")), 2, 1},
				{"start-static", chroot, 2, 1},
				{"start", exec.Command(in("start")), 2, 1},
				{"libstart.so", exec.Command(in("start-shared")), 2, 1},
				{"libstart.so", exec.Command(in("start"), in("libstart.so"), "3"), 6, 3},
			} {
				c := dial(t)
				p := rawPatch(t, in(s.image), "value")
				transfer(t, c, p)
				if err := c.BootAdd(p.Hash, 0); err != nil {
					t.Fatal(err)
				}
				if got := exitOfCommand(t, s.cmd); got != s.want {
					t.Errorf("%v exits with %d, want %d (%s)", s.cmd, got, s.want, onlyBoot(t, c).Message)
				}
				wantBoot(t, c, s.applied, 0)
				if err := c.BootRemove(p.Hash); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
