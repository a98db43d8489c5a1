// SPDX-License-Identifier: GPL-2.0

// Command count measures the windows of lpatch in a machine whose clock counts instructions (scripts/vm-run -i), and prints them
// as JSON: a bench.Result whose ns are instructions. It runs as root with the module loaded.
package main

import (
	"flag"
	"fmt"
	"os"

	"lpatch/pkg/bench"
	"lpatch/pkg/lpnl"
)

func main() {
	programs := flag.String("programs", "/bench", "the `DIR` with the programs that are stopped")
	flag.Parse()
	if err := run(*programs); err != nil {
		fmt.Fprintln(os.Stderr, "count:", err)
		os.Exit(1)
	}
}

func run(programs string) error {
	client, err := lpnl.Dial()
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	result, err := bench.Run(bench.Config{Level: bench.LevelCount, Programs: programs, Kernel: client, Progress: os.Stderr})
	if err != nil {
		return err
	}
	return result.Write(os.Stdout)
}
