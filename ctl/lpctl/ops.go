// SPDX-License-Identifier: GPL-2.0

package main

import (
	"context"

	"github.com/urfave/cli/v3"

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
		Action:    func(_ context.Context, c *cli.Command) error { return operate(c, verb) },
	}
}
