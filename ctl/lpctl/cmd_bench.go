// SPDX-License-Identifier: GPL-2.0

package main

import (
	"context"
	"io"
	"os"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/bench"
)

func benchCommand() *cli.Command {
	return &cli.Command{
		Name:  "bench",
		Usage: "measure how long programs are stopped here, by lpatch and by all other ways",
		Description: "Starts programs of its own and replaces functions in them, with lpatch, ptrace, SIGSTOP and the cgroup freezer, in\n" +
			"about five minutes; see Documentation/performance.md.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "only", Usage: "measure under the `LOAD` asleep, busy, mixed or memcached only"},
			&cli.StringFlag{Name: "programs", Usage: "take the programs that are stopped from `DIR` instead of compiling them with cc"},
			&cli.StringFlag{Name: "memcached", Usage: "measure the latency of the memcached `PROGRAM` too"},
			&cli.BoolFlag{Name: "json", Usage: "print the result as JSON", HideDefault: true},
			quietFlag(),
		},
		MutuallyExclusiveFlags: []cli.MutuallyExclusiveFlags{{Flags: [][]cli.Flag{
			{&cli.BoolFlag{Name: "full", Usage: "measure the whole grid, which takes hours", HideDefault: true}},
			{&cli.BoolFlag{Name: "smoke", Usage: "only see whether it works", HideDefault: true}},
		}}},
		Action: runBench,
	}
}

func runBench(_ context.Context, c *cli.Command) error {
	if err := noArgument(c); err != nil {
		return err
	}
	k, err := connect()
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
		if cfg.Programs, err = os.MkdirTemp("", "lpctl-bench-"); err != nil {
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
