// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Fix is a patch of debian/patches.
type Fix struct {
	Name string // as in the series
	Path string
}

// series reads debian/patches/series of an unpacked source package: names of patches, in the order in which they are
// applied. Comments and options for patch are left out.
func series(tree string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(tree, "debian/patches/series"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, line := range strings.Split(string(data), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) > 0 {
			names = append(names, f[0])
		}
	}
	return names, nil
}

// NewFixes lists the patches that the newer source package has and the older has not, in their order.
func NewFixes(older, newer string) ([]Fix, error) {
	had, err := series(older)
	if err != nil {
		return nil, err
	}
	has, err := series(newer)
	if err != nil {
		return nil, err
	}
	var fixes []Fix
	for _, name := range has {
		if !slices.Contains(had, name) {
			fixes = append(fixes, Fix{name, filepath.Join(newer, "debian/patches", name)})
		}
	}
	return fixes, nil
}

// ChangedFixes lists the patches that both source packages have under one name and that do not change the same, and those that only the
// older one has. Line numbers, headings and context may differ, and what is not compiled.
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
	for _, name := range had {
		if slices.Contains(has, name) {
			was, err := changes(filepath.Join(older, "debian/patches", name))
			if err != nil {
				return nil, err
			}
			is, err := changes(filepath.Join(newer, "debian/patches", name))
			if err != nil {
				return nil, err
			}
			if slices.Equal(was, is) {
				continue
			}
		}
		out = append(out, name)
	}
	return out, nil
}

// changes returns the lines that a patch adds and removes, after the name of each file.
func changes(path string) ([]string, error) {
	files, err := readDiff(path)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range files {
		name := changedFile(f)
		if !isCompiled(name) {
			continue
		}
		out = append(out, name)
		for _, h := range f.Hunks {
			for line := range strings.Lines(string(h.Body)) {
				if line[0] == '+' || line[0] == '-' {
					out = append(out, line)
				}
			}
		}
	}
	return out, nil
}

// Choose returns the fixes of these names, with or without a suffix like .patch, in the order of all. A name that stands
// for several (CVE-2026-0992 for CVE-2026-0992_01.patch and _02) chooses all of them.
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
