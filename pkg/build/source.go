package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"lpatch/pkg/patch"
)

// SourceOptions say what to build a patch from when the builds are to be done as well.
type SourceOptions struct {
	Target      string
	Symbols     string
	DebugDirs   []string
	Libraries   []string
	Source      string   // folder; it is copied and never written to
	Patch       string   // the change, for patch -p1
	Command     []string // builds the tree, in its top folder
	Data        bool     // as in Options
	LayoutOK    []string // as in Options
	Set         []Set    // as in Options
	Name        string
	Description string
	Tool        string
	Progress    io.Writer // sentences about what is going on; nil for none
}

// FromSource builds the tree as it is and with the patch, one after the other in the same copy, and makes the patch from
// the objects. Errors are those of FromObjects; the error of a failed build ends with the end of its log.
func FromSource(ctx context.Context, o SourceOptions) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	w, err := newWorkshop(o)
	if err != nil {
		return nil, err
	}
	defer w.remove()
	for _, step := range []struct {
		text string
		do   func(context.Context) error
	}{
		{"copying " + o.Source, w.copySource},
		{"building the old source", w.buildOld},
		{"applying " + o.Patch, w.applyPatch},
		{"building the new source", w.buildNew},
	} {
		if o.Progress != nil {
			fmt.Fprintln(o.Progress, step.text)
		}
		if err := step.do(ctx); err != nil {
			return nil, err
		}
	}
	return FromObjects(Options{
		Target: o.Target, Symbols: o.Symbols, DebugDirs: o.DebugDirs, Libraries: o.Libraries,
		Old: []string{w.path("old")}, New: []string{w.path("objects")}, Data: o.Data, LayoutOK: o.LayoutOK, Set: o.Set, Name: o.Name, Description: o.Description, Tool: o.Tool,
	})
}

// check finds what would only fail after a long build.
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
		return fmt.Errorf("%s: not a folder; --source names the top of the source tree", o.Source)
	}
	files := append([]string{o.Target, o.Symbols, o.Patch}, o.Libraries...)
	for _, s := range o.Set {
		files = append(files, s.File)
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

// workshop is the temporary folder of a build: src (the copy), bin (shims), objects (as recorded), old (after the first
// build).
type workshop struct {
	dir    string
	source string
	patch  string
	o      SourceOptions
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
	dir, err := os.MkdirTemp("", "lpctl-build-")
	if err != nil {
		return nil, err
	}
	w := &workshop{dir: dir, source: source, patch: patchFile, o: o}
	for _, d := range []string{"src", "bin", "objects"} {
		if err := os.Mkdir(w.path(d), 0o700); err != nil {
			w.remove()
			return nil, err
		}
	}
	if err := w.makeShims(); err != nil {
		w.remove()
		return nil, err
	}
	return w, nil
}

func (w *workshop) path(name string) string { return filepath.Join(w.dir, name) }

func (w *workshop) remove() { _ = os.RemoveAll(w.dir) }

// makeShims links the name of every compiler in PATH to this program.
func (w *workshop) makeShims() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // PATH may name folders that do not exist
		}
		for _, e := range entries {
			if !compilerName.MatchString(e.Name()) {
				continue
			}
			if err := os.Symlink(self, filepath.Join(w.path("bin"), e.Name())); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
	}
	return nil
}

// copySource copies the tree without objects, so that the first build makes all of them.
func (w *workshop) copySource(ctx context.Context) error {
	if err := w.run(ctx, "copy", []string{"cp", "-a", "--reflink=auto", w.source + "/.", w.path("src")}, nil); err != nil {
		return err
	}
	return filepath.WalkDir(w.path("src"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch filepath.Ext(path) {
		case ".o", ".lo", ".os":
			if d.Type().IsRegular() {
				return os.Remove(path)
			}
		}
		return nil
	})
}

func (w *workshop) buildOld(ctx context.Context) error {
	if err := w.build(ctx, "build-old"); err != nil {
		return err
	}
	// Hard links: the second build replaces the objects that it makes anew.
	return w.run(ctx, "keep", []string{"cp", "-al", w.path("objects"), w.path("old")}, nil)
}

func (w *workshop) applyPatch(ctx context.Context) error {
	err := w.run(ctx, "patch", []string{"patch", "-p1", "--batch", "--forward", "-i", w.patch}, nil)
	if err != nil {
		return fmt.Errorf("%s does not apply to %s with patch -p1: %w", w.o.Patch, w.o.Source, err)
	}
	return nil
}

func (w *workshop) buildNew(ctx context.Context) error { return w.build(ctx, "build-new") }

func (w *workshop) build(ctx context.Context, log string) error {
	path := os.Getenv("PATH")
	env := []string{
		"PATH=" + w.path("bin") + string(filepath.ListSeparator) + path,
		shimEnv + "=" + w.path("bin"), shimPathEnv + "=" + path, shimObjEnv + "=" + w.path("objects"),
		shimRootEnv + "=" + w.path("src"), shimOrigEnv + "=" + w.source,
	}
	if err := w.run(ctx, log, w.o.Command, env); err != nil {
		return err
	}
	entries, err := os.ReadDir(w.path("objects"))
	if err == nil && len(entries) == 0 {
		err = fmt.Errorf("%s made no object: it must call the compiler by name (gcc, cc, clang), not by path, and must not be up to date already",
			strings.Join(w.o.Command, " "))
	}
	return err
}

// logTail is how many lines of a failed command's output are shown.
const logTail = 30

// run runs a command in the copy of the tree, with its whole process group ended if ctx ends.
func (w *workshop) run(ctx context.Context, log string, command, env []string) error {
	out, err := os.Create(w.path(log + ".log"))
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	cmd := exec.CommandContext(ctx, lookPath(command[0], env), command[1:]...)
	cmd.Dir = w.path("src")
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s: %w%s", strings.Join(command, " "), err, tail(out.Name()))
	}
	return nil
}

// lookPath finds a command as a shell with the variables env would, for a build command may be a compiler itself.
func lookPath(name string, env []string) string {
	if strings.Contains(name, "/") {
		return name
	}
	for _, v := range env {
		path, ok := strings.CutPrefix(v, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(path) {
			if file, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return file
			}
		}
	}
	return name
}

// tail returns the last lines of a log, indented.
func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil || len(data) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	if n := len(lines); n > logTail {
		lines = append([]string{fmt.Sprintf("... %d lines before", n-logTail)}, lines[n-logTail:]...)
	}
	return "\n    " + strings.Join(lines, "\n    ")
}
