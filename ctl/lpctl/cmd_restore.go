// SPDX-License-Identifier: GPL-2.0

package main

import (
	"github.com/urfave/cli/v3"

	"lpatch/pkg/lpnl"
)

func restoreCommand() *cli.Command {
	return opCommand(lpnl.VerbRestore, "put the old functions and values back")
}
