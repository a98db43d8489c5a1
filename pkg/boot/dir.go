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

// maxLinks is the maximum number of symbolic links that are followed: the limit of the kernel.
const maxLinks = 40

// openDir opens a directory of the registry. Symbolic links are resolved as if Root was the root directory, including
// absolute ones and those with excess "..", so that they cannot lead outside. (An os.Root alone would reject such links, but
// /var may be one.) Whoever can modify a directory or link on the path controls the registry. Each of them must therefore be
// owned by Owner and not writable by others, otherwise openDir returns an *UntrustedError. All further operations use the
// opened directory, whatever its path leads to later.
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

// walk is the state of a path resolution.
type walk struct {
	owner  int
	create bool       // create missing directories
	at     []*os.Root // open directories from the root to the current one
	left   []string
	links  int // number of links followed
}

// end closes all directories except the current one, which it returns unless err is set.
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

// up closes all directories after the first to.
func (w *walk) up(to int) {
	for _, dir := range w.at[to:] {
		dir.Close()
	}
	w.at = w.at[:to]
}

// step resolves the next component.
func (w *walk) step() error {
	name, here := w.left[0], w.at[len(w.at)-1]
	w.left = w.left[1:]
	switch name {
	case "", ".":
		return nil
	case "..":
		w.up(max(len(w.at)-1, 1)) // the parent of the root is the root
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

// follow continues the resolution with the target of a link.
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

// trust returns an error if the current directory is not trusted.
func (w *walk) trust() error {
	here := w.at[len(w.at)-1]
	st, err := here.Stat(".")
	if err != nil {
		return named(here, err)
	}
	return trusted(here.Name(), st, w.owner)
}

// makeDir durably creates a directory. It may exist already, because another process does the same.
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

// named replaces the relative name in an error by the full path.
func named(dir *os.Root, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return &fs.PathError{Op: p.Op, Path: filepath.Join(dir.Name(), p.Path), Err: p.Err}
	}
	return err
}

// openFile opens a file in a directory of the registry. It must be a regular file that belongs to Owner and that nobody else
// can write.
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

// maxText is the maximum size in bytes of the text files of the registry. The system may be an untrusted image.
const maxText = 1 << 20

// readText reads a text file of the registry.
func readText(f *os.File) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err == nil && len(text) > maxText {
		err = fmt.Errorf("%s has more than %d bytes; nothing in it is trusted", f.Name(), maxText)
	}
	return text, err
}

// UntrustedError is returned for a file or directory that users other than the owner can modify.
type UntrustedError struct {
	Path   string
	Reason string // reason, to be appended to the path
}

func (e *UntrustedError) Error() string {
	return e.Path + " " + e.Reason + "; nothing in it is trusted"
}

// trusted returns an *UntrustedError if users other than the owner can modify a file, because a boot entry can execute code
// in every process. The mode of a symbolic link is ignored, since links cannot be modified.
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
