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

// keepLines preserves the line numbers of the lines that a fix did not change, in a file that it did change
// (pkg/linenumbers). The rest of the file and its modification time, which make uses, remain unchanged. Symbolic links that
// lead out of the tree are not followed.
func keepLines(tree *os.Root, name string, old []byte) error {
	st, err := tree.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !st.Mode().IsRegular() {
		return nil
	} else if err != nil {
		return err
	}
	new, err := tree.ReadFile(name)
	if err != nil {
		return err
	}
	keep := linenumbers.Keep
	if filepath.Ext(name) == ".rs" {
		keep = linenumbers.KeepRust
	}
	kept := keep(old, new)
	if slices.Equal(kept, new) {
		return nil
	}
	if err := tree.Remove(name); err != nil { // it may be read-only
		return err
	}
	return errors.Join(tree.WriteFile(name, kept, st.Mode().Perm()), tree.Chtimes(name, st.ModTime(), st.ModTime()))
}

// keepLines does this for a file of the copy that the patch has changed.
func (w *workshop) keepLines(name string) error {
	old, err := os.ReadFile(filepath.Join(w.source, name))
	if isMissing(err) || !hasLines(name) {
		return nil
	} else if err != nil {
		return err
	}
	tree, err := os.OpenRoot(w.path("src"))
	if err != nil {
		return err
	}
	defer tree.Close()
	return keepLines(tree, name, old)
}

// sourcesOfFixes returns the files whose line numbers fixes change.
func sourcesOfFixes(fixes []deb.Fix) ([]string, error) {
	var out []string
	for _, f := range fixes {
		names, err := f.Files()
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if hasLines(name) && filepath.IsLocal(name) && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out, nil
}

// hasLines reports whether keepLines supports a file: sources of Rust, and C and C++ sources and headers. Excluded are .inc,
// which NASM and make also use, and assembly sources.
func hasLines(name string) bool {
	ext := filepath.Ext(name)
	return filepath.Ext(name) == ".rs" || isHeader().MatchString(name) || isSource(name) && !slices.Contains([]string{".S", ".s", ".sx", ".i", ".ii"}, ext)
}
