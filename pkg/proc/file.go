// SPDX-License-Identifier: GPL-2.0

package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// What a process maps is the choice of whoever runs it. Opening a file can wait for a process that serves it (FUSE), for one
// that has a lease on it, or for the other end of a FIFO; so can reading it, and closing it. So a file is found first, by a
// descriptor with which nothing can be done, and opened when it is known that the kernel alone answers.

// Mapped is the file behind a mapping. Nobody but the kernel was asked for it yet.
type Mapped struct {
	ID    FileID
	pid   int
	path  string // for messages
	place *os.File
	st    unix.Statx_t
	err   error // why only the mount and the device are known: root may not look at what other users' FUSE has
}

// FileID tells a file from all others, and from itself after a change. Neither the device nor the number in /proc/PID/maps
// does: subvolumes of btrfs share a device, the layers of an overlay share both.
type FileID struct {
	Mount, Dev, Ino, Size uint64
	Changed, Born         int64 // nanoseconds since 1970; Born is 0 where the file system does not know
}

func identityOf(st *unix.Statx_t) FileID {
	id := FileID{Mount: st.Mnt_id, Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino, Size: st.Size, Changed: nanoseconds(st.Ctime)}
	if st.Mask&unix.STATX_BTIME != 0 {
		id.Born = nanoseconds(st.Btime)
	}
	return id
}

func nanoseconds(t unix.StatxTimestamp) int64 { return t.Sec*1e9 + int64(t.Nsec) }

// FileAt identifies what a path of our own leads to, which nobody else chooses.
func FileAt(path string) (FileID, error) {
	st, err := statx(unix.AT_FDCWD, path, 0)
	return identityOf(&st), err
}

// IsFile tells whether it is the same file, under whatever mount. That something is not known is no file.
func (id FileID) IsFile(other FileID) bool {
	return id.Ino != 0 && id.Dev == other.Dev && id.Ino == other.Ino && id.Born == other.Born
}

// statx looks at a file without asking who serves it, if somebody does.
func statx(fd int, path string, flags int) (unix.Statx_t, error) {
	return statxOf(fd, path, flags, unix.STATX_BASIC_STATS|unix.STATX_BTIME|unix.STATX_MNT_ID)
}

func statxOf(fd int, path string, flags, mask int) (st unix.Statx_t, err error) {
	if err = unix.Statx(fd, path, flags|unix.AT_STATX_DONT_SYNC, mask, &st); err != nil {
		err = &fs.PathError{Op: "statx", Path: path, Err: err}
	}
	return st, err
}

// Find finds the file behind a mapping, even one that was deleted or replaced since. The error wraps ErrNoProcess if the
// process has ended, and fs.ErrNotExist if it has unmapped the file.
func (f FS) Find(pid int, m Mapping) (*Mapped, error) {
	file, err := bounded(f, pid, func() (*Mapped, error) { return f.find(pid, m) })
	if gone(err) {
		if _, mapsErr := f.Maps(pid); errors.Is(mapsErr, ErrNoProcess) {
			return nil, mapsErr
		}
	}
	var late *Error
	if err != nil && !errors.As(err, &late) {
		err = cannotOpen(m.Path, pid, err)
	}
	return file, err
}

func cannotOpen(path string, pid int, err error) error {
	return fmt.Errorf("cannot open %s as process %d maps it: %w", path, pid, err)
}

// FindPath finds the file that a path of a process, as its mappings have it, leads to now. The error wraps fs.ErrNotExist if there is
// none.
func (f FS) FindPath(pid int, path string) (*Mapped, error) {
	return bounded(f, pid, func() (*Mapped, error) { return f.findPath(pid, path) })
}

// findPath takes the path below the root of the process, unless that sees the same mounts as we do: there it counts from ours, even
// if the process has another root.
func (f FS) findPath(pid int, path string) (*Mapped, error) {
	tid := f.holder(pid)
	root := f.path(tid, "root")
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return nil, err
	}
	if its, err := os.Readlink(f.path(tid, "ns/mnt")); err == nil && its == own {
		root = "/"
	}
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: root, Err: err}
	}
	defer unix.Close(dir)
	fd, err := unix.Openat2(dir, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return mappedOf(pid, path, os.NewFile(uintptr(fd), path))
}

func (f FS) find(pid int, m Mapping) (*Mapped, error) {
	place, err := os.OpenFile(f.mapFile(pid, m), unix.O_PATH, 0)
	if gone(err) {
		if tid := f.holder(pid); tid != pid {
			place, err = os.OpenFile(f.mapFile(tid, m), unix.O_PATH, 0)
		}
	}
	if err != nil {
		return nil, err
	}
	return mappedOf(pid, m.Path, place)
}

// mappedOf looks at what a descriptor is for, and closes it if that fails.
func mappedOf(pid int, path string, place *os.File) (*Mapped, error) {
	found := &Mapped{pid: pid, path: path, place: place}
	var err error
	found.st, found.err = statx(int(place.Fd()), "", unix.AT_EMPTY_PATH)
	if found.err != nil {
		if found.st, err = statxOf(int(place.Fd()), "", unix.AT_EMPTY_PATH, 0); err != nil {
			found.Close()
			return nil, err
		}
	}
	found.ID = identityOf(&found.st)
	return found, nil
}

// Close lets go of the file. It does not wait.
func (m *Mapped) Close() { _ = m.place.Close() }

// Regular tells whether it is a regular file, or may be one: only those are opened.
func (m *Mapped) Regular() bool { return m.err != nil || m.st.Mode&unix.S_IFMT == unix.S_IFREG }

// Open opens the file for reading, if that waits for nobody. The errors are sentences.
func (f FS) Open(m *Mapped) (*os.File, error) {
	if !m.Regular() {
		return nil, cannotOpen(m.path, m.pid, errors.New("it is no regular file"))
	}
	file, err := bounded(f, m.pid, func() (*os.File, error) { return f.open(m) })
	if err != nil {
		return nil, cannotOpen(m.path, m.pid, err)
	}
	return file, nil
}

func (f FS) open(m *Mapped) (*os.File, error) {
	if err := f.served(m.pid, &m.st); err != nil {
		return nil, err
	}
	if m.err != nil {
		return nil, m.err
	}
	place, err := m.place.SyscallConn()
	if err != nil {
		return nil, err
	}
	var file *os.File
	// While this goes on, the number means no other file, even if the caller has lost patience and closes it.
	if controlErr := place.Control(func(fd uintptr) {
		file, err = os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	}); controlErr != nil {
		return nil, controlErr
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.New("somebody has a lease on it, which fcntl(2) grants; have its owner give that up")
	}
	return file, err
}

// OpenMapping opens the file behind a mapping. See Find and Open.
func (f FS) OpenMapping(pid int, m Mapping) (*os.File, error) {
	found, err := f.Find(pid, m)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	return f.Open(found)
}

// File is a path under which the file behind a mapping can be opened, also if it was deleted or replaced.
func (f FS) File(pid int, m Mapping) string {
	exe := f.path(pid, "exe")
	if to, err := os.Readlink(exe); err == nil && strings.TrimSuffix(to, " (deleted)") == m.Path {
		return exe
	}
	return f.mapFile(pid, m)
}

func (f FS) mapFile(pid int, m Mapping) string {
	return f.path(pid, filepath.Join("map_files", fmt.Sprintf("%x-%x", m.Start, m.End)))
}
