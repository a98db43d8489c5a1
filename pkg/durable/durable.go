// Package durable changes files so that they are whole whatever happens: a crash, a power failure, others at the same time.
package durable

import (
	"context"
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
	err := writeFile(path, data, mode)
	var one *fs.PathError
	var two *os.LinkError
	switch {
	case errors.As(err, &one):
		err = one.Err
	case errors.As(err, &two):
		err = two.Err
	}
	if err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
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

func writeFile(path string, data []byte, mode os.FileMode) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, Temporary+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
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
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

// SyncDir has the names in a folder on the disk when it returns.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// MakeDir makes a folder, and those above it down from root, so that they are there even if the power fails.
func MakeDir(root, dir string) error {
	at := root
	for name := range strings.SplitSeq(dir, "/") {
		above := at
		at = filepath.Join(at, name)
		err := os.Mkdir(at, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = SyncDir(above)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Lock has a directory to itself until unlock is called. It waits as long as another has it.
func Lock(dir string) (unlock func(), err error) {
	return lock(dir, unix.LOCK_EX)
}

// LockOrSay is Lock that says at once that it waits, if it has to, and gives up when ctx ends. What say is called with is the
// process that has the directory, or 0 if that cannot be found out.
func LockOrSay(ctx context.Context, dir string, say func(pid int)) (unlock func(), err error) {
	for said := false; ; {
		unlock, err := lock(dir, unix.LOCK_EX|unix.LOCK_NB)
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

func lock(dir string, how int) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.Fd()), how); err != nil {
		d.Close()
		return nil, &fs.PathError{Op: "flock", Path: dir, Err: err}
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
