// SPDX-License-Identifier: GPL-2.0

package main

import (
	"github.com/urfave/cli/v3"

	"lpatch/pkg/lpnl"
)

func unloadCommand() *cli.Command {
	return opCommand(lpnl.VerbUnload, "unmap a restored patch")
}
