// SPDX-License-Identifier: GPL-2.0

package main

import (
	"github.com/urfave/cli/v3"

	"lpatch/pkg/apply"
)

func revertCommand() *cli.Command {
	return opCommand(apply.Revert, "restore and unload a patch")
}
