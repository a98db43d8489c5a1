// SPDX-License-Identifier: GPL-2.0

package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lpatch/pkg/testutil/filetest"
)

// mountinfo returns lines for mounts of the given types, with IDs from 1 on.
func mountinfo(types ...string) string {
	var text strings.Builder
	for i, kind := range types {
		fmt.Fprintf(&text, "%d 1 0:%d / /mnt/a\\040-\\040fuse%d rw,relatime shared:1 - %s none rw,lowerdir=/x\n", i+1, i+900, i, kind)
	}
	return text.String()
}

// TestHostileServed checks which files are not opened, because a process may handle the request.
func TestHostileServed(t *testing.T) {
	dir := t.TempDir()
	filetest.Tree(t, dir, map[string]string{
		"own":         mountinfo("ext4", "fuse.sshfs", "overlay") + strings.Repeat("x", 3*maxMountLine) + "\n4 1 0:903 / / rw - fuseblk /dev/x rw\n",
		"7/mountinfo": strings.ReplaceAll(mountinfo("xfs", "fuse", "overlay", "tmpfs"), "/ /mnt", "/"+strings.Repeat("y", 5000)+" /mnt"),
		"8/mountinfo": "",
	})
	// process 7 has mounts 11 to 14 on the devices of the others, except for the second overlay
	text, err := os.ReadFile(filepath.Join(dir, "7/mountinfo"))
	if err != nil {
		t.Fatal(err)
	}
	theirs := "1" + strings.ReplaceAll(strings.TrimSuffix(string(text), "\n"), "\n", "\n1") + "\n15 1 0:950 / / rw - overlay o rw\n16 1 0:951 / / rw - fuse.a b rw\n"
	if err := os.WriteFile(filepath.Join(dir, "7/mountinfo"), []byte(theirs), 0o644); err != nil {
		t.Fatal(err)
	}
	f := New(dir)
	f.own = func() (mounts, error) { return readMounts(filepath.Join(dir, "own")) }
	const (
		ok      = "<nil>"
		fuse    = "it is on a file system of type %s, which a process serves that may never answer; run it from another"
		overlay = "it is on an overlay that a user has mounted, under which there may be files that a process serves; run it from another file system"
		unknown = "its file system is none that lpctl or the process sees"
	)
	for _, c := range []struct {
		pid        int
		mount, dev uint32
		want       string
	}{
		{7, 1, 900, ok},
		{7, 2, 901, fmt.Sprintf(fuse, "fuse.sshfs")},
		{7, 3, 902, ok}, // mounted by the administrator
		{7, 4, 903, fmt.Sprintf(fuse, "fuseblk")},
		{7, 11, 900, ok},
		{7, 12, 901, fmt.Sprintf(fuse, "fuse")},
		{7, 13, 902, ok}, // of a container, on the machine's overlay
		{7, 14, 990, ok},
		{7, 15, 950, overlay},
		{7, 15, 900, overlay}, // the device of the file may be that of the layer
		{7, 16, 951, fmt.Sprintf(fuse, "fuse.a")},
		{7, 17, 900, ok}, // detached
		{8, 16, 951, unknown},
		{9, 12, 901, fmt.Sprintf(fuse, "fuse.sshfs")},
	} {
		st := unix.Statx_t{Mnt_id: uint64(c.mount), Dev_minor: c.dev}
		if got := fmt.Sprint(f.served(c.pid, &st)); got != c.want {
			t.Errorf("mount %d of process %d: %s\nwant %s", c.mount, c.pid, got, c.want)
		}
	}
}

// TestOwnServed opens mappings of the test itself: on file systems of this machine, and shared memory without one.
func TestOwnServed(t *testing.T) {
	f := New("/proc")
	fd, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	memory := os.NewFile(uintptr(fd), "x")
	defer memory.Close()
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	for _, file := range []*os.File{memory, self} {
		st, err := statx(int(file.Fd()), "", unix.AT_EMPTY_PATH)
		if err == nil {
			err = f.served(os.Getpid(), &st)
		}
		if err != nil {
			t.Errorf("%s: %v", file.Name(), err)
		}
	}
	if !f.machines(os.Getpid()) {
		t.Log("this is a user namespace")
	}
}

// TestHostileLocked has a process that blocks access to its mappings: a FIFO in place of maps represents mmap_lock.
func TestHostileLocked(t *testing.T) {
	defer func(was time.Duration) { patience = was }(patience)
	patience = 50 * time.Millisecond
	f, _ := fake(t)
	fifo := f.path(412, "maps")
	if err := errors.Join(os.Remove(fifo), syscall.Mkfifo(fifo, 0o600)); err != nil {
		t.Fatal(err)
	}
	const want = "process 412 keeps its mappings locked, they could not be looked at within 50ms"
	if _, err := f.Maps(412); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	w, err := os.OpenFile(fifo, os.O_WRONLY, 0) // unblocks the reader
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	for stuckOf("") > 0 {
		time.Sleep(time.Millisecond)
	}
}

func stuckOf(owner string) int {
	stuck.Lock()
	defer stuck.Unlock()
	return stuck.of[owner]
}

// TestHostileStuck has processes of a user block as many threads as permitted: other processes of this user are then not
// inspected, while those of other users are, until the total limit is reached.
func TestHostileStuck(t *testing.T) {
	f, _ := fake(t)
	for pid, user := range map[int]string{500: "1000", 501: "1001"} {
		filetest.Tree(t, f.root, map[string]string{
			fmt.Sprintf("%d/status", pid): fmt.Sprintf("Uid:\t%s\t0\t0\t0\nTgid:\t%d\n", user, pid), // with root privileges
			fmt.Sprintf("%d/maps", pid):   "1000-2000 r-xp 00000000 fe:01 5 /x\n",
		})
	}
	done := make(chan struct{})
	defer func() {
		close(done)
		for stuckOf("1000")+stuckOf("1002") > 0 {
			time.Sleep(time.Millisecond)
		}
	}()
	look := func(pid int, want string) {
		t.Helper()
		if _, err := f.Maps(pid); fmt.Sprint(err) != want || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("process %d: %v, want %s", pid, err, want)
		}
	}
	for range maxStuckOf - 1 {
		stuck.add("1000", done)
	}
	look(500, "<nil>")
	stuck.add("1000", done)
	look(500, "process 500 was not looked at, for 32 others of user 1000 keep lpctl from their mappings; end those")
	look(501, "<nil>")
	for range maxStuck - maxStuckOf {
		stuck.add("1002", done)
	}
	look(501, "process 501 was not looked at, for 1000 others keep lpctl from their mappings; end those")
}

// TestHostileMaps has a process with more mappings than are kept.
func TestHostileMaps(t *testing.T) {
	f, _ := fake(t)
	line := func(n int, prot string) string {
		return fmt.Sprintf("%x-%x %s 00000000 fe:01 %d /%d%s\n", n<<12, (n+1)<<12, prot, n+1, n, strings.Repeat("a", 4000))
	}
	write := func(prot string) {
		var text strings.Builder
		text.WriteString(line(1, "r-xp") + line(1, "r--p"))
		for n := range 2 * maxPaths / 4000 {
			text.WriteString(line(n+2, prot))
		}
		if err := os.WriteFile(f.path(412, "maps"), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("r--p")
	list, err := f.Maps(412)
	if err != nil || len(list) != 2+2*maxPaths/4000 || list[1].Path == "" || list[len(list)-1].Path != "" {
		t.Errorf("%d mappings, %v", len(list), err)
	}
	write("r-xp")
	const want = "process 412: the names of what it maps executable have more than 8388608 bytes"
	if _, err := f.Maps(412); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
