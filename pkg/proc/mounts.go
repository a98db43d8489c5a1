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

// ownMounts tells of the mounts that lpctl sees: those of the machine.
const ownMounts = "/proc/self/mountinfo"

// mount is what there is to know of a mount: the device of its file system, as "major:minor", and the type of that.
type mount struct{ dev, kind string }

// check refuses a file system of which a process is the server: fuse, fuseblk, fuse.sshfs.
func (m mount) check() error {
	if !strings.HasPrefix(m.kind, "fuse") {
		return nil
	}
	return fmt.Errorf("it is on a file system of type %s, which a process serves that may never answer; run it from another", m.kind)
}

// maxMountLine bounds what is read of a line of mountinfo: two paths, in which each byte may be written as four, and more.
const maxMountLine = 64 << 10

// eachMount reads the content of /proc/PID/mountinfo until do returns false. A line that is too long, or is none, is no mount.
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

// parseMount reads a line: number, parent, major:minor, root, place, options, any number of others, "-", type. In paths, spaces
// are written as \040.
func parseMount(line []byte) (id uint64, m mount, ok bool) {
	front, back, ok := bytes.Cut(line, []byte(" - "))
	fields, kind := bytes.Fields(front), bytes.Fields(back)
	if !ok || len(fields) < 6 || len(kind) == 0 {
		return 0, mount{}, false
	}
	id, err := strconv.ParseUint(string(fields[0]), 10, 64)
	return id, mount{dev: string(fields[2]), kind: string(kind[0])}, err == nil
}

// mounts are those of a mount namespace, by number and by device.
type mounts struct {
	byID  map[uint64]mount
	byDev map[string]mount
}

// readMounts reads those in a mountinfo: of lpctl itself, where they are as few as the administrator has made them.
func readMounts(path string) (mounts, error) {
	own := mounts{map[uint64]mount{}, map[string]mount{}}
	return own, eachMountIn(path, func(id uint64, m mount) bool {
		own.byID[id], own.byDev[m.dev] = m, m
		return true
	})
}

// watched are the mounts in a mountinfo, read again whenever they have changed: numbers of mounts, and of devices, that are gone
// are given to others. Of a mount that somebody holds on to, what was read after he took it is true.
type watched struct {
	sync.Mutex
	path string
	fd   int // polled, and never read; 0: not open yet
	now  mounts
	err  error
}

// machine are the mounts that lpctl sees.
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

// changed tells whether they have changed since it was asked last. It is no os.File that is polled, for the runtime would poll it,
// too, and who polls it has seen the change.
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

// mountOf finds the mount of a file among those that a process sees.
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

// internal are the file systems of memory that has no name: of memfd_create(2), and so of all shared memory without a file.
var internal = sync.OnceValue(func() map[uint64]bool {
	devices := map[uint64]bool{}
	for _, flags := range []int{0, unix.MFD_HUGETLB, unix.MFD_HUGETLB | unix.MFD_HUGE_2MB, unix.MFD_HUGETLB | unix.MFD_HUGE_1GB} {
		fd, err := unix.MemfdCreate("lpctl", unix.MFD_CLOEXEC|flags)
		if err != nil {
			continue // there is no such size
		}
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil {
			devices[st.Dev] = true
		}
		_ = unix.Close(fd)
	}
	return devices
})

// served returns an error for a file of which it is not sure that the kernel alone answers when it is opened and read. A user may
// mount, in namespaces of his own, what is served by a process of his: FUSE, and an overlay on top of it. All else there he
// cannot mount, or it is memory.
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
	if !known { // a mount that was detached, or that only others see
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

// initUserNamespace is PROC_USER_INIT_INO of the kernel.
const initUserNamespace = 0xEFFFFFFD

// machines tells whether the mount namespace of a process belongs to the initial user namespace, so that only root has mounted
// anything in it. Asked after its mounts were read, it goes for the time before, too: no way leads back from another.
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
