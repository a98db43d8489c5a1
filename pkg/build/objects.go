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

// pair is an object of both builds; either side may be missing.
type pair struct {
	name     string // of the new object
	oldName  string // another one only if there is one object on each side
	old, new []byte
}

// collect reads objects, archives and directories of them. The key is the path below the directory, the name of the file, or
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

// isObjectFile tells whether a file, or what a symbolic link leads to, is an object or an archive by its name or by how it
// begins.
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

// firstBytes reads how a file begins, as far as that tells what it is.
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

// collectFile adds one file. Within a directory, a file that merely looks like an object (libtool's .lo) is passed over.
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
		// Named by its path, before it is one of a pair: the target itself may have been given as the old object.
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

// pairUp matches the objects of both sides by key, in the order of the keys. One object on each side is a pair whatever
// the names.
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
