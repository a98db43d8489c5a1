package build

import (
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

	"lpatch/pkg/lpelf"
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
	if w.configured, err = forgetConfigured(src, w.source); err != nil {
		return err
	}
	w.stale, w.tree, err = forgetBuilt(src, trackedFiles(ctx, w.source))
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

// names are the files of a tree, to tell what is made of them.
type names struct{ files, stems map[string]bool }

// leftover is a file that a build may have left: the names of the sources that its objects name, and of the objects.
type leftover struct {
	path    string // below the tree
	archive bool
	objects []madeOf
}

type madeOf struct {
	object  string
	sources []string
}

// forgetBuilt removes from the copy of a tree what compilers and ar have left there, of whatever name, and returns their paths,
// and the names of the others. What has no source in the tree stays: somebody else has made it. So does an archive that git tracks.
func forgetBuilt(dir string, tracked map[string]bool) ([]string, names, error) {
	all := names{files: map[string]bool{}, stems: map[string]bool{}}
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
			all.add(d.Name())
		}
		return err
	})
	var removed []string
	for _, left := range found {
		known := tracked == nil || tracked[left.path]
		if known && (tracked != nil && left.archive || !slices.ContainsFunc(left.objects, all.made)) {
			continue
		}
		removed = append(removed, left.path)
		err = errors.Join(err, os.Remove(filepath.Join(dir, left.path)))
	}
	return removed, all, err
}

func (n names) add(file string) {
	n.files[file] = true
	switch ext := filepath.Ext(file); {
	case isSource(file), slices.Contains([]string{".y", ".yy", ".l", ".ll", ".in", ".re", ".rl", ".asm", ".m", ".f", ".f90", ".cu", ".pyx", ".vala"}, ext):
		n.stems[strings.TrimSuffix(file, ext)] = true
	}
}

// made tells whether an object was made from a file of the tree: from one that it names, or one of its name. automake puts the
// program's name before that of the source, meson its folder's.
func (n names) made(m madeOf) bool {
	switch filepath.Ext(m.object) {
	case ".gch", ".pch", ".lo":
		return true
	}
	if slices.ContainsFunc(m.sources, func(s string) bool { return n.files[s] }) {
		return true
	}
	for stem := strings.TrimSuffix(m.object, filepath.Ext(m.object)); ; {
		if n.files[stem] || n.stems[stem] {
			return true
		}
		i := strings.IndexAny(stem, "-_")
		if i < 0 || len(m.sources) > 0 {
			return false
		}
		stem = stem[i+1:]
	}
}

// readLeftover returns what a file says of how it was made, or nil if it is none that a build leaves.
func readLeftover(path string) (*leftover, error) {
	data, err := readIfBuilt(path)
	if err != nil || data == nil {
		return nil, err
	}
	left := &leftover{}
	base := filepath.Base(path)
	switch {
	case lpelf.IsArchive(data):
		left.archive = true
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
	case isArchive(data): // it has but the names of its members
		left.archive, left.objects = true, []madeOf{{object: base}}
	case isObject(data):
		left.objects = []madeOf{sourcesOf(base, data)}
	default: // libtool's .lo, or a header that was compiled: NAME.h.gch
		left.objects = []madeOf{{object: base}}
	}
	return left, nil
}

// readIfBuilt reads a file whose first bytes, or name, say that a build has left it, or returns nil.
func readIfBuilt(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, nil // then the build cannot read it either
	} else if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 20)
	n, _ := f.Read(head)
	head = head[:n]
	text := string(head)
	header := strings.HasPrefix(text, "gpch") || strings.HasPrefix(text, "CPCH")
	if !isObject(head) && !isArchive(head) && !header && filepath.Ext(path) != ".lo" {
		return nil, nil
	}
	return os.ReadFile(path)
}

// sourcesOf returns the files that an object says it was made from.
func sourcesOf(object string, data []byte) madeOf {
	m := madeOf{object: filepath.Base(object)}
	f, err := lpelf.Parse(object, data)
	if err != nil {
		return m
	}
	for _, s := range f.Symbols {
		if s.Type == elf.STT_FILE && s.Name != "" {
			m.sources = append(m.sources, filepath.Base(s.Name))
		}
	}
	return m
}

// staleText says what was left out of the copy, on a line of its own; "" if that is nothing.
func staleText(stale []string) string {
	if len(stale) == 0 {
		return ""
	}
	text := stale[0]
	if n := len(stale) - 1; n > 0 {
		text += " and " + plural(n, "other file")
	}
	return fmt.Sprintf("\n%s looked like what an earlier build has left, and is not in the copy; what the build cannot make itself should be in an archive (.a) that git tracks, or have no source of its name in the tree", text)
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
				w.patched[name] = content{fileSum(filepath.Join(w.source, name)), fileSum(w.path("src/" + name))}
			}
		}
	}
	return nil
}

func fileSum(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return sumOf(data)
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
		p, now := w.patched[name], fileSum(w.path("src/"+name))
		compiled := isSource(name) || strings.HasPrefix(filepath.Ext(name), ".h") || filepath.Ext(name) == ".inc"
		if now != p.after && (compiled || now == p.before) && p.before != p.after {
			return fmt.Errorf("the build wrote over %s, which %s changes; have the build command leave it as it is, or patch what it makes it from", name, w.o.Patch)
		}
	}
	return nil
}
