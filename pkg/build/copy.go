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

// copySource copies the tree without what builds have left there, so that the first build makes all of it, and without what
// would have it built in the original.
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

// turnLinks has symbolic links in the copy that lead into the original lead into the copy.
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

// trackedFiles returns the files of a tree that git has in its index, or nil if it has none. Nothing that the tree's own
// configuration names is run.
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

// names are the files of a tree, to tell what is made of them: their paths by name, and those of sources by name without ending.
type names struct {
	dir          string
	files, stems map[string][]string
}

// leftover is a file that a build may have left: the names of the sources that its objects name, and of the objects.
type leftover struct {
	path    string // below the tree
	shipped bool   // an archive or program, which somebody may have put under git
	sure    bool   // nobody else makes such a file
	objects []madeOf
}

type madeOf struct {
	object    string
	sources   []string
	functions []string // that it defines for others
	program   bool
}

// forgetBuilt removes from the copy of a tree what compilers, linkers and ar have left there, of whatever name, and returns their
// paths, and the names of the others. A program that is left may be what generates a source. What has no source in the tree
// stays: somebody else has made it. So does an archive or program that git tracks.
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

// made tells whether an object was made from a file of the tree: from one that it names, or one of its name. automake puts the
// program's name before that of the source, meson its directory's.
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

// pastes is found in a source whose functions may have names that its text has not.
var pastes = lazyregexp.New(`##|#\s*include\s*["<][^">]*\.(c|cc|cpp|cxx|inc|tcc|def)[">]`)

// define tells whether one of the files of that name may be the one that an object was made from: others have a main.c or utils.c,
// too, but not with the same functions. What is generated from other than C, or with other names, is known by its own name only.
func (n names) define(paths []string, m madeOf) bool {
	return slices.ContainsFunc(paths, func(path string) bool {
		if len(m.functions) == 0 || !isSource(path) {
			return true
		}
		text, err := os.ReadFile(filepath.Join(n.dir, path))
		return err != nil || pastes().Match(text) || slices.ContainsFunc(m.functions, func(f string) bool { return bytes.Contains(text, []byte(inSource(f))) })
	})
}

// inSource is what a source calls a function that it defines, without scope; "" if that is not simple to tell.
func inSource(symbol string) string {
	short := symbolnames.Short(symbol)
	name := short[strings.LastIndex(short, ":")+1:]
	if strings.ContainsAny(short, "<( ") || strings.HasPrefix(name, "operator") {
		return ""
	}
	return name
}

// readLeftover returns what a file says of how it was made, or nil if it is none that a build leaves.
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
			return nil, nil // a Debian package is an archive, too
		}
	case isArchive(data): // it has but the names of its members, which are objects of the same tree
		left.shipped, left.sure = true, true
	case isObject(data), isProgram(data):
		left.shipped = isProgram(data)
		left.objects = []madeOf{sourcesOf(path, data)}
	default: // libtool's .lo, or a header that was compiled: NAME.h.gch
		left.sure = true
	}
	return left, nil
}

// isProgram tells programs and shared objects.
func isProgram(data []byte) bool {
	return len(data) > 18 && isELF(data) && (elf.Type(data[16]) == elf.ET_EXEC || elf.Type(data[16]) == elf.ET_DYN)
}

// readIfBuilt reads a file whose first bytes, or name, say that a build has left it, or returns nil.
func readIfBuilt(path string) ([]byte, error) {
	head, err := firstBytes(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, nil // then the build cannot read it either
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

// ofAnyProgram are functions that say nothing of where a program is from.
var ofAnyProgram = []string{"main", "_start", "_init", "_fini"}

// sourcesOf returns the files that an object or program says it was made from, and the functions that it defines for others.
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

// staleText says what was left out of the copy, on a line of its own; "" if that is nothing.
func staleText(stale []string) string {
	if len(stale) == 0 {
		return ""
	}
	return fmt.Sprintf("\n%s looked like what an earlier build has left, and is not in the copy; what the build cannot make itself should be an archive (.a) or program that git tracks, or have no source of its name in the tree", andOthers(stale))
}

// content is what a file had after the patch was applied, and before; "" if there was none.
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

// fileSum is "" for what is not there, and for a directory, to which a symbolic link may lead.
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

// isMissing tells that there is no file of that name: it may be below what is a file by now.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// checkPatched returns an error if the build put something else in the place of what the patch changed. What is generated, such
// as configure, may differ, but not be as it was without the patch.
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

// isCompiled tells sources and headers of C and C++.
func isCompiled(name string) bool {
	return isSource(name) || strings.HasPrefix(filepath.Ext(name), ".h") || filepath.Ext(name) == ".inc"
}
