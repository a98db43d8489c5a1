// SPDX-License-Identifier: GPL-2.0

package bench

import (
	"slices"
	"time"
)

// Level is the extent of a run.
type Level string

// The levels.
const (
	LevelSmoke   Level = "smoke"   // seconds: smoke test
	LevelDefault Level = "default" // minutes: both axes, threads and functions
	LevelFull    Level = "full"    // hours: the whole grid
	LevelCount   Level = "count"   // a minute: instruction counts, in a machine whose clock counts instructions
)

// plan defines the measurements of a level.
type plan struct {
	threads   []int
	loads     []Load
	functions []int
	counted   bool          // the clock counts instructions, which do not reflect IPIs and caches, and the number of windows is fixed
	grid      bool          // each number of functions with each load and number of threads; or only with gridThreads sleeping threads
	budget    time.Duration // time for one row
	windows   int           // maximum number of windows per row
	gdb       []int         // numbers of threads with which gdb replaces 1 function; a window takes seconds
	segment   time.Duration // duration of memcached's load, alternating between without and with patches
	segments  int
}

// axisThreads is the number of threads with which the number of functions is varied.
const axisThreads = 16

var plans = map[Level]plan{
	LevelSmoke: {
		threads: []int{4}, loads: []Load{LoadAsleep, LoadBusy}, functions: []int{1, 10},
		budget: 50 * time.Millisecond, windows: 8,
	},
	LevelDefault: {
		threads: []int{1, 4, 16, 64, 256, 1024}, loads: []Load{LoadAsleep, LoadBusy, LoadMixed},
		functions: []int{1, 10, 100, 1000},
		budget:    300 * time.Millisecond, windows: 200, gdb: []int{16}, segment: 5 * time.Second, segments: 4,
	},
	LevelCount: {
		threads: []int{1, 16, 128}, loads: []Load{LoadStill, LoadBusy}, functions: []int{1, 100}, counted: true,
		budget: time.Hour, windows: 40,
	},
	LevelFull: {
		threads: []int{1, 4, 16, 64, 256, 1024, 4096}, loads: []Load{LoadAsleep, LoadBusy, LoadMixed},
		functions: []int{1, 10, 100, 1000}, grid: true,
		budget: 2 * time.Second, windows: 1000, gdb: []int{1, 4, 16, 64, 256}, segment: 15 * time.Second, segments: 10,
	},
}

// threadsFor returns the numbers of threads for a load. If instructions are counted, there is no load with a single running
// thread, because it is random whether it shares a processor with lpatch.
func (p plan) threadsFor(load Load) []int {
	if p.counted && load == LoadBusy {
		return p.threads[1:]
	}
	return p.threads
}

// functionsFor returns the numbers of functions for a number of threads and a load.
func (p plan) functionsFor(threads int, load Load) []int {
	if p.grid || load == p.loads[0] && threads == min(axisThreads, slices.Max(p.threads)) {
		return p.functions
	}
	return p.functions[:1]
}

// ways returns the systems to measure in addition to lpatch.
func (p plan) ways(threads, functions int) []string {
	if p.counted {
		return []string{SystemSeize} // the fastest
	}
	list := []string{SystemSeize, SystemAttach, SystemSigstop, SystemFreezer}
	if functions == 1 && slices.Contains(p.gdb, threads) {
		list = append(list, SystemGDB)
	}
	return list
}
