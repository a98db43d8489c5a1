// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"bytes"
	"os/exec"
	"testing"

	"lpatch/pkg/bench"
)

// TestBench runs the benchmark as short as it gets: all systems do what they should, and all rows have figures. How long
// anything takes is not looked at.
//
//machine:only 6.12
func TestBench(t *testing.T) {
	var out, progress bytes.Buffer
	cmd := exec.Command(fixtures+"lpbench", "--smoke", "--json", "--programs", fixtures)
	cmd.Stdout, cmd.Stderr = &out, &progress
	if err := cmd.Run(); err != nil {
		t.Fatalf("lpbench: %v\n%s", err, progress.String())
	}
	result, err := bench.Read(&out)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, row := range result.Rows {
		seen[row.System]++
		if row.Error != "" {
			t.Errorf("%s, %d threads %s, %d functions: %s", row.System, row.Threads, row.Load, row.Functions, row.Error)
			continue
		}
		if row.Stop == nil || row.Stop.Max <= 0 || row.Windows == 0 {
			t.Errorf("%s, %d threads %s, %d functions: no figures", row.System, row.Threads, row.Load, row.Functions)
		}
		// That row comes first: a thread that another way of stopping interrupted may return late.
		if row.System == bench.SystemLpatch && row.Functions == 1 && *row.EINTR != 0 {
			t.Errorf("lpatch, %d threads %s: %d calls ended with EINTR", row.Threads, row.Load, *row.EINTR)
		}
	}
	for _, system := range []string{
		bench.SystemRound, bench.SystemCopy, bench.SystemLpatch, bench.SystemSeize, bench.SystemAttach, bench.SystemSigstop,
		bench.SystemFreezer,
	} {
		if seen[system] == 0 {
			t.Errorf("no row of %s", system)
		}
	}
}
