// SPDX-License-Identifier: GPL-2.0

package main

import (
	"github.com/urfave/cli/v2"

	"lpatch/pkg/apply"
)

// opCommands are the verbs that do something to targets; all are alike.
func opCommands() []*cli.Command {
	return []*cli.Command{
		checkCommand(), loadCommand(), applyCommand(), restoreCommand(), unloadCommand(), revertCommand(),
	}
}

func opCommand(verb apply.Verb, usage string) *cli.Command {
	return &cli.Command{
		Name:      string(verb),
		Usage:     usage,
		ArgsUsage: "NAME.lp|NAME TARGETS",
		Flags:     append(append(targetFlags(), stopFlags(verb)...), jsonFlag(), quietFlag()),
		Action:    func(c *cli.Context) error { return operate(c, verb) },
	}
}
