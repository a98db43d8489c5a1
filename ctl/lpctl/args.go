// SPDX-License-Identifier: GPL-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// greedy options take all arguments up to the next option: --old a.o b.o.
var greedy = map[string]bool{"old": true, "new": true}

// arrange moves options before the other arguments, where urfave/cli wants them: "apply fix.lp --pid 1" becomes
// "apply --pid 1 -- fix.lp". What stands behind "--" stays there. Options in front of the verb go behind it.
func arrange(app *cli.App, args []string) ([]string, error) {
	before, verb, after := split(app, args[1:])
	cmd := app.Command(verb)
	if cmd == nil { // noVerb says what is wrong
		return args, nil
	}
	rest := slices.Concat(before, after)
	options, others, err := sortOut(arity(cmd.Flags), rest)
	if err != nil {
		return nil, fmt.Errorf("%w; see lpctl %s --help", err, verb)
	}
	if slices.ContainsFunc(options, isHelp) {
		return []string{args[0], verb, "--help"}, nil // the library takes any argument for the name of what to explain
	}
	out := append([]string{args[0], verb}, options...)
	if len(others) > 0 {
		out = append(append(out, "--"), others...)
	}
	return out, nil
}

func isHelp(arg string) bool { return arg == "--help" || arg == "-help" || arg == "-h" || arg == "--h" }

// split finds the verb: the first argument that is neither an option nor the value of one.
func split(app *cli.App, args []string) (before []string, verb string, after []string) {
	all := map[string]bool{}
	for _, c := range app.Commands {
		for name, value := range arity(c.Flags) {
			all[name] = all[name] || value // --deb takes one with build, and none with package
		}
	}
	for i := 0; i < len(args); i++ {
		if !strings.HasPrefix(args[i], "-") {
			return args[:i:i], args[i], args[i+1:]
		}
		if name, inline := option(args[i]); all[name] && !inline {
			i++
		}
	}
	return args, "", nil
}

// arity tells of each option whether it takes a value.
func arity(flags []cli.Flag) map[string]bool {
	m := map[string]bool{}
	for _, f := range flags {
		takes := true
		if d, ok := f.(cli.DocGenerationFlag); ok {
			takes = d.TakesValue()
		}
		for _, name := range f.Names() {
			m[name] = takes
		}
	}
	return m
}

// misplaced refuses an option that does nothing in a form of a command. The table has the forms that each option goes with; what is
// not in it goes with all.
func misplaced(c *cli.Context, form string, table map[string][]string) error {
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if c.IsSet(name) && !slices.Contains(table[name], form) {
			return fmt.Errorf("--%s goes with %s only; see lpctl %s --help", name, strings.Join(table[name], " and "), c.Command.Name)
		}
	}
	return nil
}

// option returns the name of an option, and whether its value is part of the argument.
func option(arg string) (name string, inline bool) {
	name, _, inline = strings.Cut(strings.TrimLeft(arg, "-"), "=")
	return name, inline
}

// sortOut separates options, with their values, from other arguments.
func sortOut(takes map[string]bool, args []string) (options, others []string, err error) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return options, append(others, args[i+1:]...), nil
		}
		if len(arg) < 2 || arg[0] != '-' {
			others = append(others, arg)
			continue
		}
		options = append(options, arg)
		name, inline := option(arg)
		if !takes[name] || inline {
			continue
		}
		if i+1 == len(args) || args[i+1] == "--" {
			return nil, nil, fmt.Errorf("the option %s needs a value", arg)
		}
		i++
		options = append(options, args[i])
		for greedy[name] && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
			i++
			options = append(options, arg, args[i])
		}
	}
	return options, others, nil
}
