// SPDX-License-Identifier: GPL-2.0

package main

import (
	"github.com/urfave/cli/v3"

	"lpatch/pkg/lpnl"
)

func applyCommand() *cli.Command {
	return opCommand(lpnl.VerbApply, "apply a patch to targets, loading it if needed")
}
