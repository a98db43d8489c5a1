// SPDX-License-Identifier: GPL-2.0

package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// tally counts.
type tally struct {
	mu      sync.Mutex
	done    map[string]int // by verb, and audits
	refused map[string]int // by code
	kills   map[string]int // by what was killed
	stops   []time.Duration
	checks  int
	errors  map[string]int // by kind
}

func newTally() *tally {
	return &tally{done: map[string]int{}, refused: map[string]int{}, kills: map[string]int{}, errors: map[string]int{}}
}

// count adds one to a count in one of the maps of t.
func (t *tally) count(in map[string]int, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	in[what]++
}

// stopped counts the stop window of a report, if there was one.
func (t *tally) stopped(r report) {
	if r.Attempts == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stops = append(t.stops, time.Duration(r.StopNS))
}

func (t *tally) checked(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.checks += n
}

// failed counts an error and returns how many there are of its kind.
func (t *tally) failed(kind string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errors[kind]++
	return t.errors[kind]
}

// Result is what came of a run.
type Result struct {
	Done, Refused, Kills map[string]int
	Stops                []time.Duration // in ascending order
	Checks               int             // by the targets that lived to the end
	Errors               map[string]int  // by kind; there must be none
}

func (t *tally) result() Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Result{
		Done: maps.Clone(t.done), Refused: maps.Clone(t.refused), Kills: maps.Clone(t.kills),
		Stops: slices.Sorted(slices.Values(t.stops)), Checks: t.checks, Errors: maps.Clone(t.errors),
	}
}

// Cycles is how often a patch was applied and taken out again.
func (r Result) Cycles() int { return min(r.Done["apply"], r.Done["restore"]+r.Done["revert"]) }

// Tested tells whether a little of everything was done, but for audits, which killers and busy threads often cut short.
func (r Result) Tested() bool { return r.Cycles() > 0 && r.Done["unload"] > 0 }

// Failures is how many errors there were.
func (r Result) Failures() int {
	n := 0
	for _, of := range r.Errors {
		n += of
	}
	return n
}

// quantile returns the smallest stop window that at least p of all do not exceed.
func (r Result) quantile(p float64) time.Duration {
	if len(r.Stops) == 0 {
		return 0
	}
	rank := int(p * float64(len(r.Stops)))
	if float64(rank) < p*float64(len(r.Stops)) {
		rank++
	}
	return r.Stops[max(0, rank-1)]
}

// String is the account, in some lines.
func (r Result) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "cycles    %d: %s\n", r.Cycles(), list(r.Done))
	fmt.Fprintf(&out, "stops     %d: p50 %d µs, p99 %d µs, p99.9 %d µs, max %d µs\n", len(r.Stops), r.quantile(0.5).Microseconds(),
		r.quantile(0.99).Microseconds(), r.quantile(0.999).Microseconds(), r.quantile(1).Microseconds())
	fmt.Fprintf(&out, "refusals  %s\n", list(r.Refused))
	fmt.Fprintf(&out, "killed    %s\n", list(r.Kills))
	fmt.Fprintf(&out, "checks    %d rounds by the targets that lived to the end\n", r.Checks)
	fmt.Fprintf(&out, "errors    %d: %s", r.Failures(), list(r.Errors))
	return out.String()
}

// list prints counts in alphabetical order.
func list(counts map[string]int) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, fmt.Sprintf("%s %d", name, counts[name]))
	}
	if out == nil {
		return "none"
	}
	return strings.Join(out, ", ")
}
