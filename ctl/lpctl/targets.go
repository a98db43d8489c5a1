// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
)

// maxStopLimit is the longest stop window that the kernel accepts.
const maxStopLimit = 10 * time.Second

// targetFlags say which processes are meant.
func targetFlags() []cli.Flag {
	return append(processFlags(),
		&cli.BoolFlag{Name: "all", Usage: "every process that maps the files which the patch changes", HideDefault: true},
		allowNoneFlag("a program, unit, control group or patch may have no process: exit status 3, not 5"))
}

// processFlags are those that go without a patch.
func processFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntSliceFlag{Name: "pid", Usage: "the process `N`; may be repeated"},
		&cli.StringSliceFlag{Name: "exe", Usage: "all processes that run the program `PATH`; may be repeated"},
		&cli.StringSliceFlag{Name: "unit", Usage: "all processes of the systemd unit `NAME`; may be repeated"},
		&cli.StringSliceFlag{Name: "cgroup", Usage: "all processes in the control group `PATH` and below; may be repeated"},
	}
}

func allowNoneFlag(usage string) cli.Flag {
	return &cli.BoolFlag{Name: "allow-none", Usage: usage, HideDefault: true}
}

// selection is what the options select. An empty name is that of a variable which is not set, not of nobody.
func selection(c *cli.Command) (apply.Selection, error) {
	sel := apply.Selection{
		PIDs: c.IntSlice("pid"), Exe: c.StringSlice("exe"), Unit: c.StringSlice("unit"), Cgroup: c.StringSlice("cgroup"), All: c.Bool("all"),
	}
	for _, option := range []string{"exe", "unit", "cgroup"} {
		if slices.Contains(c.StringSlice(option), "") {
			return sel, fmt.Errorf("--%s is empty; say which processes, see %s --help", option, c.FullName())
		}
	}
	return sel, nil
}

// stopFlags limit an operation.
func stopFlags(verb apply.Verb) []cli.Flag {
	flags := []cli.Flag{
		&cli.DurationFlag{Name: "max-stop", Value: lpnl.MaxStopDefault, Usage: "never stop a target for longer than `TIME`"},
		&cli.DurationFlag{Name: "timeout", Value: 10 * time.Second, Usage: "retry for `TIME` while a thread uses the code"},
	}
	if verb == lpnl.VerbLoad || verb == lpnl.VerbUnload {
		return flags
	}
	flags = append(flags, &cli.StringSliceFlag{Name: "allow-active",
		Usage: "let calls of `FUNC` that are under way finish in the code they began in; may be repeated"})
	if verb == lpnl.VerbApply || verb == lpnl.VerbCheck {
		flags = append(flags, &cli.BoolFlag{Name: "replace", HideDefault: true,
			Usage: "revert all other patches of the target, in the same stop"})
	}
	return flags
}

func options(c *cli.Command) (lpnl.Options, error) {
	o := lpnl.Options{
		MaxStop: c.Duration("max-stop"), Timeout: c.Duration("timeout"), AllowActive: c.StringSlice("allow-active"),
		Replace: c.Bool("replace"),
	}
	if o.MaxStop <= 0 || o.MaxStop > maxStopLimit {
		return o, fmt.Errorf("--max-stop %v: must be more than 0 and at most %s", o.MaxStop, duration(maxStopLimit))
	}
	if o.Timeout < 0 {
		return o, fmt.Errorf("--timeout %v: must not be negative", o.Timeout)
	}
	return o, nil
}

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print one JSON object per line", HideDefault: true}
}

// tableFlags say how a command prints a table: for people, or for programs.
func tableFlags() []cli.MutuallyExclusiveFlags {
	return []cli.MutuallyExclusiveFlags{{Flags: [][]cli.Flag{{jsonFlag()}, {wideFlag()}}}}
}

func wideFlag() cli.Flag {
	return &cli.BoolFlag{Name: "wide", Usage: "show all columns, and cut none, however wide that is", HideDefault: true}
}

func quietFlag() cli.Flag {
	return &cli.BoolFlag{Name: "quiet", Usage: "print errors only", HideDefault: true}
}

// noArgument returns an error if there is an argument.
func noArgument(c *cli.Command) error {
	if c.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; see %s --help", c.Args().First(), c.FullName())
	}
	return nil
}

// argument returns the only argument. An empty one is that of a variable which is not set.
func argument(c *cli.Command, what string) (string, error) {
	switch c.NArg() {
	case 0:
		return "", fmt.Errorf("%s is missing; see %s --help", what, c.FullName())
	case 1:
		return c.Args().First(), notEmpty(c, c.Args().First(), what)
	}
	return "", fmt.Errorf("unexpected argument %q; see %s --help", c.Args().Get(1), c.FullName())
}

// notEmpty returns an error if an argument is empty. What it is may have an example behind a comma.
func notEmpty(c *cli.Command, arg, what string) error {
	if strings.TrimSpace(arg) != "" {
		return nil
	}
	name, _, _ := strings.Cut(strings.ReplaceAll(what, ":", ","), ",")
	return fmt.Errorf("%s is empty; say which one, see %s --help", name, c.FullName())
}

// openPatch takes a patch by its file, or by its name if the argument cannot be a file.
func openPatch(arg string) (apply.PatchRef, error) {
	_, err := os.Stat(arg)
	isFile := err == nil || strings.HasSuffix(arg, ".lp") || strings.Contains(arg, "/")
	if !isFile {
		return apply.PatchRef{Name: arg}, nil
	}
	f, err := apply.Open(arg)
	if err != nil {
		return apply.PatchRef{}, err
	}
	return apply.PatchRef{File: f, Name: f.Spec.Name}, nil
}

// operate carries out a verb on all targets and reports each.
func (h *host) operate(c *cli.Command, verb apply.Verb) error {
	arg, err := argument(c, "the patch, NAME.lp,")
	if err != nil {
		return err
	}
	o, err := options(c)
	if err != nil {
		return err
	}
	sel, err := selection(c)
	if err != nil {
		return err
	}
	if sel.Empty() {
		return fmt.Errorf("say which processes: --pid, --exe, --unit, --cgroup or --all; see %s --help", c.FullName())
	}
	p, err := openPatch(arg)
	if err != nil {
		return err
	}
	if p.File != nil {
		defer func() { _ = p.File.Close() }()
	}
	k, err := h.connect()
	if err != nil {
		return err
	}
	defer func() { _ = k.Close() }()
	r, err := apply.New(k, h.proc).RunSelected(verb, p, sel, o)
	return cmp.Or(err, report(c, verb, p.Name, r))
}

// report prints what became of each target of a patch and of what has none, and returns the exit status of all, and of what was done
// before.
func report(c *cli.Command, verb apply.Verb, patch string, r apply.Result, before ...exitStatus) error {
	all := before
	for _, o := range r.Outcomes {
		all = append(all, statusOfOutcome(o))
		if c.Bool("json") {
			if err := printJSON(c.Writer, newTargetJSON(o.Report, o.Err)); err != nil {
				return err
			}
		} else if o.Err == nil && !c.Bool("quiet") {
			fmt.Fprintln(c.Writer, sentence(verb, o))
		}
		if o.Note != "" && !c.Bool("quiet") {
			fmt.Fprintf(c.ErrWriter, "lpctl: note: %v: %s\n", o.Process, o.Note)
		}
		if o.Err != nil && !(o.Settled && c.Bool("quiet")) {
			complain(c.ErrWriter, o)
		}
	}
	if c.Bool("json") {
		if err := printUnseen(c.Writer, patch, r); err != nil {
			return err
		}
	}
	all = append(all, reportMisses(c, r.Misses)...)
	return exitWith(append(all, reportUnseen(c, r.Unseen)...))
}

// printUnseen prints an object for each process that could not be looked at, so that a program can tell them from what is misspelt,
// which has none. The first of those that could be what was missed is in the sentence for that.
func printUnseen(w io.Writer, patch string, r apply.Result) error {
	var all []error
	for _, m := range r.Misses {
		if m.Kind == apply.MissUnseen {
			all = append(all, errors.New(m.Message))
		}
	}
	for _, err := range append(all, r.Unseen...) {
		if err := printJSON(w, newTargetJSON(lpnl.Report{Patch: patch}, unseenError{err})); err != nil {
			return err
		}
	}
	return nil
}

// maxUnseen is how many processes are named that could not be looked at: anybody can have many.
const maxUnseen = 20

// reportUnseen says who could not be looked at, and returns an exit status for that.
func reportUnseen(c *cli.Command, unseen []error) []exitStatus {
	for _, err := range unseen[:min(len(unseen), maxUnseen)] {
		fmt.Fprintf(c.ErrWriter, "lpctl: left out, and whether it is meant is not known: %v\n", err)
	}
	if n := len(unseen) - maxUnseen; n > 0 {
		fmt.Fprintf(c.ErrWriter, "lpctl: left out in the same way: %d more\n", n)
	}
	if len(unseen) == 0 {
		return nil
	}
	return []exitStatus{exitNone}
}

// reportMisses prints what has no target, and returns the exit status of each.
func reportMisses(c *cli.Command, misses []apply.Miss) []exitStatus {
	var all []exitStatus
	for _, m := range misses {
		well := m.Kind == apply.MissSettled || m.Kind == apply.MissNone && c.Bool("allow-none") // the third is no proof
		e := unmatched(m.Message, c.Bool("quiet"), well)
		if !e.reported {
			fmt.Fprintf(c.ErrWriter, "lpctl: %v\n", e)
		}
		all = append(all, e.status)
	}
	return all
}

// exitWith returns the exit status of several targets of which everything has been said.
func exitWith(all []exitStatus) error {
	if s := combine(all); s != exitDone {
		return &exitError{status: s, reported: true}
	}
	return nil
}
