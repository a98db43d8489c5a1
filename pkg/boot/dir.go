// SPDX-License-Identifier: GPL-2.0

package boot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"lpatch/pkg/atomicfile"
)

// maxLinks is how many symbolic links may lead to a directory, as many as the kernel takes.
const maxLinks = 40

// openDir opens a directory of the registry where the system has it whose root is at Root: a symbolic link leads to where it
// would once that is the root, be it absolute or with more ".." than there are directories, so never outside. (An os.Root
// alone refuses such links, but /var may well be one.) Who may change one of the directories or links on the way may say what the
// registry is, so each is refused, with an *UntrustedError, that is not the owner's or that others may write. Thus they stay as they
// are found, and all that is done is done in the directory that was opened, whatever its name leads to later.
func (r Registry) openDir(dir string, create bool) (*os.Root, error) {
	root, err := os.OpenRoot(r.Root)
	if err != nil {
		return nil, err
	}
	w := &walk{owner: r.Owner, create: create, at: []*os.Root{root}, left: strings.Split(dir, "/")}
	err = w.trust()
	for err == nil && len(w.left) > 0 {
		err = w.step()
	}
	return w.end(err)
}

// walk is on its way to a directory.
type walk struct {
	owner  int
	create bool       // what is missing
	at     []*os.Root // where it is, below all those above
	left   []string
	links  int // that were followed
}

// end closes what is above, and returns where the walk is unless it failed.
func (w *walk) end(err error) (*os.Root, error) {
	last := len(w.at) - 1
	if err != nil {
		w.up(0)
		return nil, err
	}
	dir := w.at[last]
	w.at = w.at[:last]
	w.up(0)
	return dir, nil
}

// up closes directories but for the first so many.
func (w *walk) up(to int) {
	for _, dir := range w.at[to:] {
		dir.Close()
	}
	w.at = w.at[:to]
}

// step takes the next name.
func (w *walk) step() error {
	name, here := w.left[0], w.at[len(w.at)-1]
	w.left = w.left[1:]
	switch name {
	case "", ".":
		return nil
	case "..":
		w.up(max(len(w.at)-1, 1)) // the root is above itself
		return nil
	}
	st, err := here.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) && w.create {
		st, err = makeDir(here, name)
	}
	switch {
	case err != nil:
		return named(here, err)
	case st.Mode().Type() == fs.ModeSymlink:
		return w.follow(here, st)
	case !st.IsDir():
		return fmt.Errorf("%s is not a directory", filepath.Join(here.Name(), name))
	}
	below, err := here.OpenRoot(name)
	if err != nil {
		return named(here, err)
	}
	w.at = append(w.at, below)
	return w.trust()
}

// follow has the walk go on where a link points to.
func (w *walk) follow(here *os.Root, link fs.FileInfo) error {
	path := filepath.Join(here.Name(), link.Name())
	if err := trusted(path, link, w.owner); err != nil {
		return err
	}
	to, err := here.Readlink(link.Name())
	if err != nil {
		return named(here, err)
	}
	if w.links++; w.links > maxLinks {
		return &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
	}
	if filepath.IsAbs(to) {
		w.up(1)
	}
	w.left = append(strings.Split(to, "/"), w.left...)
	return nil
}

// trust refuses the directory where the walk is.
func (w *walk) trust() error {
	here := w.at[len(w.at)-1]
	st, err := here.Stat(".")
	if err != nil {
		return named(here, err)
	}
	return trusted(here.Name(), st, w.owner)
}

// makeDir makes a directory that is there even if the power fails; another process may be about the same.
func makeDir(here *os.Root, name string) (fs.FileInfo, error) {
	err := here.Mkdir(name, 0o755)
	if err == nil {
		err = atomicfile.Sync(here)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return here.Lstat(name)
}

// named completes the path in an error about a name in a directory.
func named(dir *os.Root, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return &fs.PathError{Op: p.Op, Path: filepath.Join(dir.Name(), p.Path), Err: p.Err}
	}
	return err
}

// openFile opens a file in a directory of the registry. What is not a file of the owner's, which nobody else may write, is refused.
func (r Registry) openFile(dir *os.Root, name string) (*os.File, error) {
	st, err := dir.Lstat(name)
	if err != nil {
		return nil, named(dir, err)
	}
	path := filepath.Join(dir.Name(), name)
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if err := trusted(path, st, r.Owner); err != nil {
		return nil, err
	}
	f, err := dir.Open(name)
	if err != nil {
		return nil, named(dir, err)
	}
	return f, nil
}

// maxText bounds the files of the registry that people can read, in bytes: the system may be an image that others made.
const maxText = 1 << 20

// readText reads one of them.
func readText(f *os.File) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err == nil && len(text) > maxText {
		err = fmt.Errorf("%s has more than %d bytes; nothing in it is trusted", f.Name(), maxText)
	}
	return text, err
}

// UntrustedError is returned for what others than the owner may change.
type UntrustedError struct {
	Path   string
	Reason string // why, behind the path
}

func (e *UntrustedError) Error() string {
	return e.Path + " " + e.Reason + "; nothing in it is trusted"
}

// trusted refuses what others than the owner may change, with an *UntrustedError: who may add a boot entry may run code in every
// process. A link has no mode of its own: nobody may change it.
func trusted(path string, info fs.FileInfo, owner int) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return fmt.Errorf("internal error: no owner of %s is known", path)
	case int(st.Uid) != owner:
		return &UntrustedError{path, fmt.Sprintf("belongs to user %d and not to user %d", st.Uid, owner)}
	case info.Mode().Type() != fs.ModeSymlink && st.Mode&0o022 != 0:
		return &UntrustedError{path, fmt.Sprintf("may be written by others (mode %04o)", st.Mode&0o7777)}
	}
	return nil
}
