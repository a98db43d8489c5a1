// SPDX-License-Identifier: GPL-2.0

package proc

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMountsChange mounts and unmounts file systems in a namespace of its own, and checks that the current mounts are read
// each time.
func TestMountsChange(t *testing.T) {
	if os.Getenv("LPATCH_TEST_MOUNTS") == "" {
		self := exec.Command("/proc/self/exe", "-test.run=^TestMountsChange$", "-test.v")
		self.Env = append(os.Environ(), "LPATCH_TEST_MOUNTS=1")
		self.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		if os.Getuid() != 0 {
			self.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			self.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		}
		out, err := self.CombinedOutput()
		if errors.Is(err, os.ErrPermission) {
			t.Skip("only root, or who may make a user namespace, can mount")
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	dir := t.TempDir()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	own, err := New("/proc").own()
	if err != nil {
		t.Fatal(err)
	}
	before := len(own.byID)
	for range 3 {
		if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		st, err := statx(unix.AT_FDCWD, dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		if own, err = New("/proc").own(); err != nil || own.byID[st.Mnt_id].kind != "tmpfs" {
			t.Errorf("a new mount is %+v, %v", own.byID[st.Mnt_id], err)
		}
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Fatal(err)
		}
		if own, err = New("/proc").own(); err != nil || own.byID[st.Mnt_id] != (mount{}) || len(own.byID) != before {
			t.Errorf("a mount that is gone is %+v, one of %d, %v", own.byID[st.Mnt_id], len(own.byID), err)
		}
	}
	if changed, err := machine.changed(); changed || err != nil {
		t.Errorf("nothing has changed, and that is a change: %t, %v", changed, err)
	}
}
