// SPDX-License-Identifier: GPL-2.0

package main

import (
	"github.com/urfave/cli/v3"

	"lpatch/pkg/lpnl"
)

func checkCommand() *cli.Command {
	return opCommand(lpnl.VerbCheck, "do everything that apply does, except for writing")
}
