// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pault.ag/go/debian/version"
)

// Difference describes the differences between two unpacked sources with patches applied.
type Difference struct {
	Taken   []string  // files that are part of the difference
	LeftOut []LeftOut // files, or lines of files, that are not
	Kept    []string  // those that were replaced by the older version
}

// LeftOut is a file that differs but does not count according to a rule. For a file in Taken it stands for some of its lines.
type LeftOut struct{ Path, Rule string }

// Settle compares the tree of an older version with that of a newer one. It modifies the newer tree so that compiled-in
// version information remains that of the older version: debian/changelog, and lines that differ in the version number only.
func Settle(older, newer string, from, to version.Version) (*Difference, error) {
	olds, err := filesOf(older)
	if err != nil {
		return nil, err
	}
	news, err := filesOf(newer)
	if err != nil {
		return nil, err
	}
	d := &Difference{}
	v := versionsOf(from, to)
	for _, name := range union(olds, news) {
		was, is := olds[name], news[name]
		same, err := sameFile(filepath.Join(older, name), filepath.Join(newer, name), was, is)
		if err != nil {
			return nil, err
		}
		if same {
			continue
		}
		why := rule(name)
		regular := was != nil && is != nil && was.Mode().IsRegular() && is.Mode().IsRegular()
		switch {
		case why == changelogRule && regular:
			if err := d.keepFile(filepath.Join(older, name), filepath.Join(newer, name), is); err != nil {
				return nil, err
			}
			d.Kept = append(d.Kept, name)
		case why == "" && regular && max(was.Size(), is.Size()) <= maxVersioned:
			if err := d.keepVersions(older, newer, name, is, v); err != nil {
				return nil, err
			}
			continue
		case why == "":
			d.Taken = append(d.Taken, name)
			continue
		}
		d.LeftOut = append(d.LeftOut, LeftOut{name, why})
	}
	return d, nil
}

// filesOf returns the files and links of a tree, without the directories of version control and quilt.
func filesOf(dir string) (map[string]fs.FileInfo, error) {
	out := map[string]fs.FileInfo{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if slices.Contains([]string{".git", ".pc"}, e.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		out[rel], err = e.Info()
		return err
	})
	return out, err
}

func union(a, b map[string]fs.FileInfo) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

func sameFile(a, b string, was, is fs.FileInfo) (bool, error) {
	switch {
	// of the permissions, only the execute bit counts, because the others depend on the umask
	case was == nil || is == nil || was.Mode().Type() != is.Mode().Type() || was.Mode().IsRegular() && (was.Mode()^is.Mode())&0o100 != 0:
		return false, nil
	case was.Mode()&fs.ModeSymlink != 0:
		x, err := os.Readlink(a)
		y, other := os.Readlink(b)
		return x == y, errors.Join(err, other)
	case !was.Mode().IsRegular():
		return true, nil
	case was.Size() != is.Size():
		return false, nil
	}
	return sameBytes(a, b)
}

// sameBytes compares files in blocks, because untrusted sources may contain files of any size.
func sameBytes(a, b string) (bool, error) {
	x, err := os.Open(a)
	if err != nil {
		return false, err
	}
	defer x.Close()
	y, err := os.Open(b)
	if err != nil {
		return false, err
	}
	defer y.Close()
	p, q := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(x, p)
		m, other := io.ReadFull(y, q)
		if !bytes.Equal(p[:n], q[:m]) {
			return false, nil
		}
		switch {
		case err == nil && other == nil:
			continue
		case isEnd(err) && isEnd(other):
			return true, nil
		}
		return false, errors.Join(err, other)
	}
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// maxVersioned is the maximum size in bytes of a file that is examined for version numbers. Larger files are taken unchanged.
const maxVersioned = 16 << 20

// keepFile replaces a newer file by the older one, with the modification time of the former.
func (d *Difference) keepFile(older, newer string, is fs.FileInfo) error {
	text, err := readText(older)
	if err != nil {
		return err
	}
	return replace(newer, text, is)
}

// replace changes the content of a file but not its modification time, because make uses it to decide what to regenerate.
func replace(path string, text []byte, is fs.FileInfo) error {
	if err := os.Remove(path); err != nil { // it may be read-only
		return err
	}
	return errors.Join(os.WriteFile(path, text, 0o600), os.Chmod(path, is.Mode().Perm()), os.Chtimes(path, is.ModTime(), is.ModTime()))
}

// keepVersions takes a file except for lines that differ in the version only.
func (d *Difference) keepVersions(older, newer, name string, is fs.FileInfo, v versions) error {
	old, err := os.ReadFile(filepath.Join(older, name))
	if err != nil {
		return err
	}
	path := filepath.Join(newer, name)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if bytes.Equal(old, text) { // only the mode differs
		d.Taken = append(d.Taken, name)
		return nil
	}
	kept, rules := v.keep(filepath.Base(name), old, text)
	for _, r := range rules {
		d.LeftOut = append(d.LeftOut, LeftOut{name, r})
	}
	if len(rules) > 0 {
		if err := replace(path, kept, is); err != nil {
			return err
		}
	}
	if bytes.Equal(kept, old) {
		d.Kept = append(d.Kept, name)
	} else {
		d.Taken = append(d.Taken, name)
	}
	return nil
}

// Nothing reports whether the trees are now equal except for files that a rule excludes and that were not replaced.
func (d *Difference) Nothing() bool {
	return len(d.Taken) == 0 && !slices.ContainsFunc(d.LeftOut, func(l LeftOut) bool {
		return !slices.Contains(d.Kept, l.Path) && !strings.HasPrefix(l.Path, "debian/patches/")
	})
}
