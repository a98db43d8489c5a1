// SPDX-License-Identifier: GPL-2.0

// Package programs tries lpctl build on small programs, each a directory here, without a machine: the program applies the patch
// to itself in the middle of its run, and must then print what the program of the new source prints.
package programs

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lpatch/test/patches/load"
)

// Case is a program: sources, which compiled with -DNEW are the new version, and what is in case.json.
type Case struct {
	Name string `json:"-"`
	Dir  string `json:"-"`
	Why  string `json:"why"` // what the case shows
	// How is "middle", by lp_apply() in the middle of the run, or "bake", as the file of the program.
	How      string   `json:"how"`
	Refusal  *bool    `json:"refusal"` // whether it may be refused; as true if it is not said
	Codes    []string `json:"codes"`   // with which it must be refused, no more and no less; none: whatever comes of it
	Sources  []string `json:"sources"`
	Objects  []string `json:"objects"`
	Long     bool     `json:"long"`   // it takes long, and a test of pkg/build shows the same: only with PATCHES=all
	Script   string   `json:"script"` // does all by itself: exit status 0 is right, 77 that something is missing
	Runs     []Run    `json:"runs"`
	Expected string   `json:"-"` // of file expect; else what the new program prints
}

// Run is a way to compile and link a case.
type Run struct {
	CC      string   `json:"cc"`
	CFlags  string   `json:"cflags"`
	OFlags  string   `json:"oflags"` // of the objects, if others
	LDFlags string   `json:"ldflags"`
	Strip   bool     `json:"strip"`
	Options []string `json:"options"` // of lpctl build
	Needs   []string `json:"needs"`
	How     string   `json:"how"`
	Refusal *bool    `json:"refusal"`
	Codes   []string `json:"codes"` // if other than the case's
	Objects []string `json:"objects"`
}

// Read reads the cases below a directory.
func Read(dir string) ([]*Case, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "case.json"))
	if err != nil {
		return nil, err
	}
	var cases []*Case
	for _, f := range files {
		c := &Case{Dir: filepath.Dir(f), Name: filepath.Base(filepath.Dir(f)), How: "middle"}
		data, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		if err := d.Decode(c); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		if expect, err := os.ReadFile(filepath.Join(c.Dir, "expect")); err == nil {
			c.Expected = string(expect)
		}
		if len(c.Runs) == 0 {
			c.Runs = []Run{{}}
		}
		cases = append(cases, c)
	}
	return cases, nil
}

// Label tells the runs of a case apart.
func (r *Run) Label() string {
	label := strings.Join(slices.DeleteFunc([]string{r.CC, r.CFlags, r.OFlags, r.LDFlags}, func(s string) bool { return s == "" }), ",")
	if r.Strip {
		label += ",strip"
	}
	return strings.ReplaceAll(label, " ", "")
}

// MissingError is a tool that the machine lacks.
type MissingError string

func (e MissingError) Error() string { return "no " + string(e) }

// Tools are what a case needs beside gcc.
type Tools struct {
	Lpctl string // the program
	Load  string // lpload.c
	Plan  string // a program that writes a plan for lpload.c, called as PROGRAM --plan PATCH FILE
	load  string // lpload.o
}

// CompileLoad compiles lpload.c into a directory, once for all cases.
func (t *Tools) CompileLoad(dir string) error {
	t.load = filepath.Join(dir, "lpload.o")
	return need(dir, "gcc", "-O2", "-fPIC", "-c", t.Load, "-o", t.load)
}

const programTimeout = 2 * time.Minute

// result is how a program ended.
type result struct {
	out, err string
	status   int
}

func run(dir string, env []string, name string, args ...string) (result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), programTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), env...), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		err = nil
	}
	return result{out.String(), strings.TrimSpace(errs.String()), cmd.ProcessState.ExitCode()}, err
}

// need runs a tool that must succeed.
func need(dir, name string, args ...string) error {
	if _, err := exec.LookPath(name); err != nil {
		return MissingError(name)
	}
	r, err := run(dir, nil, name, args...)
	if err == nil && r.status != 0 {
		err = fmt.Errorf("%s %s: %s", name, strings.Join(args, " "), r.err)
	}
	return err
}

// Try makes a patch of one run of the case, and says what lpctl said; the error says what is wrong.
func (c *Case) Try(t Tools, r *Run, tmp string) (said string, err error) {
	if c.Script != "" {
		return c.tryScript(t, tmp)
	}
	for _, tool := range r.Needs {
		if _, err := exec.LookPath(tool); err != nil {
			return "", MissingError(tool)
		}
	}
	if err := c.CompileOld(t, r, tmp); err != nil {
		return "", err
	}
	if err := c.compileSide(t, r, filepath.Join(tmp, "new"), []string{"-DNEW"}); err != nil {
		return "", err
	}
	want, err := run(tmp, nil, "./new/prog")
	if err != nil {
		return "", err
	}
	if c.Expected != "" {
		want.out = c.Expected
	}
	return c.patch(t, r, tmp, want)
}

// TryNew is Try where CompileOld made the old side, and Expected is known. Objects of sources that are the same in both versions
// are copies.
func (c *Case) TryNew(t Tools, r *Run, tmp string, same []string) (said string, err error) {
	dir := filepath.Join(tmp, "new")
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	sources, err := c.sourceFiles()
	if err != nil {
		return "", err
	}
	objects := filepath.Join(dir, "objects")
	if err := os.MkdirAll(objects, 0o755); err != nil {
		return "", err
	}
	for _, s := range sources {
		if slices.Contains(same, s) {
			err = os.Link(filepath.Join(tmp, "old/objects", objectName(s)), filepath.Join(objects, objectName(s)))
		} else {
			_, err = c.compileObject(r, dir, "objects", r.objectFlags(), []string{"-DNEW"}, s)
		}
		if err != nil {
			return "", err
		}
	}
	return c.patch(t, r, tmp, result{out: c.Expected})
}

// patch makes the patch and looks at what the patched program does.
func (c *Case) patch(t Tools, r *Run, tmp string, want result) (said string, err error) {
	args := append([]string{"build", "objects", "--target", "old/prog", "--old", "old/objects", "--new", "new/objects", "-o", "fix.lp"}, r.Options...)
	built, err := run(tmp, nil, t.Lpctl, args...)
	if err != nil {
		return "", err
	}
	if err := c.checkCodes(r, built.err); err != nil {
		return built.err, err
	}
	switch built.status {
	case 0:
		return "built", c.check(t, r, tmp, want)
	case 2:
		return built.err, c.checkRefusal(r, built.err)
	case 3:
		was, err := run(tmp, nil, "./old/prog")
		if err == nil && was.out != want.out {
			err = fmt.Errorf("nothing to do, but the old program says %q and the new one %q", was.out, want.out)
		}
		return built.err, err
	}
	return built.err, fmt.Errorf("lpctl build ended with status %d: %s", built.status, built.err)
}

func (c *Case) checkRefusal(r *Run, said string) error {
	refusal := r.Refusal
	if refusal == nil {
		refusal = c.Refusal
	}
	if refusal != nil && !*refusal {
		return errors.New("refused, but it can be patched: " + said)
	}
	return nil
}

func first(list ...[]string) []string {
	for _, l := range list {
		if len(l) > 0 {
			return l
		}
	}
	return nil
}

// sourceFiles are the sources of the case, all there are if it names none.
func (c *Case) sourceFiles() ([]string, error) {
	if len(c.Sources) > 0 {
		return c.Sources, nil
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return nil, err
	}
	var sources []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext == ".c" || ext == ".cc" {
			sources = append(sources, e.Name())
		}
	}
	return sources, nil
}

// CompileOld makes old/prog below tmp, and its objects as lpctl build takes them.
func (c *Case) CompileOld(t Tools, r *Run, tmp string) error {
	if err := c.compileSide(t, r, filepath.Join(tmp, "old"), nil); err != nil {
		return err
	}
	if r.Strip {
		return need(tmp, "strip", "old/prog")
	}
	return nil
}

func (c *Case) compileSide(t Tools, r *Run, dir string, define []string) error {
	sources, err := c.sourceFiles()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "objects"), 0o755); err != nil {
		return err
	}
	own := first(r.Objects, c.Objects, sources)
	for _, s := range own {
		if _, err := c.compileObject(r, dir, "objects", r.objectFlags(), define, s); err != nil {
			return err
		}
	}
	linked := []string{"-o", "prog"}
	for _, s := range sources {
		out := filepath.Join("objects", objectName(s))
		if !slices.Contains(own, s) || !slices.Equal(r.flags(), r.objectFlags()) {
			out, err = c.compileObject(r, dir, ".", r.flags(), define, s)
		}
		if err != nil {
			return err
		}
		linked = append(linked, out)
	}
	return need(dir, r.compiler(), slices.Concat(strings.Fields(cmp.Or(r.LDFlags, "-pie")), linked, []string{t.load})...)
}

func objectName(source string) string {
	return strings.TrimSuffix(source, filepath.Ext(source)) + ".o"
}

func (c *Case) compileObject(r *Run, dir, to string, flags, define []string, source string) (string, error) {
	out := filepath.Join(to, objectName(source))
	return out, need(dir, r.compiler(), slices.Concat(flags, define, []string{"-c", filepath.Join(c.Dir, source), "-o", out})...)
}

func (r *Run) compiler() string { return cmp.Or(r.CC, "gcc") }

func (r *Run) flags() []string { return strings.Fields(cmp.Or(r.CFlags, "-O2 -g -fPIE")) }

func (r *Run) objectFlags() []string {
	flags := first(strings.Fields(r.OFlags), r.flags())
	for _, f := range []string{"-ffunction-sections", "-fdata-sections"} {
		if !slices.Contains(flags, f) {
			flags = append(flags, f)
		}
	}
	return flags
}

// check runs the patched program.
func (c *Case) check(t Tools, r *Run, tmp string, want result) error {
	how := c.How
	if r.How != "" {
		how = r.How
	}
	var got result
	var err error
	if how == "bake" {
		if err := need(tmp, t.Lpctl, "boot", "bake", "fix.lp", "--image", "old/prog", "-o", "patched"); err != nil {
			return err
		}
		got, err = run(tmp, nil, "./patched")
	} else {
		if err := load.WritePlan(filepath.Join(tmp, "fix.lp"), filepath.Join(tmp, "plan")); err != nil {
			return err
		}
		got, err = run(tmp, []string{"LP=fix.lp", "PLAN=plan"}, "./old/prog")
	}
	if err == nil && (got.out != want.out || got.status != want.status) {
		err = fmt.Errorf("built; the patched program says %q (status %d, %s), and the new one %q", got.out, got.status, got.err, want.out)
	}
	return err
}

func (c *Case) tryScript(t Tools, tmp string) (string, error) {
	env := []string{"LPCTL=" + t.Lpctl, "CASE=" + c.Dir, "HERE=" + filepath.Dir(t.Load), "TRY=" + t.Plan}
	r, err := run(tmp, env, "bash", filepath.Join(c.Dir, c.Script))
	said := strings.TrimSpace(r.out + r.err)
	switch {
	case err != nil:
		return "", err
	case r.status == 77:
		return "", MissingError("what the script needs")
	case r.status != 0:
		return "", errors.New(said)
	}
	return said, nil
}
