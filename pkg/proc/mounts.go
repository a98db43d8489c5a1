// SPDX-License-Identifier: GPL-2.0

package proc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ownMounts lists the mounts visible to lpctl: those of the machine.
const ownMounts = "/proc/self/mountinfo"

// mount is a mount: the device of its file system as "major:minor", and the file system type.
type mount struct{ dev, kind string }

// check rejects file systems that a process serves: fuse, fuseblk, fuse.sshfs.
func (m mount) check() error {
	if !strings.HasPrefix(m.kind, "fuse") {
		return nil
	}
	return fmt.Errorf("it is on a file system of type %s, which a process serves that may never answer; run it from another", m.kind)
}

// maxMountLine is the maximum length in bytes of a line of mountinfo: two paths, in which a byte may be escaped to four, and
// other fields.
const maxMountLine = 64 << 10

// eachMount parses the content of /proc/PID/mountinfo until do returns false. Lines that are malformed or too long are
// skipped.
func eachMount(in io.Reader, do func(id uint64, m mount) bool) error {
	r := bufio.NewReaderSize(in, maxMountLine)
	for {
		line, more, err := r.ReadLine()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		id, m, ok := parseMount(line)
		for more && err == nil {
			_, more, err = r.ReadLine()
		}
		if ok && !do(id, m) {
			return nil
		}
	}
}

// parseMount parses a line: mount ID, parent ID, major:minor, root, mount point, options, optional fields, "-", type. Spaces
// in paths are written as \040.
func parseMount(line []byte) (id uint64, m mount, ok bool) {
	front, back, ok := bytes.Cut(line, []byte(" - "))
	fields, kind := bytes.Fields(front), bytes.Fields(back)
	if !ok || len(fields) < 6 || len(kind) == 0 {
		return 0, mount{}, false
	}
	id, err := strconv.ParseUint(string(fields[0]), 10, 64)
	return id, mount{dev: string(fields[2]), kind: string(kind[0])}, err == nil
}

// mounts holds the mounts of a mount namespace by ID and by device.
type mounts struct {
	byID  map[uint64]mount
	byDev map[string]mount
}

// readMounts reads a mountinfo of lpctl itself, whose size only the administrator controls.
func readMounts(path string) (mounts, error) {
	own := mounts{map[uint64]mount{}, map[string]mount{}}
	return own, eachMountIn(path, func(id uint64, m mount) bool {
		own.byID[id], own.byDev[m.dev] = m, m
		return true
	})
}

// watched caches the mounts in a mountinfo and reads them again after each change, because mount IDs and device numbers are
// reused. For a mount that a descriptor pins, information read after the descriptor was opened is valid.
type watched struct {
	sync.Mutex
	path string
	fd   int // polled and never read; 0 until opened
	now  mounts
	err  error
}

// machine holds the mounts visible to lpctl.
var machine = watched{path: ownMounts}

func (w *watched) read() (mounts, error) {
	w.Lock()
	defer w.Unlock()
	changed, err := w.changed()
	if err != nil {
		return mounts{}, err
	}
	if changed || w.err != nil {
		w.now, w.err = readMounts(w.path)
	}
	return w.now, w.err
}

// changed reports whether the mounts have changed since the last call. The descriptor must not be an os.File, because the
// runtime would poll it, too, and consume the notification.
func (w *watched) changed() (bool, error) {
	if w.fd == 0 {
		fd, err := unix.Open(w.path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return false, &os.PathError{Op: "open", Path: w.path, Err: err}
		}
		w.fd = fd
		return true, nil
	}
	fds := []unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLPRI}}
	for {
		_, err := unix.Poll(fds, 0)
		if !errors.Is(err, unix.EINTR) {
			return fds[0].Revents != 0, err
		}
	}
}

func eachMountIn(path string, do func(uint64, mount) bool) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	return eachMount(in, do)
}

// mountOf finds the mount of a file in the mount namespace of a process.
func (f FS) mountOf(pid int, id uint64) (found mount, ok bool, err error) {
	err = eachMountIn(f.path(f.holder(pid), "mountinfo"), func(n uint64, m mount) bool {
		if n == id {
			found, ok = m, true
		}
		return !ok
	})
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return found, ok, err
}

// internal returns the devices of the kernel's internal tmpfs and hugetlbfs mounts, which back memfd_create(2) and all shared
// memory without a file.
var internal = sync.OnceValue(func() map[uint64]bool {
	devices := map[uint64]bool{}
	for _, flags := range []int{0, unix.MFD_HUGETLB, unix.MFD_HUGETLB | unix.MFD_HUGE_2MB, unix.MFD_HUGETLB | unix.MFD_HUGE_1GB} {
		fd, err := unix.MemfdCreate("lpctl", unix.MFD_CLOEXEC|flags)
		if err != nil {
			continue // this page size is not supported
		}
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil {
			devices[st.Dev] = true
		}
		_ = unix.Close(fd)
	}
	return devices
})

// served returns an error unless it is certain that the kernel alone handles requests to open and read a file. In namespaces
// of his own, a user can mount file systems that one of his processes serves: FUSE, and an overlay on top of it. All other
// file systems that he can mount there are in memory.
func (f FS) served(pid int, st *unix.Statx_t) error {
	if internal()[unix.Mkdev(st.Dev_major, st.Dev_minor)] {
		return nil
	}
	own, err := f.own()
	if err != nil {
		return err
	}
	m, known := own.byID[st.Mnt_id]
	if known {
		return m.check()
	}
	if m, known, err = f.mountOf(pid, st.Mnt_id); err != nil {
		return err
	}
	if !known { // detached, or visible to others only
		m, known = own.byDev[fmt.Sprintf("%d:%d", st.Dev_major, st.Dev_minor)]
	}
	if !known {
		return errors.New("its file system is none that lpctl or the process sees")
	}
	if _, ours := own.byDev[m.dev]; m.kind == "overlay" && !ours && !f.machines(pid) {
		return errors.New("it is on an overlay that a user has mounted, under which there may be files that a process serves; " +
			"run it from another file system")
	}
	return m.check()
}

// initUserNamespace is PROC_USER_INIT_INO of the kernel: the inode number of the initial user namespace.
const initUserNamespace = 0xEFFFFFFD

// machines reports whether the mount namespace of a process is owned by the initial user namespace, so that only root has
// mounted anything in it. If it is called after the mounts were read, the result also holds for that time, because a process
// cannot return from another user namespace.
func (f FS) machines(pid int) bool {
	ns, err := os.Open(f.path(f.holder(pid), "ns/mnt"))
	if err != nil {
		return false
	}
	defer ns.Close()
	owner, err := unix.IoctlRetInt(int(ns.Fd()), unix.NS_GET_USERNS)
	if err != nil {
		return false
	}
	defer unix.Close(owner)
	var st unix.Stat_t
	return unix.Fstat(owner, &st) == nil && st.Ino == initUserNamespace
}
