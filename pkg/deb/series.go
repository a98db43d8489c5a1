// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Fix is a patch in debian/patches, or a patch file named by the user.
type Fix struct {
	Name string // as in the series file
	Text []byte // nil if the file does not exist
}

func (f Fix) text() ([]byte, error) {
	if f.Text == nil {
		return nil, fmt.Errorf("debian/patches/%s is named in its series and is not there", f.Name)
	}
	return f.Text, nil
}

// ReadFix reads a patch file named by the user.
func ReadFix(file string) (Fix, error) {
	text, err := os.ReadFile(file)
	return Fix{filepath.Base(file), text}, err
}

// maxText is the maximum total size in bytes of text that is read from a source.
const maxText = 256 << 20

// readInside reads a file of an untrusted source. Links that lead out of it cause an error.
func readInside(tree *os.Root, name string) ([]byte, error) {
	st, err := tree.Stat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxText {
		return nil, fmt.Errorf("%s/%s is not a file of less than %d bytes", tree.Name(), name, maxText)
	}
	return tree.ReadFile(name)
}

// readText is like readInside, for a path.
func readText(file string) ([]byte, error) {
	dir, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return readInside(dir, filepath.Base(file))
}

// series reads debian/patches of an unpacked source package: the patches in the order in which they are applied, with their
// texts.
func series(tree string) ([]Fix, error) {
	dir, err := os.OpenRoot(tree)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	data, err := readInside(dir, "debian/patches/series")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var fixes []Fix
	left := maxText // limit, because a series may name a large file repeatedly
	for _, line := range strings.Split(string(data), "\n") {
		line, _, _ = strings.Cut(line, "#") // ignores options for patch as well
		if f := strings.Fields(line); len(f) > 0 {
			text, err := readInside(dir, path.Join("debian/patches", f[0]))
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // other errors are reported when the patch is used
				return nil, err
			}
			if left -= len(text); left < 0 {
				return nil, fmt.Errorf("%s/debian/patches has more than %d bytes of patches", tree, maxText)
			}
			fixes = append(fixes, Fix{f[0], text})
		}
	}
	return fixes, nil
}

// NewFixes returns the patches that only the newer source package has, in order.
func NewFixes(older, newer string) ([]Fix, error) {
	had, err := series(older)
	if err != nil {
		return nil, err
	}
	has, err := series(newer)
	return slices.DeleteFunc(has, func(f Fix) bool { return find(had, f.Name) >= 0 }), err
}

func find(list []Fix, name string) int {
	return slices.IndexFunc(list, func(f Fix) bool { return f.Name == name })
}

// ChangedFixes returns the patches that both source packages have under one name but with different changes, and those that
// only the older one has. Line numbers, headers, context and files that are not compiled are ignored.
func ChangedFixes(older, newer string) ([]string, error) {
	had, err := series(older)
	if err != nil {
		return nil, err
	}
	has, err := series(newer)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range had {
		if i := find(has, f.Name); i >= 0 {
			was, err := f.changes()
			if err != nil {
				return nil, err
			}
			is, err := has[i].changes()
			if err != nil {
				return nil, err
			}
			if slices.Equal(was, is) {
				continue
			}
		}
		out = append(out, f.Name)
	}
	return out, nil
}

// changes returns the added and removed lines of a patch, preceded by the name of each file.
func (f Fix) changes() ([]string, error) {
	files, err := f.read()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, d := range files {
		name := changedFile(d)
		if !isCompiled(name) {
			continue
		}
		out = append(out, name)
		for _, h := range d.Hunks {
			for line := range strings.Lines(string(h.Body)) {
				if line[0] == '+' || line[0] == '-' {
					out = append(out, line)
				}
			}
		}
	}
	return out, nil
}

// Choose returns the fixes with these names, with or without a suffix such as .patch, in the order of all. A name that is a
// prefix of several (CVE-2026-0992 for CVE-2026-0992_01.patch and _02) selects all of them.
func Choose(all []Fix, names []string) ([]Fix, error) {
	if len(names) == 0 {
		return all, nil
	}
	var have []string
	for _, f := range all {
		have = append(have, f.Name)
	}
	for _, name := range names {
		if !slices.ContainsFunc(all, func(f Fix) bool { return isFix(f, name) }) {
			return nil, fmt.Errorf("no new patch is called %s; there are: %s", name, strings.Join(have, ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(f Fix) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return isFix(f, name) })
	}), nil
}

func isFix(f Fix, name string) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(filepath.Base(f.Name)), strings.ToLower(filepath.Base(name)))
	return ok && (rest == "" || !isWord(rest[0]))
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z'
}
