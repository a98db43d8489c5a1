// SPDX-License-Identifier: GPL-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"

	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/names"
	"lpatch/pkg/version"
)

// run carries out a command line and returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	stderr = names.Writer{To: stderr, Symbols: true} // errors and notes are for people, in all modes
	stdout = names.Writer{To: stdout, Lines: true}
	app := newApp(stdout, stderr)
	args, err := arrange(app, args)
	if err == nil {
		err = app.Run(args)
	}
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

// accounting makes accounts of a command's errors.
func accounting(action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := action(c); err != nil {
			return &account{err}
		}
		return nil
	}
}

// nextStep is what to do about an error that does not say so itself.
func nextStep(err error) string {
	var e *lpnl.Error
	if errors.As(err, &e) && errors.Is(err, os.ErrPermission) {
		return `; run lpctl as root ("lpctl doctor" says what is missing)`
	}
	return ""
}

func newApp(stdout, stderr io.Writer) *cli.App {
	cli.VersionFlag = &cli.BoolFlag{Name: "version", Usage: "print the version", DisableDefaultText: true}
	cli.HelpFlag = &cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "show help", DisableDefaultText: true}
	cli.VersionPrinter = func(c *cli.Context) { fmt.Fprintf(c.App.Writer, "lpctl %s\n", c.App.Version) }
	app := &cli.App{
		Name:        "lpctl",
		Usage:       "patch running programs",
		UsageText:   "lpctl VERB [ARGUMENTS] [OPTIONS]",
		Description: description + exitStatuses(),
		Version:     version.Number,
		Writer:      stdout,
		ErrWriter:   stderr,
		Commands:    commands(),
		// The one place that prints errors and chooses the exit status is run.
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              usageError,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true,
		Action:                    noVerb,
	}
	for _, c := range app.Commands {
		c.OnUsageError = usageError
		c.HideHelpCommand = true
	}
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

func commands() []*cli.Command {
	list := []*cli.Command{buildCommand(), mitigateCommand(), inspectCommand()}
	list = append(list, opCommands()...)
	return append(list, statusCommand(), scanCommand(), upCommand(), needrestartCommand(), explainCommand(), bootCommand(), watchCommand(), signCommand(), verifyCommand(), packageCommand(), keyCommand(),
		doctorCommand(), drainCommand(), benchCommand(), completionCommand())
}

// noVerb is called when the first argument is no verb, or there is none.
func noVerb(c *cli.Context) error {
	name := c.Args().First()
	if name == "" || name == "help" {
		if err := showHelp(c, c.Args().Get(1)); err != nil || name == "help" {
			return err
		}
		return &exitError{status: exitFailed, reported: true}
	}
	if name == "version" {
		cli.ShowVersion(c)
		return nil
	}
	return noSuchVerb(c.App, name)
}

func noSuchVerb(app *cli.App, name string) error {
	if best := nearest(name, append(verbNames(app), "help", "version")); best != "" {
		return fmt.Errorf("there is no verb %q; did you mean %q?", name, best)
	}
	return fmt.Errorf("there is no verb %q; see lpctl --help", name)
}

// showHelp shows that of a verb, or of all if it is "".
func showHelp(c *cli.Context, verb string) error {
	if verb == "" || verb == "help" || verb == "version" {
		return cli.ShowAppHelp(c)
	}
	if c.App.Command(verb) == nil {
		return noSuchVerb(c.App, verb)
	}
	return cli.ShowCommandHelp(c, verb)
}

func verbNames(app *cli.App) []string {
	names := make([]string, len(app.Commands))
	for i, cmd := range app.Commands {
		names[i] = cmd.Name
	}
	return names
}

// nearest is the one of several words that was probably meant, or "".
func nearest(word string, words []string) string {
	best, score := "", 0.8 // below it, two words have little in common
	for _, w := range words {
		if s := smetrics.JaroWinkler(word, w, 0.7, 4); s > score {
			best, score = w, s
		}
	}
	return best
}

// usageErrors are what the library says of a wrong option, and what we say.
var usageErrors = []struct {
	pattern func() *regexp.Regexp
	text    string
}{
	{lazyregexp.New(`^flag provided but not defined: -+(.*)$`), `there is no option --$1`},
	{lazyregexp.New(`^invalid value (".*") for flag -+(\S+): .*$`), `the option --$2 does not take $1`},
	{lazyregexp.New(`^invalid boolean value (".*") for -+(\S+): .*$`), `the option --$2 takes no value`},
}

func flagNames(flags []cli.Flag) []string {
	var names []string
	for _, f := range flags {
		names = append(names, f.Names()...)
	}
	return names
}

// isVerbOption tells whether a verb has an option.
func isVerbOption(app *cli.App, name string) bool {
	return slices.ContainsFunc(app.Commands, func(c *cli.Command) bool { return slices.Contains(flagNames(c.Flags), name) })
}

// usageError says on one line what is wrong with an option.
func usageError(c *cli.Context, err error, _ bool) error {
	text := err.Error()
	for _, u := range usageErrors {
		if u.pattern().MatchString(text) {
			text = u.pattern().ReplaceAllString(text, u.text)
			break
		}
	}
	name := "lpctl"
	if wrong, ok := strings.CutPrefix(text, "there is no option --"); ok && isVerbOption(c.App, wrong) && (c.Command == nil || c.Command.Name == "lpctl" || c.Command.Name == "") {
		return fmt.Errorf("the verb is missing that --%s is an option of; see lpctl --help", wrong)
	}
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != "lpctl" {
		name += " " + c.Command.Name
		if wrong, ok := strings.CutPrefix(text, "there is no option --"); ok {
			if best := nearest(wrong, flagNames(c.Command.Flags)); best != "" {
				text += "; did you mean --" + best + "?"
				return errors.New(text)
			}
		}
	}
	return fmt.Errorf("%s; see %s --help", text, name)
}
