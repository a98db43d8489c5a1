// SPDX-License-Identifier: GPL-2.0

// Package atomicfile changes files so that they are whole whatever happens: a crash, a power failure, others at the same time.
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

// Temporary begins the names of files that are not whole yet.
const Temporary = ".new-"

// WriteFile makes a file that has all its content or is not there, even if the power fails. It is another inode than what
// was there: who has that mapped keeps it. An error names path, not the file that is made first.
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

// WriteFileIn is WriteFile for a name in a directory that is open.
func WriteFileIn(dir *os.Root, name string, data []byte, mode os.FileMode) error {
	if err := writeFile(dir, name, data, mode); err != nil {
		return &fs.PathError{Op: "write", Path: filepath.Join(dir.Name(), name), Err: cause(err)}
	}
	return nil
}

// cause is an error without the names that it has.
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

// CanWrite tells what can be told of a failure of WriteFile before there is anything to write.
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

// noDir is the error about a directory that does not exist.
type noDir struct{ dir string }

func (e *noDir) Error() string { return "there is no directory " + e.dir + "; make it first" }

// Is implements the use of errors.Is.
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

// Sync has the names in a directory on the disk when it returns.
func Sync(dir *os.Root) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Lock has a directory to itself until unlock is called. It waits as long as another has it.
func Lock(dir *os.Root) (unlock func(), err error) {
	d, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	return lock(d, unix.LOCK_EX)
}

// LockOrSay is Lock that says at once that it waits, if it has to, and gives up when ctx ends. What say is called with is the
// process that has the directory, or 0 if that cannot be found out.
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

// holder is the process that has the lock of a directory, 0 if that cannot be found out. It is looked for among those that have
// the directory open: /proc/locks has the numbers of the file system below, where there is an overlay.
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
