// SPDX-License-Identifier: GPL-2.0

package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
)

// opCommands are the verbs that do something to targets; all are alike.
func (h *host) opCommands() []*cli.Command {
	return []*cli.Command{
		h.opCommand(lpnl.VerbCheck, "do everything that apply does, except for writing"),
		h.opCommand(lpnl.VerbLoad, "map a patch into targets"),
		h.opCommand(lpnl.VerbApply, "apply a patch to targets, loading it if needed"),
		h.opCommand(lpnl.VerbRestore, "put the old functions and values back"),
		h.opCommand(lpnl.VerbUnload, "unmap a restored patch"),
		h.opCommand(apply.Revert, "restore and unload a patch"),
	}
}

func (h *host) opCommand(verb apply.Verb, usage string) *cli.Command {
	return &cli.Command{
		Name:      string(verb),
		Usage:     usage,
		ArgsUsage: "NAME.lp|NAME TARGETS",
		Flags:     append(append(targetFlags(), stopFlags(verb)...), jsonFlag(), quietFlag()),
		Action:    func(_ context.Context, c *cli.Command) error { return h.operate(c, verb) },
	}
}
