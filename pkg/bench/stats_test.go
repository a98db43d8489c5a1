// SPDX-License-Identifier: GPL-2.0

package bench

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSummarize(t *testing.T) {
	thousand := make([]int64, 1000)
	for i := range thousand {
		thousand[i] = int64(1000 - i)
	}
	for _, c := range []struct {
		samples []int64
		want    *Distribution
	}{
		{nil, nil},
		{[]int64{7}, &Distribution{7, 7, 7, 7, 7, 7}},
		{[]int64{3, 1, 2}, &Distribution{1, 1, 2, 3, 3, 3}},
		{[]int64{4, 3, 2, 1}, &Distribution{1, 1, 2, 4, 4, 4}},
		{thousand, &Distribution{1, 250, 500, 990, 999, 1000}},
	} {
		if got := summarize(c.samples); !cmp.Equal(got, c.want) {
			t.Errorf("of %d samples: %v, want %v", len(c.samples), got, c.want)
		}
	}
	if thousand[0] != 1000 {
		t.Error("the samples were sorted in place")
	}
}

func TestSlope(t *testing.T) {
	if got, ok := slope([]point{{1, 5}, {2, 7}, {10, 23}}); !ok || got < 1.999 || got > 2.001 {
		t.Errorf("slope of a line: %v, %v, want 2", got, ok)
	}
	if got, ok := slope([]point{{0, 0}, {1, 2}, {2, 1}}); !ok || got != 0.5 {
		t.Errorf("slope of three points: %v, %v, want 0.5", got, ok)
	}
	for _, points := range [][]point{nil, {{1, 1}}, {{1, 1}, {1, 2}}} {
		if _, ok := slope(points); ok {
			t.Errorf("%v has a slope", points)
		}
	}
}

// stop returns a row in which all windows took the same time.
func stop(system string, threads int, load Load, functions int, us int64) Row {
	return Row{System: system, Threads: threads, Load: load, Functions: functions, Windows: 1, Stop: summarize([]int64{us * 1000})}
}

// run returns rows for all goals.
func run() []Row {
	return []Row{
		stop(SystemRound, 1, LoadAsleep, 0, 10), stop(SystemCopy, 0, "", 0, 1),
		stop(SystemLpatch, 1, LoadAsleep, 1, 29),
		stop(SystemSeize, 1, LoadAsleep, 1, 500), stop(SystemAttach, 1, LoadAsleep, 1, 1000),
		stop(SystemLpatch, 64, LoadAsleep, 1, 60),
		stop(SystemSeize, 64, LoadAsleep, 1, 1130), stop(SystemAttach, 64, LoadAsleep, 1, 9999),
		stop(SystemLpatch, 8, LoadBusy, 1, 100), stop(SystemSeize, 8, LoadBusy, 1, 20000),
		stop(SystemLpatch, 16, LoadAsleep, 10, 42), stop(SystemLpatch, 16, LoadAsleep, 110, 342),
		{System: SystemNone, Load: LoadMemcached, Latency: &Distribution{P999: 1000}},
		{System: SystemLpatch, Load: LoadMemcached, Latency: &Distribution{P999: 1040}},
	}
}

func TestGoals(t *testing.T) {
	var got []string
	for _, g := range goals(run(), 2) {
		got = append(got, g.String())
	}
	want := []string{
		"goal met: stop with up to 16 threads and 1 function, of a bare IPI round: 2.9, at most 3 (1 threads asleep: 29.0 µs, round 10.0 µs)",
		"goal MISSED by a factor of 1.06: stop of 64 threads asleep, of the best ptrace way's: 0.0531, at most 0.05 (64 threads: 60.0 µs, ptrace 1130.0 µs)",
		"goal met: longest stop with 4 busy threads per CPU, of the best ptrace way's: 0.005, at most 0.01 (8 threads: 100.0 µs, ptrace 20000.0 µs)",
		"goal met: growth with threads, of the best ptrace way's: 0.0492, at most 0.1 (0.49 µs a thread, ptrace 10.00 µs)",
		"goal met: growth with functions, of a copy of 16 bytes that misses the caches: 3, at most 3 (3.000 µs a function, the copy 1.000 µs)",
		"goal met: p99.9 of memcached with a patch every 1.5 s, of without: 1.04, at most 1.05 (1.0 µs, without 1.0 µs)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, g := range goals(nil, 2) {
		if g.Met || g.Got != nil || !strings.HasPrefix(g.String(), "goal not measured: ") {
			t.Errorf("of no rows: %v", g)
		}
	}
}

func TestWriteRead(t *testing.T) {
	rows := append(run(), Row{System: SystemGDB, Threads: 4096, Load: LoadMixed, Error: "it took too long"})
	in := &Result{Date: time.Unix(1, 0).UTC(), Kernel: "k", Machine: "m", CPUs: 2, Level: LevelFull, Rows: rows, Goals: goals(rows, 2)}
	var b bytes.Buffer
	if err := in.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{`"system": "lpatch"`, `"stop_ns": {`, `"p99_9": 1000`, `"eintr": null`, `"got": 2.9`} {
		if !strings.Contains(b.String(), field) {
			t.Errorf("the JSON has no %s", field)
		}
	}
	out, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Error(diff)
	}
}

func TestMerge(t *testing.T) {
	rows := run()
	whole := &Result{CPUs: 2, Rows: rows, Goals: goals(rows, 2)}
	got := Merge(&Result{CPUs: 2, Rows: rows[:5]}, &Result{Rows: rows[5:9]}, &Result{Rows: rows[9:]})
	if diff := cmp.Diff(whole, got); diff != "" {
		t.Error(diff)
	}
}

func TestTable(t *testing.T) {
	n, eintr := int64(2500), 3
	row := stop(SystemLpatch, 4, LoadBusy, 10, 60)
	row.Phases, row.Gap, row.EINTR, row.Memory = &Phases{Gate: 1100}, &n, &eintr, &n
	r := &Result{Rows: append(run(), row, Row{System: SystemGDB, Error: "it took too long"})}
	var b strings.Builder
	if err := r.Table(&b); err != nil {
		t.Fatal(err)
	}
	flat := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{
		"lpatch 4 busy 10 1 60.0 60.0 60.0 60.0 1.1 0.0 0.0 0.0 0.0 2.5 3 2", "it took too long", "memcached, none: 0 requests",
	} {
		if !strings.Contains(flat, want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
