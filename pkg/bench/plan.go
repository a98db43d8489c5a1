// SPDX-License-Identifier: GPL-2.0

package bench

import (
	"slices"
	"time"
)

// Level is how much is measured.
type Level string

// The levels.
const (
	LevelSmoke   Level = "smoke"   // seconds: does it work?
	LevelDefault Level = "default" // minutes: both axes, threads and functions
	LevelFull    Level = "full"    // hours: the whole grid
	LevelCount   Level = "count"   // a minute: instructions, in a machine whose clock counts them
)

// plan is what a level measures.
type plan struct {
	threads   []int
	loads     []Load
	functions []int
	counted   bool          // the clock counts instructions, which tell nothing of IPIs and caches, and windows are as many each time
	grid      bool          // each number of functions with each load and number of threads; or with gridThreads asleep only
	budget    time.Duration // for one row
	windows   int           // at most, in one row
	gdb       []int         // numbers of threads with which gdb replaces 1 function: it takes seconds for one window
	segment   time.Duration // of memcached's load, without and with patches in turn
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

// threadsFor are the numbers of threads to measure with. Where instructions are counted, there is no load with a single thread that
// runs: whether that has another processor than lpatch, or waits for its own, is as chance will have it.
func (p plan) threadsFor(load Load) []int {
	if p.counted && load == LoadBusy {
		return p.threads[1:]
	}
	return p.threads
}

// functionsFor are the numbers of functions to measure with.
func (p plan) functionsFor(threads int, load Load) []int {
	if p.grid || load == p.loads[0] && threads == min(axisThreads, slices.Max(p.threads)) {
		return p.functions
	}
	return p.functions[:1]
}

// ways are the systems to measure with, besides lpatch.
func (p plan) ways(threads, functions int) []string {
	if p.counted {
		return []string{SystemSeize} // the best
	}
	list := []string{SystemSeize, SystemAttach, SystemSigstop, SystemFreezer}
	if functions == 1 && slices.Contains(p.gdb, threads) {
		list = append(list, SystemGDB)
	}
	return list
}
