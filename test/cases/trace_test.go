// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lpatch/pkg/lpnl"
)

const tracing = "/sys/kernel/tracing/"

// traced is a line of the trace: an event of lpatch with its fields.
type traced struct {
	event  string
	fields map[string]string
}

func (e traced) number(t *testing.T, field string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(e.fields[field], 10, 64)
	if err != nil {
		t.Fatalf("event %s has no number in field %s: %v", e.event, field, e.fields)
	}
	return n
}

// setTrace switches the tracepoints on or off.
func setTrace(t *testing.T, on string) {
	t.Helper()
	if err := os.WriteFile(tracing+"events/lpatch/enable", []byte(on), 0); err != nil {
		t.Fatal(err)
	}
}

// traceText does something, and returns the trace of it.
func traceText(t *testing.T, do func()) string {
	t.Helper()
	if err := os.WriteFile(tracing+"trace", nil, 0); err != nil { // empties it
		t.Fatal(err)
	}
	do()
	text, err := os.ReadFile(tracing + "trace")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", text)
	return string(text)
}

// trace does something, and returns the events of it.
func trace(t *testing.T, do func()) []traced {
	t.Helper()
	var list []traced
	for _, m := range regexp.MustCompile(`(?m): (gate|barrier|checks|write|release|boot): (.*)$`).FindAllStringSubmatch(traceText(t, do), -1) {
		e := traced{m[1], map[string]string{}}
		for _, field := range strings.Fields(m[2]) {
			name, value, _ := strings.Cut(field, "=")
			e.fields[name] = value
		}
		list = append(list, e)
	}
	return list
}

// names are the names of events, in their order.
func names(list []traced) string {
	var out []string
	for _, e := range list {
		out = append(out, e.event)
	}
	return strings.Join(out, " ")
}

// TestTrace compares what the tracepoints tell of a window with the report of the operation.
func TestTrace(t *testing.T) {
	v := startVictim(t, "victim", "-t", "4", "-m", "sleep")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	setTrace(t, "1")
	t.Cleanup(func() { setTrace(t, "0") })

	var r lpnl.Report
	events := trace(t, func() { r = do(t, c, lpnl.VerbApply, p, v.pid) })
	// An attempt that has to be made again leaves its events too.
	if len(events) < 5 || !strings.HasSuffix(names(events), "gate barrier checks write release") {
		t.Fatalf("the events of an apply are %q", names(events))
	}
	events = events[len(events)-5:]
	want := map[string]time.Duration{"gate": r.Gate, "barrier": r.Barrier, "checks": r.Check, "write": r.Write, "release": r.Release}
	for _, e := range events {
		if got := e.number(t, "pid"); got != int64(v.pid) {
			t.Errorf("%s has pid %d, want %d", e.event, got, v.pid)
		}
		if got := e.number(t, "ns"); got != want[e.event].Nanoseconds() {
			t.Errorf("%s took %d ns, the report says %v", e.event, got, want[e.event])
		}
		if got, ok := e.fields["threads"]; ok && got != fmt.Sprint(r.Threads) {
			t.Errorf("%s has %s threads, want %d", e.event, got, r.Threads)
		}
	}
	if got := events[2].number(t, "error"); got != 0 {
		t.Errorf("checks has error %d, want 0", got)
	}
	if got := events[3].number(t, "places"); got != 1 {
		t.Errorf("write has %d places, want 1", got)
	}
	release := events[4]
	if stop, longest := release.number(t, "stop_ns"), release.number(t, "longest_ns"); stop != r.Stop.Nanoseconds() ||
		longest != r.LongestThread.Nanoseconds() {
		t.Errorf("release has %d and %d ns, the report says %v and %v", stop, longest, r.Stop, r.LongestThread)
	}

	setTrace(t, "0")
	if events := trace(t, func() { do(t, c, lpnl.VerbRestore, p, v.pid) }); len(events) != 0 {
		t.Errorf("switched off, there are the events %q", names(events))
	}
}

// TestTraceRefused finds in the trace why nothing was written.
func TestTraceRefused(t *testing.T) {
	v := startVictim(t, "victim")
	c := dial(t)
	p := rawPatch(t, v.path, "tight")
	transfer(t, c, p)
	v.ask("tight")
	setTrace(t, "1")
	t.Cleanup(func() { setTrace(t, "0") })
	events := trace(t, func() {
		limits := lpnl.Options{MaxStop: rawOptions.MaxStop, Timeout: 10 * time.Millisecond}
		refuse(t, c, lpnl.VerbApply, p, v.pid, limits, lpnl.RefusalThreadActive)
	})
	if !strings.HasSuffix(names(events), "gate barrier checks release") || strings.Contains(names(events), "write") {
		t.Fatalf("the events of a refused apply are %q", names(events))
	}
	if got := events[len(events)-2].number(t, "error"); got != -16 {
		t.Errorf("checks has error %d, want -16 (EBUSY)", got)
	}
}

// TestRounds counts the rounds of IPIs of an operation, which waits for each of them: whatever the number of threads, one for each
// attempt and one for the bytes. (It does not wait for the IPI that kick_process() sends to a thread that runs as it gets its gate.)
//
//machine:preempts
func TestRounds(t *testing.T) {
	// Which function a round calls tells ours from others: the second parameter.
	const event = "p:lpatch_ipi/round on_each_cpu_cond_mask func=%si:symbol\n"
	if err := os.WriteFile(tracing+"kprobe_events", []byte(event), 0); err != nil {
		t.Fatal(err)
	}
	enable := func(on string) {
		if err := os.WriteFile(tracing+"events/lpatch_ipi/enable", []byte(on), 0); err != nil {
			t.Error(err)
		}
	}
	enable("1")
	t.Cleanup(func() {
		enable("0")
		if err := os.WriteFile(tracing+"kprobe_events", nil, 0); err != nil {
			t.Error(err)
		}
	})
	c := dial(t)
	for _, threads := range []int{1, 4, 16} {
		for _, mode := range []string{"spin", "sleep"} {
			v := startVictim(t, "victim", "-t", fmt.Sprint(threads), "-m", mode)
			p := rawPatch(t, v.path, "value")
			transfer(t, c, p)
			for _, verb := range []lpnl.Verb{lpnl.VerbApply, lpnl.VerbRestore} {
				var r lpnl.Report
				text := traceText(t, func() { r = do(t, c, verb, p, v.pid) })
				stop, sync := strings.Count(text, "func=lp_ipi_nothing"), strings.Count(text, "func=lp_ipi_sync")
				if stop != r.Attempts || sync != 1 {
					t.Errorf("%s of %d threads (%s): %d rounds to stop and %d of the bytes in %d attempts, want one in each, and one",
						verb, threads, mode, stop, sync, r.Attempts)
				}
			}
		}
	}
}

// TestTraceBoot finds the start of a program with a boot entry in the trace.
func TestTraceBoot(t *testing.T) {
	c := dial(t)
	p := rawPatch(t, fixtures+"start", "value")
	addBoot(t, c, p, 0)
	setTrace(t, "1")
	t.Cleanup(func() { setTrace(t, "0") })
	events := trace(t, func() { exitOf(t, fixtures+"start") })
	i := slices.IndexFunc(events, func(e traced) bool { return e.event == "boot" })
	if i < 0 {
		t.Fatalf("no event of the start, but %q", names(events))
	}
	boot := events[i]
	if boot.fields["patch"] != p.Name || boot.number(t, "refusal") != 0 || boot.number(t, "pid") == 0 ||
		boot.number(t, "stop_ns") != 0 {
		t.Errorf("the event of the start, for which nobody is stopped, is %v", boot.fields)
	}
	wantBoot(t, c, 1, 0)
}
