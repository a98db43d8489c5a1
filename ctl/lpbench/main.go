// SPDX-License-Identifier: GPL-2.0

// Lpbench measures how long programs are stopped on this machine, by lpatch and by all other ways; Documentation/performance.md
// explains what it prints. It is for developers, and installed nowhere.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/bench"
	"lpatch/pkg/lpnl"
)

func main() {
	app := &cli.Command{
		Name:  "lpbench",
		Usage: "measure how long programs are stopped here, by lpatch and by all other ways",
		Description: "Starts programs of its own and replaces functions in them, with lpatch, ptrace, SIGSTOP and the cgroup freezer, in\n" +
			"about five minutes; see Documentation/performance.md.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "only", Usage: "measure under the `LOAD` asleep, busy, mixed or memcached only"},
			&cli.StringFlag{Name: "programs", Usage: "take the programs that are stopped from `DIR` instead of compiling them with cc"},
			&cli.StringFlag{Name: "memcached", Usage: "measure the latency of the memcached `PROGRAM` too"},
			&cli.BoolFlag{Name: "json", Usage: "print the result as JSON", HideDefault: true},
			&cli.BoolFlag{Name: "quiet", Usage: "do not say what is being measured", HideDefault: true},
		},
		MutuallyExclusiveFlags: []cli.MutuallyExclusiveFlags{{Flags: [][]cli.Flag{
			{&cli.BoolFlag{Name: "full", Usage: "measure the whole grid, which takes hours", HideDefault: true}},
			{&cli.BoolFlag{Name: "smoke", Usage: "only see whether it works", HideDefault: true}},
		}}},
		Action: run,
	}
	if err := app.Run(context.Background(), os.Args); err != nil {
		fmt.Fprintf(os.Stderr, "lpbench: %v\n", err)
		os.Exit(1)
	}
}

func run(_ context.Context, c *cli.Command) error {
	if c.Args().Present() {
		return fmt.Errorf("unexpected argument %q; see lpbench --help", c.Args().First())
	}
	k, err := lpnl.Dial()
	if err != nil {
		return err
	}
	defer func() { _ = k.Close() }()
	cfg := bench.Config{
		Level: bench.LevelDefault, Only: bench.Load(c.String("only")), Programs: c.String("programs"), Memcached: c.String("memcached"), Kernel: k,
		Progress: c.ErrWriter,
	}
	if c.Bool("quiet") {
		cfg.Progress = io.Discard
	}
	switch {
	case c.Bool("full"):
		cfg.Level = bench.LevelFull
	case c.Bool("smoke"):
		cfg.Level = bench.LevelSmoke
	}
	if cfg.Programs == "" {
		if cfg.Programs, err = os.MkdirTemp("", "lpbench-"); err != nil {
			return err
		}
		defer os.RemoveAll(cfg.Programs)
		if err := bench.BuildPrograms(cfg.Programs); err != nil {
			return err
		}
	}
	result, err := bench.Run(cfg)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return result.Write(c.Writer)
	}
	return result.Table(c.Writer)
}
