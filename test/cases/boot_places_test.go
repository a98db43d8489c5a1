// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lpatch/pkg/proc"
)

// mount mounts something until the test ends.
func mount(t *testing.T, source, target, kind string, flags uintptr) {
	t.Helper()
	if err := unix.Mount(source, target, kind, flags, ""); err != nil {
		t.Fatalf("mount %s on %s: %v", source, target, err)
	}
	unmount(t, target)
}

// unmount does so when the test ends.
func unmount(t *testing.T, target string) {
	t.Cleanup(func() {
		// The records of processes that have ended go a moment later, and with them what they refer to.
		waitFor(t, "the end of all references to "+target, func() bool { return unix.Unmount(target, 0) == nil })
	})
}

// TestBootPlaces starts a program under other names, in other roots and namespaces: it is the same file, so it is patched.
func TestBootPlaces(t *testing.T) {
	const name = "start-static"
	dir := t.TempDir()
	bound := filepath.Join(dir, "bound")
	if err := os.WriteFile(bound, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	mount(t, fixtures+name, bound, "", unix.MS_BIND)
	linked := filepath.Join(dir, "link")
	if err := os.Symlink(fixtures+name, linked); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(fixtures + name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	with := func(cmd *exec.Cmd, attr *syscall.SysProcAttr) *exec.Cmd {
		cmd.SysProcAttr = attr
		return cmd
	}
	for _, p := range []struct {
		name string
		cmd  *exec.Cmd
	}{
		{"link", exec.Command(linked)},
		{"bind mount", exec.Command(bound)},
		{"descriptor", byDescriptor(file)},
		{"fexecve", exec.Command(fixtures+"start-nopie", "-x", fixtures+name)},
		{"chroot", with(exec.Command("/"+name), &syscall.SysProcAttr{Chroot: fixtures})},
		{"namespaces", with(exec.Command(fixtures+name), &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		})},
		{"user namespace", with(exec.Command(fixtures+name), &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER, UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65534, Size: 1}},
		})},
		{"execve of a shell", exec.Command("/bin/sh", "-c", "exec "+fixtures+name)},
		{"posix_spawn", exec.Command("/bin/sh", "-c", fmt.Sprintf(`test "$(%sstart-nopie -r 3 %s)" = "2: 3" && exit 2`, fixtures, fixtures+name))},
	} {
		t.Run(p.name, func(t *testing.T) {
			c := dial(t)
			addBoot(t, c, rawPatch(t, fixtures+name, "value"), 0)
			if got := exitOfCommand(t, p.cmd); got != 2 {
				t.Fatalf("%v exits with %d, want 2", p.cmd, got)
			}
			if b := onlyBoot(t, c); b.Applied == 0 || b.Failed != 0 {
				t.Fatalf("%d processes were patched and %d were not: %s", b.Applied, b.Failed, b.Message)
			}
		})
	}
}

// byDescriptor is fexecve(): the program is named by a descriptor.
func byDescriptor(file *os.File) *exec.Cmd {
	cmd := exec.Command("/proc/self/fd/3")
	cmd.ExtraFiles = []*os.File{file}
	return cmd
}

// TestBootMemfd executes a copy of the program that is in memory only: another file, so it is not patched.
func TestBootMemfd(t *testing.T) {
	fd, err := unix.MemfdCreate("start", 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "memfd")
	defer file.Close()
	data, err := os.ReadFile(fixtures + "start-static")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(data); err != nil {
		t.Fatal(err)
	}
	c := dial(t)
	addBoot(t, c, rawPatch(t, fixtures+"start-static", "value"), 0)
	if got := exitOfCommand(t, byDescriptor(file)); got != 1 {
		t.Fatalf("the copy exits with %d, want 1", got)
	}
	wantBoot(t, c, 0, 0)
}

// makeSetuid has a program run as root whoever starts it, until the end of the test.
func makeSetuid(t *testing.T, path string) {
	t.Helper()
	if err := os.Chmod(path, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Error(err)
		}
	})
}

// TestBootSetuid has somebody else start a program that runs as root.
func TestBootSetuid(t *testing.T) {
	path := fixtures + "life"
	makeSetuid(t, path)
	c := dial(t)
	addBoot(t, c, rawPatch(t, path, "value"), 0)
	cmd := exec.Command(path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	v := startCommand(t, cmd)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.pid))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(proc.ParseStatus(string(status))["Uid"]); len(got) < 2 || got[0] != "65534" || got[1] != "0" {
		t.Fatalf("the program runs with the user ids %v, want 65534 and then 0", got)
	}
	v.wantValue(2)
	wantBoot(t, c, 1, 0)
}

// TestBootHelper has the kernel itself start the program, as the helper for a core dump: there is no system call then.
func TestBootHelper(t *testing.T) {
	const pattern = "/proc/sys/kernel/core_pattern"
	before, err := os.ReadFile(pattern)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(pattern, before, 0); err != nil {
			t.Error(err)
		}
	})
	c := dial(t)
	addBoot(t, c, rawPatch(t, fixtures+"start-static", "value"), 0)
	if err := os.WriteFile(pattern, []byte("|"+fixtures+"start-static"), 0); err != nil {
		t.Fatal(err)
	}
	v := startVictim(t, "victim")
	if err := syscall.Kill(v.pid, syscall.SIGSEGV); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the helper to be patched", func() bool {
		list, err := c.Boots()
		return err == nil && len(list) == 1 && list[0].Applied == 1 && list[0].Failed == 0
	})
}
