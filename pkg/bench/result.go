// SPDX-License-Identifier: GPL-2.0

package bench

import (
	"encoding/json"
	"io"
	"slices"
	"time"
)

// The compared systems. Those from SystemSeize to SystemFreezer are implemented by driver.c under these names.
const (
	SystemLpatch  = "lpatch"
	SystemSeize   = "ptrace-seize"   // PTRACE_SEIZE in advance, PTRACE_INTERRUPT of all threads, then wait for all of them
	SystemAttach  = "ptrace-attach"  // PTRACE_ATTACH and wait, one thread after another
	SystemSigstop = "sigstop"        // SIGSTOP, until the last thread has stopped
	SystemFreezer = "cgroup-freezer" // cgroup.freeze of cgroup v2
	SystemGDB     = "gdb"            // gdb -batch
	SystemRound   = "ipi-round"      // one IPI round to the processors that execute the program: the lower bound
	SystemCopy    = "copy-16"        // a copy of 16 bytes that misses all caches: the lower bound per function
	SystemNone    = "none"           // nothing is done: the load by itself
)

// Load is the activity of the program's threads; it is defined in programs/target.c.
type Load string

// The loads. LoadMemcached is memcached with clients.
const (
	LoadAsleep    Load = "asleep"
	LoadStill     Load = "still"
	LoadBusy      Load = "busy"
	LoadMixed     Load = "mixed"
	LoadMemcached Load = "memcached"
)

// Phases contains the phases of lpatch's stop window in ns, and the time that an operation takes outside of its window, as
// seen by the client.
type Phases struct {
	Gate    int64 `json:"gate"`
	Barrier int64 `json:"barrier"`
	Check   int64 `json:"check"`
	Write   int64 `json:"write"`
	Release int64 `json:"release"`
	Outside int64 `json:"outside"`
}

// Row is one measurement. Missing values are null; durations are in ns.
type Row struct {
	System    string `json:"system"`
	Threads   int    `json:"threads"`
	Load      Load   `json:"load"`
	Functions int    `json:"functions"` // number of functions replaced and restored in each window
	Windows   int    `json:"windows"`   // number of windows in Stop; half of them apply, half of them restore

	Stop          *Distribution `json:"stop_ns"`           // from the first thread being told to stop to the last being told to continue
	Phases        *Phases       `json:"phases_ns"`         // lpatch: median of each phase
	Quartile      *Phases       `json:"quartile_ns"`       // lpatch: lower quartile of each phase
	Least         *Phases       `json:"least_ns"`          // lpatch: minimum of each phase
	LongestThread *int64        `json:"longest_thread_ns"` // lpatch: longest stop of one thread, by the kernel's clock
	Attempts      *int          `json:"attempts"`          // lpatch: number of windows opened, including those that failed because of a thread
	Gap           *int64        `json:"gap_ns"`            // longest gap that a thread observed by its own clock
	GapQuiet      *int64        `json:"gap_quiet_ns"`      // the same while nothing was done to the program
	EINTR         *int          `json:"eintr"`             // system calls of the program that ended with EINTR
	Memory        *int64        `json:"memory_bytes"`      // additional anonymous memory of the program after patching
	CPU           *int64        `json:"cpu_ns"`            // CPU time of the machine per window, without that of the program in user mode
	Latency       *Distribution `json:"latency_ns"`        // of requests
	Requests      int           `json:"requests,omitempty"`

	Error string `json:"error,omitempty"` // why there are no values
}

// Goal is a target value for a ratio.
type Goal struct {
	Name   string   `json:"name"`
	Limit  float64  `json:"limit"`
	Got    *float64 `json:"got"` // null: the run lacks the data
	Met    bool     `json:"met"`
	Detail string   `json:"detail"`
}

// Result is the result of a run.
type Result struct {
	Date    time.Time `json:"date"`
	Kernel  string    `json:"kernel"`
	Machine string    `json:"machine"` // model name of the processor
	CPUs    int       `json:"cpus"`
	Level   Level     `json:"level"`
	Rows    []Row     `json:"rows"`
	Goals   []Goal    `json:"goals"`
}

// Read reads a result written by Write.
func Read(r io.Reader) (*Result, error) {
	var out Result
	err := json.NewDecoder(r).Decode(&out)
	return &out, err
}

// Merge combines the rows of results measured in succession on one machine, and evaluates them together.
func Merge(first *Result, more ...*Result) *Result {
	out := *first
	out.Rows = slices.Clone(first.Rows)
	for _, r := range more {
		out.Rows = append(out.Rows, r.Rows...)
	}
	out.Goals = goals(out.Rows, out.CPUs)
	return &out
}

// Write writes a result as JSON.
func (r *Result) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}
