// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/lpelf"
	symbolnames "lpatch/pkg/names"
)

// copySource copies the tree without build outputs, so that the first build is complete, and without configuration output
// that would redirect the build to the original.
func (w *workshop) copySource(ctx context.Context) error {
	var err error
	src := w.path("src")
	if err := os.Mkdir(src, 0o700); err != nil {
		return err
	}
	if err := w.run(ctx, "copy", []string{"cp", "-a", "--reflink=auto", w.source + "/.", src}, nil); err != nil {
		return err
	}
	if err := turnLinks(src, w.source); err != nil {
		return err
	}
	if err := forgetCargo(src); err != nil {
		return err
	}
	if w.configured, err = forgetConfigured(src, w.source); err != nil {
		return err
	}
	w.tracked = trackedFiles(ctx, w.source)
	w.stale, w.tree, err = forgetBuilt(src, w.tracked)
	return err
}

// turnLinks redirects symbolic links in the copy that point into the original.
func turnLinks(dir, source string) error {
	root, err := filepath.EvalSymlinks(source)
	if err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type() != fs.ModeSymlink {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		to, err := os.Readlink(path)
		if err != nil {
			return err
		}
		if inTree := filepath.Join(filepath.Dir(rel), to); !filepath.IsAbs(to) && filepath.IsLocal(inTree) {
			return nil
		}
		real, err := filepath.EvalSymlinks(filepath.Join(source, rel))
		if err != nil {
			return nil //nolint:nilerr // it leads nowhere
		}
		if in, err := filepath.Rel(root, real); err == nil && filepath.IsLocal(in) {
			return errors.Join(os.Remove(path), os.Symlink(filepath.Join(dir, in), path))
		}
		return nil
	})
}

// trackedFiles returns the files in the git index of a tree, or nil if there is none. It executes nothing that the git
// configuration of the tree names.
func trackedFiles(ctx context.Context, tree string) map[string]bool {
	args := []string{"-C", tree, "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "ls-files", "-z", "--recurse-submodules"}
	out, err := exec.CommandContext(ctx, "git", args...).Output()
	if err != nil || len(out) == 0 {
		return nil
	}
	tracked := map[string]bool{}
	for _, name := range strings.Split(string(out), "\x00") {
		tracked[name] = true
	}
	return tracked
}

// names indexes the files of a tree: paths by file name, and paths of source files by file name without suffix.
type names struct {
	dir          string
	files, stems map[string][]string
}

// leftover is a file that may be a build output, with the sources of the objects in it.
type leftover struct {
	path    string // relative to the tree
	shipped bool   // an archive or program, which may be tracked by git on purpose
	sure    bool   // only builds create such a file
	objects []madeOf
}

type madeOf struct {
	object    string
	sources   []string
	functions []string // global functions that it defines
	program   bool
}

// forgetBuilt removes the outputs of compilers, linkers and ar from the copy of a tree, whatever their names, and returns
// their paths and an index of the remaining files. Programs are removed because they may generate sources. Files without a
// source in the tree, and archives and programs tracked by git, are retained.
func forgetBuilt(dir string, tracked map[string]bool) ([]string, names, error) {
	all := names{dir: dir, files: map[string][]string{}, stems: map[string][]string{}}
	var found []leftover
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		left, err := readLeftover(path)
		if left != nil {
			left.path = rel
			found = append(found, *left)
		} else {
			all.add(rel)
		}
		return err
	})
	var removed []string
	for _, left := range found {
		if tracked[left.path] && left.shipped || !left.sure && !slices.ContainsFunc(left.objects, all.made) {
			continue
		}
		removed = append(removed, left.path)
		err = errors.Join(err, os.Remove(filepath.Join(dir, left.path)))
	}
	return removed, all, err
}

func (n names) add(path string) {
	file := filepath.Base(path)
	n.files[file] = append(n.files[file], path)
	switch ext := filepath.Ext(file); {
	case isSource(file), slices.Contains([]string{".y", ".yy", ".l", ".ll", ".in", ".re", ".rl", ".asm", ".m", ".f", ".f90", ".cu", ".pyx", ".vala"}, ext):
		stem := strings.TrimSuffix(file, ext)
		n.stems[stem] = append(n.stems[stem], path)
	}
}

// made reports whether an object was made from a file of the tree: one that it names, or one with a matching name. automake
// prepends the name of the program to that of the source, meson that of the directory.
func (n names) made(m madeOf) bool {
	if slices.ContainsFunc(m.sources, func(s string) bool { return n.define(n.files[s], m) }) {
		return true
	}
	for stem := strings.TrimSuffix(m.object, filepath.Ext(m.object)); ; {
		if n.define(n.stems[stem], m) || !m.program && n.define(n.files[stem], m) {
			return true
		}
		i := strings.IndexAny(stem, "-_")
		if i < 0 || m.program || len(m.sources) > 0 {
			return false
		}
		stem = stem[i+1:]
	}
}

// pastes matches source text that may define functions whose names it does not contain.
var pastes = lazyregexp.New(`##|#\s*include\s*["<][^">]*\.(c|cc|cpp|cxx|inc|tcc|def)[">]`)

// define reports whether one of the files in paths may be the source of an object. A common name such as main.c is not
// sufficient; the file must contain the names of the functions. Sources that are not C, or that construct names, are
// identified by file name only.
func (n names) define(paths []string, m madeOf) bool {
	return slices.ContainsFunc(paths, func(path string) bool {
		if len(m.functions) == 0 || !isSource(path) {
			return true
		}
		text, err := os.ReadFile(filepath.Join(n.dir, path))
		return err != nil || pastes().Match(text) || slices.ContainsFunc(m.functions, func(f string) bool { return bytes.Contains(text, []byte(inSource(f))) })
	})
}

// inSource returns the unqualified source name of a function, or "" if it is not easily derived from the symbol.
func inSource(symbol string) string {
	short := symbolnames.Short(symbol)
	name := short[strings.LastIndex(short, ":")+1:]
	if strings.ContainsAny(short, "<( ") || strings.HasPrefix(name, "operator") {
		return ""
	}
	return name
}

// readLeftover returns information about how a file was made, or nil if it is not a build output.
func readLeftover(path string) (*leftover, error) {
	data, err := readIfBuilt(path)
	if err != nil || data == nil {
		return nil, err
	}
	left := &leftover{}
	switch {
	case lpelf.IsArchive(data):
		left.shipped = true
		members, err := lpelf.ParseArchive(path, data)
		if err != nil {
			return nil, nil //nolint:nilerr // a file for a test, and no linker takes it
		}
		for _, m := range members {
			if isObject(m.Data) {
				left.objects = append(left.objects, sourcesOf(m.Name, m.Data))
			}
		}
		if len(left.objects) == 0 {
			return nil, nil // for example a Debian package
		}
	case isArchive(data): // its members are objects of the same tree
		left.shipped, left.sure = true, true
	case isObject(data), isProgram(data):
		left.shipped = isProgram(data)
		left.objects = []madeOf{sourcesOf(path, data)}
	default: // libtool's .lo, or a precompiled header (.gch)
		left.sure = true
	}
	return left, nil
}

// isProgram reports whether data is a program or a shared object.
func isProgram(data []byte) bool {
	return len(data) > 18 && isELF(data) && (elf.Type(data[16]) == elf.ET_EXEC || elf.Type(data[16]) == elf.ET_DYN)
}

// readIfBuilt reads a file if its first bytes or its name indicate a build output, else it returns nil.
func readIfBuilt(path string) ([]byte, error) {
	head, err := firstBytes(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, nil // the build cannot read it either
	} else if err != nil {
		return nil, err
	}
	text := string(head)
	header := strings.HasPrefix(text, "gpch") || strings.HasPrefix(text, "CPCH") || slices.Contains([]string{".lo", ".gch", ".pch"}, filepath.Ext(path))
	if !isObject(head) && !isProgram(head) && !isArchive(head) && !header {
		return nil, nil
	}
	return os.ReadFile(path)
}

// ofAnyProgram lists functions that exist in every program and do not identify its source.
var ofAnyProgram = []string{"main", "_start", "_init", "_fini"}

// sourcesOf returns the source files that an object or program names, and the global functions that it defines.
func sourcesOf(object string, data []byte) madeOf {
	m := madeOf{object: filepath.Base(object), program: isProgram(data)}
	f, err := lpelf.Parse(object, data)
	if err != nil {
		return m
	}
	for _, s := range f.Symbols {
		switch {
		case s.Name == "":
		case s.Type == elf.STT_FILE:
			m.sources = append(m.sources, filepath.Base(s.Name))
		case s.Type == elf.STT_FUNC && s.Bind == elf.STB_GLOBAL && s.Defined() && !(m.program && slices.Contains(ofAnyProgram, s.Name)):
			m.functions = append(m.functions, s.Name)
		}
	}
	return m
}

// staleText returns a line that tells what was left out of the copy, or "".
func staleText(stale []string) string {
	if len(stale) == 0 {
		return ""
	}
	return fmt.Sprintf("\n%s looked like what an earlier build has left, and is not in the copy; what the build cannot make itself should be an archive (.a) or program that git tracks, or have no source of its name in the tree", andOthers(stale))
}

// content holds the SHA-256 of a file after and before the patch was applied; "" if the file did not exist.
type content struct{ before, after string }

func (w *workshop) copyPatched(ctx context.Context) error {
	if err := os.RemoveAll(w.path("src")); err != nil {
		return err
	}
	if err := w.copySource(ctx); err != nil {
		return err
	}
	before, err := snapshot(w.path("src"))
	if err != nil {
		return err
	}
	err = w.run(ctx, "patch", []string{"patch", "-p1", "--batch", "--forward", "-i", w.patch}, nil)
	if err != nil {
		return fmt.Errorf("%s does not apply to %s with patch -p1: %w", w.o.Patch, w.o.Source, err)
	}
	after, err := snapshot(w.path("src"))
	if err != nil {
		return err
	}
	w.patched = map[string]content{}
	for _, side := range []map[string]stamp{before, after} {
		for name := range side {
			if before[name] != after[name] {
				if err := w.keepLines(name); err != nil {
					return err
				}
				if w.patched[name], err = w.contentOf(name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (w *workshop) contentOf(name string) (content, error) {
	before, err := fileSum(filepath.Join(w.source, name))
	after, afterErr := fileSum(w.path("src/" + name))
	return content{before, after}, errors.Join(err, afterErr)
}

// fileSum returns the SHA-256 of a file, or "" if it does not exist or is a directory.
func fileSum(path string) (string, error) {
	data, err := os.ReadFile(path)
	switch {
	case isMissing(err) || errors.Is(err, syscall.EISDIR):
		return "", nil
	case err != nil:
		return "", err
	}
	return sumOf(data), nil
}

// isMissing reports whether an error says that a file does not exist, including the case that a parent is not a directory.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// checkPatched returns an error if the build replaced a file that the patch changed. Generated files, such as configure, may
// differ, but must not be the same as without the patch.
func (w *workshop) checkPatched() error {
	var names []string
	for name := range w.patched {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p := w.patched[name]
		now, err := fileSum(w.path("src/" + name))
		if err != nil {
			return err
		}
		if now != p.after && (isCompiled(name) || now == p.before) && p.before != p.after {
			return fmt.Errorf("the build wrote over %s, which %s changes; have the build command leave it as it is, or patch what it makes it from", name, w.o.Patch)
		}
	}
	return nil
}

// isCompiled reports whether a file is a source or header of C or C++.
func isCompiled(name string) bool {
	return isSource(name) || strings.HasPrefix(filepath.Ext(name), ".h") || filepath.Ext(name) == ".inc"
}
