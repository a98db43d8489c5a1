// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/bench"
	"lpatch/test/vm"
)

// kernel is the one that the budget is for: other kernels have other code in the way, and other compilers.
const kernel = "6.12"

// TestBudget measures what windows take in a machine that counts instructions, and compares it with the budget.
func TestBudget(t *testing.T) {
	kernels, err := vm.TestKernels()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(kernels, kernel) {
		t.Skipf("LPATCH_VM does not select kernel %s", kernel)
	}
	cmd := exec.Command("../../../scripts/bench")
	cmd.Env = append(cmd.Environ(), "BENCH=icount", "KERNEL="+kernel)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

func parts(gate, barrier, check, write, release, outside int64) *bench.Phases {
	return &bench.Phases{Gate: gate, Barrier: barrier, Check: check, Write: write, Release: release, Outside: outside}
}

// TestJudge has a budget of two loads, and results that keep to it or do not.
func TestJudge(t *testing.T) {
	b := &budget{Margin: 0.1, Rows: []row{
		{load{1, bench.LoadStill, 1}, map[string]int64{"gate": 100, "barrier": 100, "check": 100, "write": 100, "release": 100, "outside": 100}},
		{load{16, bench.LoadBusy, 1}, map[string]int64{"gate": 100, "barrier": 100, "check": 100, "write": 100, "release": 100}},
	}}
	still := bench.Row{System: bench.SystemLpatch, Threads: 1, Load: bench.LoadStill, Functions: 1, Least: parts(110, 100, 100, 100, 100, 110)}
	busy := bench.Row{System: bench.SystemLpatch, Threads: 16, Load: bench.LoadBusy, Functions: 1, Quartile: parts(100, 100, 50, 100, 100, 10000)}
	slow, failed := still, busy
	slow.Least = parts(100, 100, 130, 100, 100, 111)
	failed.Error, failed.Quartile = "the program went away", nil
	none, little := still, busy
	none.Least = parts(0, 100, 100, 100, 100, 100)
	little.Quartile = parts(100, 100, 100, 49, 100, 0) // its outside has no budget
	other := busy
	other.Threads = 1
	for _, c := range []struct {
		rows []bench.Row
		want string
	}{
		{[]bench.Row{still, busy}, ""},
		{[]bench.Row{slow, busy}, "1 thread still, 1 function: check takes 130 instructions; its budget is 100 and 10 % (+30 %)\n" +
			"1 thread still, 1 function: outside takes 111 instructions; its budget is 100 and 10 % (+11 %)"},
		{[]bench.Row{none, little}, "1 thread still, 1 function: gate takes 0 instructions, less than half of its budget, 100; put in what is measured\n" +
			"16 threads busy, 1 function: write takes 49 instructions, less than half of its budget, 100; put in what is measured"},
		{[]bench.Row{still, failed}, "16 threads busy, 1 function: not measured: the program went away\n" +
			"16 threads busy, 1 function: has a budget and no figures"},
		{[]bench.Row{still, busy, other}, "1 thread busy, 1 function: has no budget"},
	} {
		if got := strings.Join(b.judge(&bench.Result{Rows: c.rows}), "\n"); got != c.want {
			t.Errorf("judged:\n%s\nwant:\n%s", got, c.want)
		}
	}
	delete(b.Rows[0].Phases, "outside") // may be left out
	delete(b.Rows[0].Phases, "check")
	b.Rows[1].Phases["outside"] = 100
	want := []string{"1 thread still, 1 function: check has no budget", "16 threads busy, 1 function: outside has a budget and no figure"}
	if got := b.judge(&bench.Result{Rows: []bench.Row{still, busy}}); !slices.Equal(got, want) {
		t.Errorf("judged %q, want %q", got, want)
	}
}

// TestProposal proposes the medians of several results, and reads them as a budget.
func TestProposal(t *testing.T) {
	var results []*bench.Result
	for _, gate := range []int64{120, 100, 101} {
		results = append(results, &bench.Result{Rows: []bench.Row{
			{System: bench.SystemLpatch, Threads: 1, Load: bench.LoadBusy, Functions: 1, Quartile: parts(gate, 2, 3, 4, 5, 6)},
		}})
	}
	b := proposal(0.1, results)
	if p := b.Rows[0].Phases; len(p) != 5 || p["gate"] != 101 || p["release"] != 5 {
		t.Errorf("proposed %v", p)
	}
	var out bytes.Buffer
	if err := table(&out, b, results); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "101 (20.0 %)") || !strings.Contains(out.String(), "at most 20.0 %") {
		t.Errorf("the table:\n%s", out.String())
	}
}
