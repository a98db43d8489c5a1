// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/names"
	"lpatch/pkg/version"
)

// run carries out a command line and returns the exit status.
func (h *host) run(args []string, stdout, stderr io.Writer) int {
	stderr = names.Writer{To: stderr, Symbols: true} // errors and notes are for people, in all modes
	stdout = names.Writer{To: stdout, Lines: true}
	app := h.newApp(stdout, stderr)
	args, note := modern(app, args)
	if note != "" {
		fmt.Fprintf(stderr, "lpctl: note: %s\n", note)
	}
	err := app.Run(context.Background(), args)
	var e *exitError
	if errors.As(err, &e) && e.reported {
		return int(e.status)
	}
	if err != nil {
		complainOf(stderr, err)
	}
	return int(statusOf(err))
}

// complainOf says what went wrong: each of several errors that were joined, on a line of its own.
func complainOf(w io.Writer, err error) {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok && errors.Join(joined.Unwrap()...).Error() == err.Error() {
		all = joined.Unwrap()
	}
	for _, err := range all {
		var long *account
		text := "lpctl: " + err.Error() + nextStep(err)
		if errors.As(err, &long) {
			sayLines(w, text)
		} else {
			fmt.Fprintln(w, text)
		}
	}
}

// sayLines writes a text with the lines that it has: what a compiler or a linker said has several.
func sayLines(w io.Writer, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintln(w, line)
	}
}

// account is an error of several lines, which begin as they like: what a build has to tell of the sources that it was given.
type account struct{ error }

func (a *account) Unwrap() error { return a.error }

// accounting makes an account of an error.
func accounting(err error) error {
	if err != nil {
		return &account{err}
	}
	return nil
}

// nextStep is what to do about an error that does not say so itself.
func nextStep(err error) string {
	var e *lpnl.Error
	if errors.As(err, &e) && errors.Is(err, os.ErrPermission) {
		return `; run lpctl as root ("lpctl doctor" says what is missing)`
	}
	return ""
}

func (h *host) newApp(stdout, stderr io.Writer) *cli.Command {
	cli.VersionFlag = &cli.BoolFlag{Name: "version", Usage: "print the version", HideDefault: true, Local: true}
	cli.HelpFlag = &cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "show help", HideDefault: true, Local: true}
	cli.VersionPrinter = printVersion
	unknown := "" // the option that the library looked for and did not find
	app := &cli.Command{
		Name:        "lpctl",
		Usage:       "patch running programs",
		UsageText:   "lpctl COMMAND [ARGUMENTS] [OPTIONS]",
		Description: description + exitStatuses(),
		Version:     version.Number,
		Writer:      stdout,
		ErrWriter:   stderr,
		Commands:    h.commands(),
		// The one place that prints errors and chooses the exit status is run.
		ExitErrHandler:           func(context.Context, *cli.Command, error) {},
		InvalidFlagAccessHandler: func(_ context.Context, _ *cli.Command, name string) { unknown = name },
		EnableShellCompletion:    true, // the command for it that this adds is not ours, and comes behind it
		HideHelpCommand:          true, // "lpctl revert help" is about a patch of that name
		Action:                   noCommand,
	}
	_ = app.Walk(func(c *cli.Command) error {
		c.DisableSliceFlagSeparator = true
		c.CommandNotFound, c.ShellComplete = showHelp, h.complete
		c.OnUsageError = func(_ context.Context, c *cli.Command, err error, _ bool) error { return usageError(c, unknown, err) }
		return nil
	})
	return app
}

const description = `lpctl replaces functions and values of running programs, without restarting them and without
their noticing: each target is stopped for some microseconds, never longer than --max-stop.

TARGETS are processes: --pid N (may be repeated), --exe PATH, --unit NAME, --cgroup PATH, or --all for
every process that maps the files which the patch changes.

Exit status:
`

// exitStatuses has a line for each exit status.
func exitStatuses() string {
	var lines []string
	for status, meaning := range exitMeanings {
		lines = append(lines, fmt.Sprintf("  %d  %s", status, meaning))
	}
	return strings.Join(lines, "\n")
}

func (h *host) commands() []*cli.Command {
	list := []*cli.Command{buildCommand(), mitigateCommand(), inspectCommand()}
	list = append(list, h.opCommands()...)
	return append(list, h.statusCommand(), h.scanCommand(), h.upCommand(), h.needrestartCommand(), h.explainCommand(), h.bootCommand(), h.watchCommand(), signCommand(), verifyCommand(), packageCommand(), h.keyCommand(),
		h.doctorCommand(), h.drainCommand(), completionCommand(), helpCommand(), versionCommand())
}

func versionCommand() *cli.Command {
	return &cli.Command{Name: "version", Usage: cli.VersionFlag.(*cli.BoolFlag).Usage, Hidden: true, Action: func(_ context.Context, c *cli.Command) error {
		if err := noArgument(c); err != nil {
			return err
		}
		printVersion(c.Root())
		return nil
	}}
}

func printVersion(app *cli.Command) { fmt.Fprintf(app.Writer, "lpctl %s\n", app.Version) }

// helpCommand is there instead of the library's, which knows one level of commands, and is a command of each.
func helpCommand() *cli.Command {
	return &cli.Command{Name: "help", Aliases: []string{"h"}, Usage: cli.HelpFlag.(*cli.BoolFlag).Usage, ArgsUsage: "[COMMAND]...", Hidden: true, Action: func(ctx context.Context, c *cli.Command) error {
		of := c.Root()
		for _, name := range c.Args().Slice() {
			sub := of.Command(name)
			if sub == nil {
				return noSuchCommand(of, name)
			}
			of = sub
		}
		showHelp(ctx, of, "")
		return nil
	}}
}

// showHelp shows that of a command. The library calls it, too, where other arguments stand beside --help.
func showHelp(ctx context.Context, c *cli.Command, _ string) {
	if c == c.Root() {
		_ = cli.ShowRootCommandHelp(c)
		return
	}
	_ = cli.ShowCommandHelp(ctx, c.Lineage()[1], c.Name)
}

// noCommand is called where the first argument is none of the commands, or there is none.
func noCommand(ctx context.Context, c *cli.Command) error {
	switch name := c.Args().First(); {
	case name == "help" || name == "h":
		showHelp(ctx, c, "")
		return nil
	case c.NArg() > 0:
		return noSuchCommand(c, name)
	case c == c.Root():
		return cmp.Or(cli.ShowRootCommandHelp(c), error(&exitError{status: exitFailed, reported: true}))
	}
	var list []string
	for _, sub := range c.Commands {
		list = append(list, sub.Name)
	}
	return fmt.Errorf("say what to do: %s; see %s --help", strings.Join(list, ", "), c.FullName())
}

func noSuchCommand(c *cli.Command, name string) error {
	return fmt.Errorf("there is no command \"%s %s\"; did you mean \"%[1]s %[3]s\"?", c.FullName(), name, cli.SuggestCommand(c.Commands, name))
}

// usageError says what to do about a wrong option.
func usageError(c *cli.Command, unknown string, err error) error {
	switch {
	case unknown == "":
		return fmt.Errorf("%w; see %s --help", err, c.FullName())
	case len(c.Commands) > 0:
		return fmt.Errorf("there is no option --%s here; options stand behind the command, see %s --help", unknown, c.FullName())
	}
	return fmt.Errorf("there is no option --%s; did you mean %s? %s --help lists all", unknown, cli.SuggestFlag(c.VisibleFlags(), unknown, false), c.FullName())
}
