// SPDX-License-Identifier: GPL-2.0

package boot

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"

	"lpatch/pkg/atomicfile"
	"lpatch/pkg/lazyregexp"
)

// The locations of the registry, relative to the root of the system.
const (
	entriesDir = "etc/lpctl/boot.d"
	storeDir   = "var/lib/lpctl/store"
)

// Registry contains the boot entries of a system. All updates are atomic, even if the power fails: a patch is stored before
// the entry that names it, and removed after it.
type Registry struct {
	Root   string // root of the system, "/" for the running one; nothing outside is accessed, except Copies
	Owner  int    // UID that must own the registry exclusively: root, except in tests
	Copies string // root of another system, such as an initramfs, with copies of patches that are not accessible yet; or ""
}

// ErrNoEntry is returned if there is no entry with the given name.
var ErrNoEntry = errors.New("there is no such boot entry")

// The suffixes of the files of entries, after their names, and of patches, after their SHA-256.
const (
	entrySuffix = ".yaml"
	patchSuffix = ".lp"
)

// Add stores an entry and its patch. It replaces an entry of the same name and enables it.
func (r Registry) Add(e *Entry, patch []byte) error {
	sum := sha256.Sum256(patch)
	e.SHA256 = hex.EncodeToString(sum[:])
	text, err := e.encode()
	if err != nil {
		return err
	}
	d, err := r.lock(true)
	if err != nil {
		return err
	}
	defer d.close()
	if err := atomicfile.WriteFileIn(d.store, e.SHA256+patchSuffix, patch, 0o600); err != nil {
		return err
	}
	if err := atomicfile.WriteFileIn(d.entries, e.Name+entrySuffix, text, 0o644); err != nil {
		return err
	}
	return errors.Join(r.forget(e.Name), r.sweep(d))
}

// Remove removes an entry. The error is ErrNoEntry if it does not exist.
func (r Registry) Remove(name string) error {
	none := fmt.Errorf("%q: %w", name, ErrNoEntry)
	if !names().MatchString(name) {
		return none
	}
	d, err := r.lock(false)
	if errors.Is(err, fs.ErrNotExist) {
		return none
	}
	if err != nil {
		return err
	}
	defer d.close()
	err = d.entries.Remove(name + entrySuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return none
	}
	if err == nil {
		err = atomicfile.Sync(d.entries)
	}
	if err != nil {
		return named(d.entries, err)
	}
	return errors.Join(r.forget(name), r.sweep(d))
}

// List returns all entries sorted by name, and the errors for those that cannot be read or are not trusted.
func (r Registry) List() (entries []*Entry, bad []error) {
	dir, err := r.openDir(entriesDir, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, []error{err}
	}
	defer dir.Close()
	return r.listIn(dir)
}

func (r Registry) listIn(dir *os.Root) (entries []*Entry, bad []error) {
	files, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return nil, []error{named(dir, err)}
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), entrySuffix)
		if !ok {
			continue
		}
		e, err := r.read(dir, name)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		entries = append(entries, e)
	}
	return entries, bad
}

func (r Registry) read(dir *os.Root, name string) (*Entry, error) {
	f, err := r.openFile(dir, name+entrySuffix)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := readText(f)
	if err != nil {
		return nil, err
	}
	e, err := decode(text)
	if err != nil {
		return nil, &BrokenError{Name: name, Path: f.Name(), Err: err}
	}
	if e.Name != name {
		return nil, fmt.Errorf("%s: the entry in it is named %q; rename the file", f.Name(), e.Name)
	}
	return e, nil
}

// Patch opens the patch of an entry, or its copy if the patch is not accessible, and verifies its SHA-256.
func (r Registry) Patch(e *Entry) (*os.File, error) {
	f, err := r.checkedPatch(e)
	if errors.Is(err, fs.ErrNotExist) && r.Copies != "" {
		if copied, err := (Registry{Root: r.Copies, Owner: r.Owner}).checkedPatch(e); err == nil {
			return copied, nil
		}
	}
	return f, err
}

func (r Registry) checkedPatch(e *Entry) (*os.File, error) {
	dir, err := r.openDir(storeDir, false)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	f, err := r.openFile(dir, e.SHA256+patchSuffix)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	if err == nil && hex.EncodeToString(sum.Sum(nil)) != e.SHA256 {
		err = fmt.Errorf("%s is damaged; add the boot entry %s again", f.Name(), e.Name)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Untrusted returns an *UntrustedError for each directory of the registry that is not trusted, and other errors that prevent
// a directory from being opened.
func (r Registry) Untrusted() []error {
	var bad []error
	for _, dir := range []string{entriesDir, storeDir} {
		d, err := r.openDir(dir, false)
		if err == nil {
			d.Close()
		} else if !errors.Is(err, fs.ErrNotExist) {
			bad = append(bad, err)
		}
	}
	return bad
}

// Open opens a regular file below the root of the system. Symbolic links cannot lead out of it. The type of the file is
// checked before it is opened, because opening a device may have side effects.
func (r Registry) Open(path string) (*os.File, error) {
	root, err := unix.Open(r.Root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: r.Root, Err: err}
	}
	defer unix.Close(root)
	fd, err := openInRoot(root, path)
	if errors.Is(err, unix.EAGAIN) {
		return nil, fmt.Errorf("%s: files were renamed or mounted each time it was opened, %d times, and its path, or a link on it, has \"..\"; try again",
			filepath.Join(r.Root, path), maxOpens)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: filepath.Join(r.Root, path), Err: err}
	}
	place := os.NewFile(uintptr(fd), filepath.Join(r.Root, path))
	defer place.Close()
	if st, err := place.Stat(); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	own, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: place.Name(), Err: err}
	}
	return os.NewFile(uintptr(own), place.Name()), nil
}

// openat2 is the system call; tests replace it.
var openat2 = unix.Openat2

// maxOpens is the maximum number of attempts to open a path if other processes interfere.
const maxOpens = 100

// openInRoot opens a path relative to the directory root. The kernel returns EAGAIN if any file on the machine was renamed or
// any file system mounted while it resolved "..", because it cannot prove that the path stayed below root. Any user can cause
// this continuously.
func openInRoot(root int, path string) (fd int, err error) {
	for range maxOpens {
		fd, err = openat2(root, path, &unix.OpenHow{
			Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
		})
		if !errors.Is(err, unix.EAGAIN) {
			break
		}
	}
	return fd, err
}

// BrokenError is returned for an entry whose file cannot be read or parsed.
type BrokenError struct {
	Name string // name of the entry
	Path string
	Err  error
}

func (e *BrokenError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *BrokenError) Unwrap() error { return e.Err }

// dirs contains the open directories of the registry during an update.
type dirs struct {
	entries, store *os.Root
	unlock         func()
}

// lock excludes concurrent updates, because a patch without an entry is removed, and a patch is stored before its entry. Lock
// order: this lock is acquired before that of the trials.
func (r Registry) lock(create bool) (*dirs, error) {
	entries, err := r.openDir(entriesDir, create)
	if err != nil {
		return nil, err
	}
	// create the store, if it is missing, to have a directory to lock
	store, err := r.openDir(storeDir, true)
	if err != nil {
		entries.Close()
		return nil, err
	}
	d := &dirs{entries: entries, store: store, unlock: func() {}}
	unlock, err := atomicfile.Lock(store)
	if err != nil {
		d.close()
		return nil, err
	}
	d.unlock = unlock
	return d, nil
}

func (d *dirs) close() {
	d.unlock()
	d.entries.Close()
	d.store.Close()
}

// partial matches the names of files whose creation was interrupted.
var partial = lazyregexp.New(`^` + regexp.QuoteMeta(atomicfile.Temporary) + `[0-9A-Z]+$`)

// sweep removes patches that no entry names, and files whose creation was interrupted. Files with other names are not
// touched. If an entry cannot be read, no patch is removed, because the entry may name it.
func (r Registry) sweep(d *dirs) error {
	entries, bad := r.listIn(d.entries)
	if len(bad) > 0 {
		return nil
	}
	wanted := map[string]bool{}
	for _, e := range entries {
		wanted[e.SHA256] = true
	}
	return errors.Join(removeFrom(d.entries, partial().MatchString), removeFrom(d.store, func(name string) bool {
		sum, ok := strings.CutSuffix(name, patchSuffix)
		return partial().MatchString(name) || ok && sums().MatchString(sum) && !wanted[sum]
	}))
}

// removeFrom removes files by name.
func removeFrom(dir *os.Root, unwanted func(string) bool) error {
	files, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return named(dir, err)
	}
	for _, f := range files {
		if f.Type().IsRegular() && unwanted(f.Name()) {
			if err := dir.Remove(f.Name()); err != nil {
				return named(dir, err)
			}
		}
	}
	return nil
}
