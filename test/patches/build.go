// SPDX-License-Identifier: GPL-2.0

package patches

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/build"
)

// Built is a case as compiled in one way.
type Built struct {
	Case   *Case
	Config Config
	Dir    string // with prog, libcase.so if the case is a library, old and new with the objects
}

// Name is that of the case and the configuration.
func (b *Built) Name() string { return b.Case.Name + "-" + b.Config.Name() }

// Target is the file that is patched.
func (b *Built) Target() string {
	if b.Case.Library {
		return filepath.Join(b.Dir, b.library())
	}
	return filepath.Join(b.Dir, "prog")
}

// library is the file name of the case's library.
func (b *Built) library() string { return b.Name() + ".so" }

// Builder compiles cases. What was compiled before from the same sources in the same way is taken from its directory.
type Builder struct {
	Cache string // directory
	Root  string // this directory
}

// driver is the program around a case.
func (b *Builder) driver() string { return filepath.Join(b.Root, "../target/driver.c") }

// compilers are the commands, by name and language.
var compilers = map[string]string{"gcc": "gcc", "gcc++": "g++", "clang": "clang-14", "clang++": "clang++-14"}

// kinds are the flags for objects and for linking.
var kinds = map[string][2]string{"pie": {"-fPIE", "-pie"}, "nopie": {"-fno-pie", "-no-pie"}, "library": {"-fPIC", "-shared"}}

// Compile compiles a case: the program as it was, linked from objects as distributions make them, and the objects of both
// versions with a section for each function.
func (b *Builder) Compile(c *Case, cfg Config) (*Built, error) {
	out := &Built{Case: c, Config: cfg}
	steps := b.steps(out)
	key, err := b.key(c, steps)
	if err != nil {
		return nil, err
	}
	out.Dir = filepath.Join(b.Cache, key)
	if _, err := os.Stat(out.Dir); err == nil {
		return out, nil
	}
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp(b.Cache, "tmp")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	for _, s := range steps {
		dir := filepath.Join(tmp, s.dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		cmd := exec.Command(s.args[0], s.args[1:]...)
		cmd.Dir = dir
		if text, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", cmd, err, text)
		}
	}
	if err := os.Rename(tmp, out.Dir); err != nil && !errors.Is(err, os.ErrExist) {
		if _, there := os.Stat(out.Dir); there != nil {
			return nil, err
		} // else another run was faster
	}
	return out, nil
}

// step is a command, and the directory that it is run in.
type step struct {
	dir  string
	args []string
}

func (b *Builder) steps(out *Built) []step {
	c, cc := out.Case, out.Config.CC
	if c.Cxx {
		cc += "++"
	}
	kind := kinds[out.Config.Kind]
	unit := kind
	if c.Library {
		unit = kinds["library"]
	}
	command := func(args ...[]string) []string { return slices.Concat(append([][]string{{compilers[cc]}}, args...)...) }
	common := slices.Concat([]string{"-" + out.Config.Opt, "-pthread", unit[0]})
	var sources []string
	for _, s := range c.Sources {
		sources = append(sources, filepath.Join(c.Dir, s))
	}
	sections := []string{"-g", "-Wall", "-Wextra", "-ffunction-sections", "-fdata-sections", "-c"}
	driver := []string{"gcc", "-O1", "-pthread", kind[0], "-c", "-o", "main.o", b.driver()}
	steps := []step{{".", driver}}
	for directory, some := range byDirectory(sources, c.Dir) {
		steps = append(steps, step{filepath.Join("old", directory), command(common, sections, c.Flags, some)},
			step{filepath.Join("new", directory), command(common, sections, c.Flags, []string{"-DFIX"}, some)})
	}
	stock := slices.Concat(common, c.Flags, []string{"-DSTOCK"}, sources)
	// A program imports from the libraries that it is linked with; new code may want libm.
	last := []string{"-Wl,--no-as-needed", "-lm"}
	if c.Library {
		steps = append(steps, step{".", command(stock, []string{"-shared", "-o", out.library()}, c.Link, last)},
			step{".", command([]string{"-pthread", kind[1], "-o", "prog", "main.o", out.library(), "-Wl,-rpath,$ORIGIN"})})
	} else {
		steps = append(steps, step{".", command(stock, []string{kind[1], "-o", "prog", "main.o"}, c.Link, last)})
	}
	if c.Strip {
		steps = append(steps, step{".", []string{"strip", filepath.Base(out.Target())}})
	}
	return steps
}

// byDirectory sorts sources by the directory that they are in, relative to the case's: objects of one name need directories, too.
func byDirectory(sources []string, dir string) iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		for len(sources) > 0 {
			directory := filepath.Dir(sources[0])
			same, others := []string{}, []string{}
			for _, s := range sources {
				if filepath.Dir(s) == directory {
					same = append(same, s)
				} else {
					others = append(others, s)
				}
			}
			name, err := filepath.Rel(dir, directory)
			if err != nil || !yield(name, same) {
				return
			}
			sources = others
		}
	}
}

// key is a hash of all that goes into a build.
func (b *Builder) key(c *Case, steps []step) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, steps)
	files := []string{b.driver(), filepath.Join(b.Root, "case.h")}
	for _, f := range slices.Concat(c.Sources, c.Headers) {
		files = append(files, filepath.Join(c.Dir, f))
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, len(data))
		h.Write(data)
	}
	for _, s := range steps {
		path, err := exec.LookPath(s.args[0])
		if err != nil {
			return "", err
		}
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, path, info.Size(), info.ModTime())
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// Patch builds the patch and compares what comes of it with what the case says. The result is nil where there must be none.
func (b *Built) Patch() (*build.Result, error) {
	old, new := []string{filepath.Join(b.Dir, "old")}, []string{filepath.Join(b.Dir, "new")}
	// In a stripped program the driver is not found: its call of a weak function that nobody defines is no call there.
	if !b.Case.Library && !b.Case.Strip {
		driver := filepath.Join(b.Dir, "main.o")
		old, new = append(old, driver), append(new, driver)
	}
	res, err := build.FromObjects(build.Options{
		Target: b.Target(), Old: old, New: new,
		Data: b.Case.Data, Allowed: build.Allowed{LayoutOK: b.Case.LayoutOK, StartCodeOK: b.Case.StartCodeOK}, Name: b.Name(), Tool: "test",
	})
	var refusals build.Refusals
	switch {
	case len(b.Case.Refused) > 0:
		if !errors.As(err, &refusals) {
			return nil, fmt.Errorf("not refused (%w)", errors.Join(err, errors.New(functions(res))))
		}
		return nil, b.Case.checkReasons(refusals)
	case b.Case.Nothing != "":
		if !errors.Is(err, build.ErrNothing) || !strings.Contains(err.Error(), b.Case.Nothing) {
			return nil, fmt.Errorf("%w; want nothing to do, because: %s", errors.Join(err, errors.New(functions(res))), b.Case.Nothing)
		}
		return nil, nil
	case err != nil:
		return nil, err
	}
	if got := functions(res); b.Case.Changes != "" && got != b.Case.Changes {
		return nil, fmt.Errorf("the patch changes %s; want %s", got, b.Case.Changes)
	}
	if b.Case.Warns != "" && !strings.Contains(strings.Join(res.Warnings, "\n"), b.Case.Warns) {
		return nil, fmt.Errorf("the warnings are %q; want one that says %q", res.Warnings, b.Case.Warns)
	}
	return res, nil
}

// checkReasons compares the reasons with those of the case: there must be no other code, and each symbol must be named.
func (c *Case) checkReasons(got build.Refusals) error {
	for _, want := range c.Refused {
		if !slices.ContainsFunc(got, func(r build.Refusal) bool {
			return string(r.Code) == want.Code && (want.Symbol == "" || r.Symbol == want.Symbol) && strings.Contains(r.Text, want.Text)
		}) {
			return fmt.Errorf("refused, but not for %s of %q, saying %q:\n%w", want.Code, want.Symbol, want.Text, got)
		}
	}
	for _, r := range got {
		if !slices.ContainsFunc(c.Refused, func(want Reason) bool { return string(r.Code) == want.Code }) {
			return fmt.Errorf("refused for another reason too:\n%w", got)
		}
	}
	return nil
}

// functions lists the functions of a patch.
func functions(res *build.Result) string {
	if res == nil {
		return ""
	}
	var names []string
	for _, f := range res.Spec.Functions {
		names = append(names, f.Symbol)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}
