// SPDX-License-Identifier: GPL-2.0

package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lpatch/pkg/command"
	"lpatch/pkg/patch"
	"lpatch/pkg/progress"
)

// SourceOptions are the inputs of a build from a source tree.
type SourceOptions struct {
	Target      string
	Symbols     string
	DebugDirs   []string
	Libraries   []string
	Source      string   // directory of the tree; it is copied and never written to
	Patch       string   // patch file, applied with patch -p1
	Command     []string // build command, executed in the top directory of the tree
	Data        bool     // as in Options
	Set         []Set    // as in Options
	On          []string // as in Options
	NotPartOf   []string // as in Options
	Name        string
	Description string
	About       *patch.About
	Tool        string
	Progress    progress.Reporter
	Allowed
}

// FromSource builds the tree without and with the patch, in the same directory one after the other, each time from scratch,
// and creates a patch file from the objects. It does not rely on incremental builds, since a Makefile may lack a header, or
// itself, as a prerequisite. Its errors are those of FromObjects; the error of a failed build contains the part of its log
// with the first error.
func FromSource(ctx context.Context, o SourceOptions) (*Result, error) {
	w, err := buildTwice(ctx, o)
	if err != nil {
		return nil, err
	}
	defer w.remove()
	w.targets = []string{o.Target}
	b, err := w.prepare(o.Target, o.Name)
	if err != nil {
		return nil, err
	}
	return b.finish(nil)
}

// FromSourceEach does the same for several programs and libraries of one tree, which is still built only twice. There is a
// patch NAME-FILE for each target that the fix changes. The error concerns the builds, or files that cannot be read.
func FromSourceEach(ctx context.Context, o SourceOptions, targets []string) ([]ImageResult, error) {
	for _, target := range targets {
		if _, err := os.Stat(target); err != nil {
			return nil, err
		}
	}
	o.Target, o.Symbols = targets[0], ""
	w, err := buildTwice(ctx, o)
	if err != nil {
		return nil, err
	}
	defer w.remove()
	w.targets = targets
	var out []ImageResult
	var parts []*builder
	for _, target := range targets {
		r := ImageResult{Paths: []string{target}, File: target, Name: o.Name + "-" + filepath.Base(target)}
		b, err := w.prepare(target, r.Name)
		if err != nil {
			return nil, err
		}
		out, parts = append(out, r), append(parts, b)
	}
	if err := finishAll(out, parts); err != nil {
		return nil, err
	}
	return out, together(out)
}

// buildTwice makes the objects of both sources. The caller must remove the workshop.
func buildTwice(ctx context.Context, o SourceOptions) (*workshop, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	w, err := newWorkshop(o)
	if err != nil {
		return nil, err
	}
	for _, step := range []struct {
		text string
		do   func(context.Context) error
	}{
		{"copying " + o.Source, w.copyOld},
		{"building the old source", w.buildOld},
		{"applying " + o.Patch, w.copyPatched},
		{"building the new source", w.buildNew},
	} {
		o.Progress.Say("%s", step.text)
		if err := step.do(ctx); err != nil {
			w.remove()
			return nil, err
		}
	}
	return w, nil
}

// prepare compares the objects with one target.
func (w *workshop) prepare(target, name string) (*builder, error) {
	o := w.o
	links, err := readLinks(w.path("old"), w.path("new"))
	if err != nil {
		return nil, err
	}
	links.old.suspectOld(w.tree)
	links.new.suspectOld(w.tree)
	return prepare(Options{
		Target: target, Symbols: o.Symbols, DebugDirs: o.DebugDirs, Libraries: o.Libraries, Links: links, Targets: w.targets, NotPartOf: o.NotPartOf,
		Old: []string{w.path("old")}, New: []string{w.path("new")}, Data: o.Data, Allowed: o.Allowed, Set: o.Set, On: o.On, Name: name, Description: o.Description, About: o.About, Tool: o.Tool,
	})
}

// check detects invalid options before the builds start.
func (o *SourceOptions) check() error {
	if err := patch.CheckName(o.Name); err != nil {
		return err
	}
	if len(o.Command) == 0 {
		return errors.New("no build command; give it behind --, as in: -- make -j4")
	}
	if st, err := os.Stat(o.Source); err != nil {
		return err
	} else if !st.IsDir() {
		return fmt.Errorf("%s: not a directory; DIR is the top of the source tree", o.Source)
	}
	if err := CheckRuntime(o.Target); err != nil {
		return err
	}
	files := append([]string{o.Target, o.Symbols, o.Patch}, o.Libraries...)
	for _, s := range o.Set {
		files = append(files, s.File)
	}
	if st, err := os.Stat(o.Patch); err == nil && st.IsDir() {
		return fmt.Errorf("%s: a directory; --patch names a file, for patch -p1", o.Patch)
	}
	for _, p := range files {
		if p == "" {
			continue
		}
		if f, err := os.Open(p); err != nil {
			return err
		} else if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// workshop is the temporary directory of a build: src (the copy), bin (shims), old and new (the objects of both sources).
type workshop struct {
	dir    string
	source string
	patch  string
	o      SourceOptions
	began  time.Time

	original   map[string]stamp  // the source tree before the builds
	configured map[string]string // left out of the copy, see forgetConfigured
	stale      []string          // left out of the copy, see forgetBuilt
	tree       names             // files in the copy
	tracked    map[string]bool   // by git, see trackedFiles
	patched    map[string]content
	targets    []string // of this build
}

func newWorkshop(o SourceOptions) (*workshop, error) {
	source, err := filepath.Abs(o.Source)
	if err != nil {
		return nil, err
	}
	patchFile, err := filepath.Abs(o.Patch)
	if err != nil {
		return nil, err
	}
	if tmp := os.TempDir(); within(tmp, source) {
		return nil, fmt.Errorf("temporary files go to %s (TMPDIR), which is in %s, so that tree would be copied into itself; set TMPDIR to a directory elsewhere", tmp, source)
	}
	dir, err := os.MkdirTemp("", "lpctl-build-")
	if err != nil {
		return nil, err
	}
	w := &workshop{dir: dir, source: source, patch: patchFile, o: o, began: time.Now()}
	w.original, err = snapshot(w.source)
	for _, d := range []string{"bin", "old", "new"} {
		err = errors.Join(err, os.Mkdir(w.path(d), 0o700))
	}
	self, selfErr := os.Executable()
	if err = errors.Join(err, selfErr); err == nil {
		err = makeShims(w.path("bin"), self, namesIn(filepath.SplitList(os.Getenv("PATH"))))
	}
	if err != nil {
		w.remove()
		return nil, err
	}
	return w, nil
}

func (w *workshop) path(name string) string { return filepath.Join(w.dir, name) }

func (w *workshop) remove() { _ = os.RemoveAll(w.dir) }

func (w *workshop) buildOld(ctx context.Context) error { return w.build(ctx, "old") }

func (w *workshop) buildNew(ctx context.Context) error {
	if err := w.build(ctx, "new"); err != nil {
		return err
	}
	return w.checkPatched()
}

// build builds the copy. objects is the name of the subdirectory for the objects.
func (w *workshop) build(ctx context.Context, objects string) error {
	s := shims{bin: w.path("bin"), objects: w.path(objects), root: w.path("src"), origin: w.source, path: os.Getenv("PATH")}
	more := w.epoch()
	if err := s.write(s.bin, more); err != nil {
		return err
	}
	traced, err := trial(s.objects)
	if err != nil {
		return err
	}
	env, by := s.around(traced)
	log := "build-" + objects
	before := objectCount(w.path("old")) // none in the first build
	stop := w.o.Progress.Watch(func() string { return objectsOf(objectCount(s.objects), before) })
	err = w.runBy(ctx, log, by, append(env, more...))
	stop()
	if strayed := readStrayed(s.objects); strayed != nil {
		return strayed
	}
	if err == nil {
		if refused := readRefused(s.objects, w.o.Target); refused != nil {
			return refused
		}
	}
	if err == nil {
		err = noteLater(s.objects, s.root)
	}
	made := objectCount(s.objects)
	if err == nil && made == 0 {
		err = fmt.Errorf("%s made no object: %s%s", strings.Join(w.o.Command, " "), w.whyNone(), command.Excerpt(w.path(log+".log")))
	}
	if err != nil {
		if wrote := checkUntouched(w.source, w.original); wrote != nil {
			err = fmt.Errorf("%w\n%w", err, wrote)
		}
		return keepLog(fmt.Errorf("%w%s", err, configuredText(w.configured, w.o.Source)+staleText(w.stale)), w.path(log+".log"))
	}
	if err := checkUntouched(w.source, w.original); err != nil {
		return err
	}
	w.o.Progress.Say("  %s", objectsMade(s.objects))
	return nil
}

// epoch makes compilers use one time for __DATE__ and __TIME__ in both builds
// (reproducible-builds.org/specs/source-date-epoch).
func (w *workshop) epoch() []string {
	if os.Getenv("SOURCE_DATE_EPOCH") != "" {
		return nil
	}
	return []string{fmt.Sprintf("SOURCE_DATE_EPOCH=%d", w.began.Unix())}
}

// foreign lists unsupported languages, with their build commands and the files in the top directory of their trees.
var foreign = []struct{ language, commands, files string }{
	{"Go", "go", "go.mod"}, {"Java", "mvn gradle gradlew javac ant", "pom.xml build.gradle"},
	{"Swift", "swift swiftc", "Package.swift"}, {"Zig", "zig", "build.zig"}, {"C#", "dotnet", ""}, {"Haskell", "ghc cabal stack", ""},
}

// whyNone tells why a build made no object, as far as the command and the tree show.
func (w *workshop) whyNone() string {
	commands := commandsIn(w.o.Command)
	for _, f := range foreign {
		called := slices.ContainsFunc(strings.Fields(f.commands), func(name string) bool { return slices.Contains(commands, name) })
		there := slices.ContainsFunc(strings.Fields(f.files), func(name string) bool {
			_, err := os.Stat(filepath.Join(w.source, name))
			return err == nil
		})
		if called || there {
			return "programs in " + f.language + " cannot be patched; lpctl build takes C, C++ and Rust that gcc, clang or rustc compile"
		}
	}
	return "it must call gcc, clang or rustc, itself and not by a server that runs already, and must not be up to date already"
}

// commandsIn returns the commands in a command line, and those in scripts among its arguments.
func commandsIn(args []string) []string {
	var out []string
	for i, arg := range args {
		if i > 0 && !strings.ContainsAny(arg, " \t\n") {
			continue
		}
		for _, part := range strings.FieldsFunc(arg, func(r rune) bool { return strings.ContainsRune(";&|()\n", r) }) {
			if words := strings.Fields(part); len(words) > 0 {
				out = append(out, filepath.Base(words[0]))
			}
		}
	}
	return out
}

// plural formats a number with its noun.
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// runBy runs the build command in the copy of the tree, through the command by if it is not empty.
func (w *workshop) runBy(ctx context.Context, log string, by, env []string) error {
	c := command.Command{By: by, Args: w.o.Command, Dir: w.path("src"), Env: env, Log: w.path(log + ".log")}
	return c.Run(ctx)
}

// run runs a command in the copy of the tree.
func (w *workshop) run(ctx context.Context, log string, args, env []string) error {
	c := command.Command{Args: args, Dir: w.path("src"), Env: env, Log: w.path(log + ".log")}
	return c.Run(ctx)
}

// keepLog saves the log of a failed build from the temporary directory and adds its path to the error.
func keepLog(err error, log string) error {
	data, readErr := os.ReadFile(log)
	if readErr != nil || len(data) == 0 || errors.Is(err, context.Canceled) {
		return err
	}
	f, createErr := os.CreateTemp("", "lpctl-build-*.log")
	if createErr != nil {
		return err
	}
	if _, writeErr := f.Write(data); errors.Join(writeErr, f.Close()) != nil {
		return err
	}
	return fmt.Errorf("%w\nall of its output: %s", err, f.Name())
}
