// SPDX-License-Identifier: GPL-2.0

package main

import (
	"context"
	"embed"
	"fmt"

	"github.com/urfave/cli/v3"
)

// The scripts are ours, as the library's evaluates the line that it completes: there it would run what stands in backquotes.
//
//go:embed completion
var completionScripts embed.FS

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a script that completes command lines in a shell",
		ArgsUsage: "bash|zsh|fish",
		Action:    completion,
	}
}

func completion(_ context.Context, c *cli.Command) error {
	shell, err := argument(c, "the shell: bash, zsh or fish,")
	if err != nil {
		return err
	}
	script, err := completionScripts.ReadFile("completion/lpctl." + shell)
	if err != nil {
		return fmt.Errorf("there is no completion for %q; there is for bash, zsh and fish", shell)
	}
	_, err = c.Writer.Write(script)
	return err
}
