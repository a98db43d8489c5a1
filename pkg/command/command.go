// SPDX-License-Identifier: GPL-2.0

// Package command runs other programs with their output in a log file, and extracts the relevant part if they fail.
package command

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"lpatch/pkg/lazyregexp"
)

// Command is a program to run.
type Command struct {
	Args []string
	By   []string // wrapper command that runs Args, if any
	Dir  string   // "" for that of this process
	Env  []string // in addition to that of this process; its PATH is used to find Args[0]
	Log  string   // file for the output
}

// Run runs the command and kills its process group if ctx ends. The error tells which command failed and how, and contains
// the part of its output around the failure.
func (c *Command) Run(ctx context.Context) error {
	log, err := os.Create(c.Log)
	if err != nil {
		return err
	}
	defer log.Close()
	args := append(slices.Clone(c.By), c.Args...)
	cmd := exec.CommandContext(ctx, lookPath(args[0], c.Env), args[1:]...)
	cmd.Dir = c.Dir
	cmd.Env = append(environ(c.Dir), c.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s: %w%s", strings.Join(c.Args, " "), err, Excerpt(c.Log))
	}
	return nil
}

// environ returns the environment of this process with the variables that shells set to the working directory, because
// Makefiles use $(PWD).
func environ(dir string) []string {
	abs, err := filepath.Abs(dir)
	if dir == "" || err != nil {
		return os.Environ()
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "OLDPWD=") })
	return append(env, "PWD="+abs)
}

// lookPath finds a command like a shell with environment env, because a build command may itself be a compiler.
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

// The number of log lines that are shown: before and after the first error, and at the end.
const (
	linesBefore = 3
	linesAfter  = 12
	linesAtEnd  = 10
)

// failure matches error messages of builds: of compilers, linkers, make, ninja, cmake, configure, apt and others. It does not
// match options such as -Werror=format and files such as error.c.
var failure = lazyregexp.New(`(?i)(^|[\s:])(fatal )?error:|^E: |^FAILED:|^CMake Error|^make(\[\d+\])?: \*\*\*|undefined reference|no rule to make target|command not found|cannot find -l`)

// Excerpt returns the parts of a log around the first error and at its end, indented, or "" if the log is empty. Parallel
// builds print many lines after the actual error.
func Excerpt(path string) string {
	data, err := os.ReadFile(path)
	if err != nil || len(data) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	end := max(len(lines)-linesAtEnd, 0)
	var shown []string
	next := 0 // first line not shown yet
	show := func(from, to int) {
		from = max(from, next)
		if from > next {
			shown = append(shown, fmt.Sprintf("... %d lines left out", from-next))
		}
		if to > from {
			shown, next = append(shown, lines[from:to]...), to
		}
	}
	for i, line := range lines[:end] {
		if failure().MatchString(line) {
			show(i-linesBefore, min(i+linesAfter, len(lines)))
			break
		}
	}
	show(end, len(lines))
	return "\n    " + strings.Join(shown, "\n    ")
}
