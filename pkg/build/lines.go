// SPDX-License-Identifier: GPL-2.0

package build

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"lpatch/pkg/deb"
	"lpatch/pkg/linenumbers"
)

// keepLines has the lines of a source that a fix has changed keep their numbers, if they were in the old text. Nothing else of
// the file changes, nor its time, by which make may tell what it generates.
func keepLines(path string, old []byte) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !st.Mode().IsRegular() {
		return nil
	} else if err != nil {
		return err
	}
	new, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	keep := linenumbers.Keep
	if filepath.Ext(path) == ".rs" {
		keep = linenumbers.KeepRust
	}
	kept := keep(old, new)
	if slices.Equal(kept, new) {
		return nil
	}
	if err := os.Remove(path); err != nil { // it may be read-only
		return err
	}
	return errors.Join(os.WriteFile(path, kept, st.Mode().Perm()), os.Chtimes(path, st.ModTime(), st.ModTime()))
}

// keepLines does so for what the patch has changed in the copy.
func (w *workshop) keepLines(name string) error {
	old, err := os.ReadFile(filepath.Join(w.source, name))
	if isMissing(err) || !hasLines(name) {
		return nil
	} else if err != nil {
		return err
	}
	return keepLines(w.path("src/"+name), old)
}

// sourcesOfFixes reads what fixes change, before that is done: the texts by path.
func sourcesOfFixes(fixes []deb.Fix, tree string) (map[string][]byte, error) {
	texts := map[string][]byte{}
	for _, f := range fixes {
		names, err := f.Files()
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			path := filepath.Join(tree, name)
			if !hasLines(name) || !filepath.IsLocal(name) {
				continue
			}
			text, err := os.ReadFile(path)
			if err == nil {
				texts[path] = text
			} else if !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
	}
	return texts, nil
}

// hasLines tells sources of Rust, and sources and headers that only a preprocessor of C reads: not .inc, which NASM and make have too, and none of
// assembly.
func hasLines(name string) bool {
	ext := filepath.Ext(name)
	return filepath.Ext(name) == ".rs" || isHeader().MatchString(name) || isSource(name) && !slices.Contains([]string{".S", ".s", ".sx", ".i", ".ii"}, ext)
}
