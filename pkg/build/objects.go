// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/lpelf"
)

// pair is an object of both builds. Either side may be missing.
type pair struct {
	name     string // name of the new object
	oldName  string // differs only if there is exactly one object on each side
	old, new []byte
}

// collect reads objects, archives and directories of them. Keys are paths relative to the directory, file names, or
// ARCHIVE(MEMBER).
func collect(paths []string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, p := range paths {
		st, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		if !st.IsDir() {
			if err := collectFile(out, filepath.Base(p), p, true); err != nil {
				return nil, err
			}
			continue
		}
		err = filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !isObjectFile(path) {
				return err
			}
			rel, err := filepath.Rel(p, path)
			if err != nil {
				return err
			}
			return collectFile(out, rel, path, false)
		})
		if err != nil {
			return nil, err
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: no objects (.o, .a) found", strings.Join(paths, ", "))
	}
	return out, nil
}

// isObjectFile reports whether a file, after following symbolic links, is an object or an archive according to its name or
// its first bytes.
func isObjectFile(path string) bool {
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return false
	}
	if isObjectName(path) {
		return true
	}
	head, err := firstBytes(path)
	return err == nil && (isObject(head) || bytes.HasPrefix(head, []byte("!<")))
}

// firstBytes reads the start of a file, as much as is needed to determine its type.
func firstBytes(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, 64)
	n, err := io.ReadFull(f, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return head[:n], err
}

func isObjectName(path string) bool {
	switch filepath.Ext(path) {
	case ".o", ".a", ".lo", ".os":
		return true
	}
	return false
}

// collectFile adds a file. In a directory, files with the name of an object but another content (libtool's .lo) are skipped.
func collectFile(out map[string][]byte, key, path string, named bool) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	switch {
	case bytes.HasPrefix(data, []byte("!<thin>\n")):
		return fmt.Errorf("%s: a thin archive, which only names its members; give the objects themselves", path)
	case lpelf.IsArchive(data):
		members, err := lpelf.ParseArchive(path, data)
		if err != nil {
			return err
		}
		for _, m := range members {
			if err := addObject(out, key+"("+m.Name+")", m.Data); err != nil {
				return err
			}
		}
		return nil
	case isBitcode(data):
	case !isELF(data):
		if named {
			return fmt.Errorf("%s: neither an object nor an archive; give .o files, .a files or directories of them", path)
		}
		return nil
	}
	if named && !isBitcode(data) {
		// check it under its path, in case the target itself was given as the old object
		f, err := lpelf.Parse(path, data)
		if err == nil {
			err = f.CheckObject()
		}
		if err != nil {
			return err
		}
	}
	return addObject(out, key, data)
}

func addObject(out map[string][]byte, key string, data []byte) error {
	if _, dup := out[key]; dup {
		return fmt.Errorf("%s: two objects of this name on one side; give the directories that hold them instead", key)
	}
	out[key] = data
	return nil
}

// pairUp matches the objects of both sides by key, in sorted order. A single object on each side forms a pair whatever the
// names are.
func pairUp(olds, news map[string][]byte) []pair {
	if len(olds) == 1 && len(news) == 1 {
		for oldName, o := range olds {
			for name, n := range news {
				return []pair{{name: name, oldName: oldName, old: o, new: n}}
			}
		}
	}
	var out []pair
	all := maps.Clone(olds)
	maps.Copy(all, news)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, pair{name: name, oldName: name, old: olds[name], new: news[name]})
	}
	return out
}
