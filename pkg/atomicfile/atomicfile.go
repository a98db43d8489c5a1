// SPDX-License-Identifier: GPL-2.0

// Package atomicfile updates files atomically and durably: after a crash or a power failure, and in the presence of
// concurrent updates, a file has either its old or its new content.
package atomicfile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Temporary is the prefix of the names of files under construction.
const Temporary = ".new-"

// WriteFile atomically creates or replaces the file at path, and syncs it to disk. The file gets a new inode, so that
// existing mappings of the old file are not affected. An error names path, not the temporary file.
func WriteFile(path string, data []byte, mode os.FileMode) error {
	if err := CanWrite(path); err != nil {
		return err
	}
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: cause(err)}
	}
	defer dir.Close()
	return WriteFileIn(dir, filepath.Base(path), data, mode)
}

// WriteFileIn is like WriteFile, for a name in an open directory.
func WriteFileIn(dir *os.Root, name string, data []byte, mode os.FileMode) error {
	if err := writeFile(dir, name, data, mode); err != nil {
		return &fs.PathError{Op: "write", Path: filepath.Join(dir.Name(), name), Err: cause(err)}
	}
	return nil
}

// cause strips the file names from an error.
func cause(err error) error {
	var one *fs.PathError
	var two *os.LinkError
	switch {
	case errors.As(err, &one):
		return one.Err
	case errors.As(err, &two):
		return two.Err
	}
	return err
}

// CanWrite reports, before there is any data to write, the reasons why WriteFile would fail, as far as this can be predicted.
func CanWrite(path string) error {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return fmt.Errorf("%s is a directory; name a file", path)
	}
	dir := filepath.Dir(path)
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s cannot be written: %w", path, &noDir{dir})
	case err == nil && !st.IsDir():
		return fmt.Errorf("%s cannot be written: %s is not a directory", path, dir)
	}
	return nil
}

// noDir is the error for a directory that does not exist.
type noDir struct{ dir string }

func (e *noDir) Error() string { return "there is no directory " + e.dir + "; make it first" }

// Is supports errors.Is.
func (e *noDir) Is(target error) bool { return target == fs.ErrNotExist }

func writeFile(dir *os.Root, name string, data []byte, mode os.FileMode) (err error) {
	partial := Temporary + rand.Text()
	f, err := dir.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			_ = dir.Remove(partial)
		}
	}()
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Chmod(mode); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = dir.Rename(partial, name); err != nil {
		return err
	}
	return Sync(dir)
}

// Sync syncs the entries of a directory to disk.
func Sync(dir *os.Root) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Lock acquires an exclusive lock on a directory, which is held until unlock is called. It waits while another process holds
// the lock.
func Lock(dir *os.Root) (unlock func(), err error) {
	d, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	return lock(d, unix.LOCK_EX)
}

// LockOrSay is like Lock, but calls say when it has to wait, and gives up when ctx ends. The argument of say is the PID of
// the process that holds the lock, or 0 if it is not known.
func LockOrSay(ctx context.Context, dir string, say func(pid int)) (unlock func(), err error) {
	for said := false; ; {
		d, err := os.Open(dir)
		if err != nil {
			return nil, err
		}
		unlock, err := lock(d, unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return unlock, err
		}
		if !said {
			said = true
			say(holder(dir))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func lock(d *os.File, how int) (unlock func(), err error) {
	if err := unix.Flock(int(d.Fd()), how); err != nil {
		d.Close()
		return nil, &fs.PathError{Op: "flock", Path: d.Name(), Err: err}
	}
	return func() { d.Close() }, nil
}

// holder returns the PID of the process that holds the lock on a directory, or 0 if it is not known. It considers the
// processes that have the directory open, because /proc/locks has the device and inode of the underlying file system if there
// is an overlay.
func holder(dir string) int {
	want, err := os.Stat(dir)
	if err != nil {
		return 0
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return 0
	}
	for _, link := range links {
		if st, err := os.Stat(link); err != nil || !os.SameFile(st, want) {
			continue
		}
		info, err := os.ReadFile(strings.Replace(link, "/fd/", "/fdinfo/", 1))
		if err != nil || !strings.Contains(string(info), "FLOCK") {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(link, "/")[2]); err == nil {
			return pid
		}
	}
	return 0
}
