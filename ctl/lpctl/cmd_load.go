// SPDX-License-Identifier: GPL-2.0

package main

import (
	"github.com/urfave/cli/v3"

	"lpatch/pkg/lpnl"
)

func loadCommand() *cli.Command {
	return opCommand(lpnl.VerbLoad, "map a patch into targets")
}
