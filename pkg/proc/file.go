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

// The files that a process maps are chosen by its user. To open, read or close a file may block: on a FUSE server, on the
// holder of a lease, or on the other end of a FIFO. A file is therefore first located with an O_PATH descriptor, and opened
// only once it is known that the kernel alone handles it.

// Mapped is the file behind a mapping, located but not opened.
type Mapped struct {
	ID    FileID
	pid   int
	path  string // for messages
	place *os.File
	st    unix.Statx_t
	err   error // why only the mount and the device are known: root has no access to FUSE file systems of other users
}

// FileID identifies a file and its version. Device and inode number as in /proc/PID/maps do not: subvolumes of btrfs share a
// device, and layers of an overlay share both.
type FileID struct {
	Mount, Dev, Ino, Size uint64
	Changed, Born         int64 // nanoseconds since the epoch; Born is 0 if the file system does not record it
}

func identityOf(st *unix.Statx_t) FileID {
	id := FileID{Mount: st.Mnt_id, Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino, Size: st.Size, Changed: nanoseconds(st.Ctime)}
	if st.Mask&unix.STATX_BTIME != 0 {
		id.Born = nanoseconds(st.Btime)
	}
	return id
}

func nanoseconds(t unix.StatxTimestamp) int64 { return t.Sec*1e9 + int64(t.Nsec) }

// FileAt returns the FileID of the file at a trusted path.
func FileAt(path string) (FileID, error) {
	st, err := statx(unix.AT_FDCWD, path, 0)
	return identityOf(&st), err
}

// IsFile reports whether both identify the same file, independent of the mount. An unknown FileID equals none.
func (id FileID) IsFile(other FileID) bool {
	return id.Ino != 0 && id.Dev == other.Dev && id.Ino == other.Ino && id.Born == other.Born
}

// statx returns the status of a file without a request to a FUSE server, if there is one.
func statx(fd int, path string, flags int) (unix.Statx_t, error) {
	return statxOf(fd, path, flags, unix.STATX_BASIC_STATS|unix.STATX_BTIME|unix.STATX_MNT_ID)
}

func statxOf(fd int, path string, flags, mask int) (st unix.Statx_t, err error) {
	if err = unix.Statx(fd, path, flags|unix.AT_STATX_DONT_SYNC, mask, &st); err != nil {
		err = &fs.PathError{Op: "statx", Path: path, Err: err}
	}
	return st, err
}

// Find locates the file behind a mapping, even if it was deleted or replaced. The error wraps ErrNoProcess if the process has
// ended, and fs.ErrNotExist if it has unmapped the file.
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

// FindPath locates the file that a path in the mappings of a process leads to now. The error wraps fs.ErrNotExist if there is
// none.
func (f FS) FindPath(pid int, path string) (*Mapped, error) {
	return bounded(f, pid, func() (*Mapped, error) { return f.findPath(pid, path) })
}

// findPath resolves the path relative to the root directory of the process or, if the process is in our mount namespace,
// relative to our root, even if the process has another one.
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

// mappedOf returns the Mapped for an O_PATH descriptor, which it closes on failure.
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

// Close releases the file. It does not block.
func (m *Mapped) Close() { _ = m.place.Close() }

// Regular reports whether the file is, or may be, a regular file. Other files are never opened.
func (m *Mapped) Regular() bool { return m.err != nil || m.st.Mode&unix.S_IFMT == unix.S_IFREG }

// Open opens the file for reading, provided that this cannot block. Errors are complete sentences.
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
	// Control keeps the descriptor valid during the call, even if the caller has timed out and closes it.
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

// File returns a path under which the file behind a mapping can be opened, even if it was deleted or replaced.
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
