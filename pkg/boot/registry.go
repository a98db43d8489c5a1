package boot

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"lpatch/pkg/durable"
)

// Where the registry is, below the root of the system.
const (
	entriesDir = "etc/lpctl/boot.d"
	storeDir   = "var/lib/lpctl/store"
)

// Registry is the boot entries of a system. What it writes is whole or not there, whenever the power fails: a patch
// comes before the entry that names it, and goes after it.
type Registry struct {
	Root   string // the root of the system, "/" for the one that runs
	Owner  int    // the user who must own the registry, and who alone may write there: root, but for tests
	Copies string // the root of another with copies of patches that are not there yet, as an initramfs is; or ""
}

// ErrNoEntry is returned for a name that has no entry.
var ErrNoEntry = errors.New("there is no such boot entry")

func (r Registry) entryPath(name string) string {
	return filepath.Join(r.Root, entriesDir, name+".yaml")
}

func (r Registry) patchPath(sum string) string {
	return filepath.Join(r.Root, storeDir, sum+".lp")
}

// Add keeps an entry and its patch. An entry of that name is replaced, and is not disabled any more.
func (r Registry) Add(e *Entry, patch []byte) error {
	sum := sha256.Sum256(patch)
	e.SHA256 = hex.EncodeToString(sum[:])
	text, err := e.encode()
	if err != nil {
		return err
	}
	unlock, err := r.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := durable.MakeDir(r.Root, entriesDir); err != nil {
		return err
	}
	for _, dir := range []string{storeDir, entriesDir} {
		if err := r.Trust(filepath.Join(r.Root, dir)); err != nil {
			return err
		}
	}
	if err := durable.WriteFile(r.patchPath(e.SHA256), patch, 0o600); err != nil {
		return err
	}
	if err := durable.WriteFile(r.entryPath(e.Name), text, 0o644); err != nil {
		return err
	}
	return errors.Join(r.forget(e.Name), r.sweep())
}

// Remove ends an entry. The error is ErrNoEntry if there is none.
func (r Registry) Remove(name string) error {
	if !names().MatchString(name) {
		return fmt.Errorf("%q: %w", name, ErrNoEntry)
	}
	_, err := os.Lstat(r.entryPath(name))
	if err == nil {
		var unlock func()
		if unlock, err = r.lock(); err != nil {
			return err
		}
		defer unlock()
		err = os.Remove(r.entryPath(name))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%q: %w", name, ErrNoEntry)
	}
	if err != nil {
		return err
	}
	if err := durable.SyncDir(filepath.Dir(r.entryPath(name))); err != nil {
		return err
	}
	return errors.Join(r.forget(name), r.sweep())
}

// List returns all entries by name, and what is wrong with those that cannot be read or trusted.
func (r Registry) List() (entries []*Entry, bad []error) {
	dir := filepath.Join(r.Root, entriesDir)
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = r.Trust(dir)
	}
	if err != nil {
		return nil, []error{err}
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".yaml")
		if !ok {
			continue
		}
		e, err := r.read(name)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		entries = append(entries, e)
	}
	return entries, bad
}

func (r Registry) read(name string) (*Entry, error) {
	path := r.entryPath(name)
	if err := r.Trust(path); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	e, err := decode(text)
	if err != nil {
		return nil, &BrokenError{Name: name, Path: path, Err: err}
	}
	if e.Name != name {
		return nil, fmt.Errorf("%s: the entry in it is named %q; rename the file", path, e.Name)
	}
	return e, nil
}

// Patch returns the path of an entry's patch, or of the copy if it is not there, after a look at whether it is what the
// entry says.
func (r Registry) Patch(e *Entry) (string, error) {
	path, err := r.checkedPatch(e)
	if errors.Is(err, fs.ErrNotExist) && r.Copies != "" {
		if copied, err := (Registry{Root: r.Copies, Owner: r.Owner}).checkedPatch(e); err == nil {
			return copied, nil
		}
	}
	return path, err
}

func (r Registry) checkedPatch(e *Entry) (string, error) {
	path := r.patchPath(e.SHA256)
	for _, p := range []string{filepath.Dir(path), path} {
		if err := r.Trust(p); err != nil {
			return "", err
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != e.SHA256 {
		return "", fmt.Errorf("%s is damaged; add the boot entry %s again", path, e.Name)
	}
	return path, nil
}

// Open opens a file of the system below its root, from which no symbolic link leads out.
func (r Registry) Open(path string) (*os.File, error) {
	root, err := unix.Open(r.Root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: r.Root, Err: err}
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, path, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: filepath.Join(r.Root, path), Err: err}
	}
	return os.NewFile(uintptr(fd), filepath.Join(r.Root, path)), nil
}

// UntrustedError is returned for what others than the owner may change.
type UntrustedError struct {
	Path   string
	Reason string // why, behind the path
}

func (e *UntrustedError) Error() string {
	return e.Path + " " + e.Reason + "; nothing in it is trusted"
}

// BrokenError is returned for the file of an entry that cannot be read as one.
type BrokenError struct {
	Name string // of the entry
	Path string
	Err  error
}

func (e *BrokenError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap returns what is wrong in the file.
func (e *BrokenError) Unwrap() error { return e.Err }

// Trust refuses what others than the owner may change, with an *UntrustedError: who may add a boot entry may run code in every
// process.
func (r Registry) Trust(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	kind := st.Mode & unix.S_IFMT
	switch {
	case kind != unix.S_IFREG && kind != unix.S_IFDIR:
		return fmt.Errorf("%s is neither a file nor a folder", path)
	case int(st.Uid) != r.Owner:
		return &UntrustedError{path, fmt.Sprintf("belongs to user %d and not to user %d", st.Uid, r.Owner)}
	case st.Mode&0o022 != 0:
		return &UntrustedError{path, fmt.Sprintf("may be written by others (mode %04o)", st.Mode&0o7777)}
	}
	return nil
}

// lock keeps others from adding and removing: a patch is swept away while no entry names it, and comes before its entry.
// It is taken before that of the trials.
func (r Registry) lock() (unlock func(), err error) {
	if err := durable.MakeDir(r.Root, storeDir); err != nil {
		return nil, err
	}
	return durable.Lock(filepath.Join(r.Root, storeDir))
}

// sweep removes patches that no entry names, and files that were not whole when the power failed. What cannot be read may
// name any patch.
func (r Registry) sweep() error {
	entries, bad := r.List()
	if len(bad) > 0 {
		return nil
	}
	named := map[string]bool{}
	for _, e := range entries {
		named[e.SHA256+".lp"] = true
	}
	return errors.Join(removeFrom(filepath.Join(r.Root, storeDir), func(name string) bool { return !named[name] }),
		removeFrom(filepath.Join(r.Root, entriesDir), func(name string) bool { return strings.HasPrefix(name, durable.Temporary) }))
}

// removeFrom removes files by name.
func removeFrom(dir string, unwanted func(string) bool) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if unwanted(f.Name()) {
			if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
