// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lpatch/pkg/lpnl"
)

// TestFoldRestored: what is over and done with in several processes is one row; all else keeps its own.
func TestFoldRestored(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	row := func(pid int, patch byte, state lpnl.State, hours int, service string) StatusRow {
		return StatusRow{Report: lpnl.Report{PID: pid, Hash: lpnl.Hash{patch}, State: state, Since: now.Add(-time.Duration(hours) * time.Hour)}, Service: service, Processes: 1}
	}
	active, noted := row(5, 1, lpnl.StateRestored, 50, "a"), row(6, 1, lpnl.StateRestored, 50, "a")
	active.ActiveThreads, noted.Message = 1, "it could not be counted"
	rows := FoldRestored([]StatusRow{
		row(1, 1, lpnl.StateRestored, 50, "a"), row(2, 1, lpnl.StateApplied, 50, "a"), row(3, 1, lpnl.StateRestored, 30, "a"), row(4, 1, lpnl.StateRestored, 23, "a"),
		active, noted, row(1, 2, lpnl.StateRestored, 90, "a"), row(7, 2, lpnl.StateRestored, 99, "b"), row(8, 3, lpnl.StateRestored, 99, "b"),
	}, now.Add(-24*time.Hour))
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprintf("%d*%d@%v/%s", r.PID, r.Processes, now.Sub(r.Since), r.Service))
	}
	const want = "1*2@30h0m0s/a 2*1@50h0m0s/a 4*1@23h0m0s/a 5*1@50h0m0s/a 6*1@50h0m0s/a 1*2@90h0m0s/ 8*1@99h0m0s/b"
	if text := strings.Join(got, " "); text != want {
		t.Errorf("%s, want %s", text, want)
	}
}

// TestByService: a process with two patches is one of the service.
func TestByService(t *testing.T) {
	row := func(pid int, service string) StatusRow {
		return StatusRow{Report: lpnl.Report{PID: pid}, Service: service, Processes: 1}
	}
	var got []string
	for _, s := range ByService([]StatusRow{row(1, "b"), row(1, "b"), row(2, "a"), row(3, "b")}) {
		got = append(got, fmt.Sprintf("%s %d %d", s.Service, s.Processes, len(s.Reports)))
	}
	if text := strings.Join(got, ", "); text != "a 1 1, b 2 3" {
		t.Error(text)
	}
}
