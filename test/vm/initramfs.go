// SPDX-License-Identifier: GPL-2.0

package vm

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cavaliergopher/cpio"
)

// tree is the guest's root file system before it is written: guest path to what stands there.
type tree map[string]node

// node is one file of a tree.
type node struct {
	mode cpio.FileMode
	data []byte // its content, or the target of a symbolic link
	host string // or the path on the host to take the content from
	time time.Time
}

// merged are the directories that Debian keeps as links into /usr. The guest has the same links, so that a path as
// /lib64/ld-linux-x86-64.so.2 and the real one name one file there as they do here.
var merged = []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64"}

// canonical is the guest path with the links of merged resolved.
func canonical(path string) string {
	path = filepath.Clean("/" + path)
	for _, dir := range merged {
		if path == dir || strings.HasPrefix(path, dir+"/") {
			return "/usr" + path
		}
	}
	return path
}

func newTree() tree {
	t := tree{}
	for _, dir := range merged {
		t.addDir("/usr" + dir)
		t[dir] = node{mode: cpio.TypeSymlink | 0o777, data: []byte("usr" + dir)}
	}
	return t
}

// addDir adds a directory and those above it.
func (t tree) addDir(path string) {
	for path = canonical(path); path != "/"; path = filepath.Dir(path) {
		if _, ok := t[path]; ok {
			return
		}
		t[path] = node{mode: cpio.TypeDir | 0o755}
	}
}

// put adds a file. What was there before stays: the first to name a path has it.
func (t tree) put(path string, n node) {
	path = canonical(path)
	if old, ok := t[path]; ok && old.mode&cpio.ModeType != cpio.TypeDir {
		return
	}
	t.addDir(filepath.Dir(path))
	t[path] = n
}

func (t tree) addData(path string, mode fs.FileMode, data []byte) {
	t.put(path, node{mode: cpio.TypeReg | cpio.FileMode(mode.Perm()), data: data})
}

func (t tree) addLink(path, target string) {
	t.put(path, node{mode: cpio.TypeSymlink | 0o777, data: []byte(target)})
}

// addHost copies a file or directory of the host; addLibraries adds what ELF files need to run. A link stays a link, and what
// it points at comes along, except when the guest path was chosen by the user: then the file itself is put there.
func (t tree) addHost(host, guest string) error {
	stat := os.Stat
	if host == guest {
		stat = os.Lstat
	}
	st, err := stat(host)
	if err != nil {
		return err
	}
	if st.IsDir() {
		return t.addDirectory(host, guest)
	}
	return t.addEntry(host, guest, st)
}

func (t tree) addDirectory(host, guest string) error {
	t.addDir(guest)
	return filepath.WalkDir(host, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(host, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			t.addDir(filepath.Join(guest, rel))
			return nil
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		return t.addEntry(path, filepath.Join(guest, rel), st)
	})
}

// addEntry adds one file that is no directory.
func (t tree) addEntry(host, guest string, st fs.FileInfo) error {
	if _, ok := t[canonical(guest)]; ok {
		return nil
	}
	switch st.Mode().Type() {
	case 0:
		t.put(guest, node{mode: cpio.TypeReg | cpio.FileMode(st.Mode().Perm()), host: host, time: st.ModTime()})
		return nil
	case fs.ModeSymlink:
		return t.addHostLink(host, guest)
	default:
		return fmt.Errorf("%s is neither a file nor a directory", host)
	}
}

func (t tree) addHostLink(host, guest string) error {
	target, err := os.Readlink(host)
	if err != nil {
		return err
	}
	t.addLink(guest, target)
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(host), target)
	}
	if _, err := os.Lstat(target); err != nil {
		return nil //nolint:nilerr // a dangling link is copied as what it is
	}
	return t.addHost(target, target)
}

// write writes the tree as an initramfs, parents before children. It is not compressed: QEMU loads it faster than
// an emulated CPU unpacks it.
func (t tree) write(w io.Writer) error {
	out := cpio.NewWriter(w)
	for _, path := range slices.Sorted(maps.Keys(t)) {
		if err := t[path].write(out, strings.TrimPrefix(path, "/")); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return out.Close()
}

func (n node) write(out *cpio.Writer, name string) error {
	if n.time.IsZero() {
		n.time = time.Unix(0, 0)
	}
	h := &cpio.Header{Name: name, Mode: n.mode, ModTime: n.time, Size: int64(len(n.data))}
	if n.host == "" {
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		_, err := out.Write(n.data)
		return err
	}
	f, err := os.Open(n.host)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	h.Size = st.Size()
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.CopyN(out, f, h.Size)
	return err
}
