// SPDX-License-Identifier: GPL-2.0

// Package command runs other programs with their output in a log, and says what of it matters when they fail.
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
	By   []string // a command that runs Args, if they are to be run by one
	Dir  string   // "" for that of this process
	Env  []string // in addition to that of this process; its PATH is where Args[0] is looked for
	Log  string   // the file that gets what it prints
}

// Run runs the command, with its whole process group ended if ctx ends. An error says which command failed and how, and
// what it printed where it failed.
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

// environ is the environment of this process with the variables in which shells say where they are: Makefiles read $(PWD).
func environ(dir string) []string {
	abs, err := filepath.Abs(dir)
	if dir == "" || err != nil {
		return os.Environ()
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "OLDPWD=") })
	return append(env, "PWD="+abs)
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

// How many lines of a log are shown: before and after the first error, and at the end.
const (
	linesBefore = 3
	linesAfter  = 12
	linesAtEnd  = 10
)

// failure is what the first error of a build looks like: of compilers, linkers, make, ninja, cmake, configure, apt and
// others. Options like -Werror=format and files like error.c are none.
var failure = lazyregexp.New(`(?i)(^|[\s:])(fatal )?error:|^E: |^FAILED:|^CMake Error|^make(\[\d+\])?: \*\*\*|undefined reference|no rule to make target|command not found|cannot find -l`)

// Excerpt returns the part of a log where the first error is, and its end, indented, or "" if it is empty. Builds that run several jobs at once
// print much after the line that tells what is the matter.
func Excerpt(path string) string {
	data, err := os.ReadFile(path)
	if err != nil || len(data) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	end := max(len(lines)-linesAtEnd, 0)
	var shown []string
	next := 0 // the first line that is not shown yet
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
