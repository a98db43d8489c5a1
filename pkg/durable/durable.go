// Package durable changes files so that they are whole whatever happens: a crash, a power failure, others at the same time.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Temporary begins the names of files that are not whole yet.
const Temporary = ".new-"

// WriteFile makes a file that has all its content or is not there, even if the power fails. It is another inode than what
// was there: who has that mapped keeps it.
func WriteFile(path string, data []byte, mode os.FileMode) (err error) {
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

// Lock has a folder to itself until unlock is called.
func Lock(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
		d.Close()
		return nil, &fs.PathError{Op: "flock", Path: dir, Err: err}
	}
	return func() { d.Close() }, nil
}
