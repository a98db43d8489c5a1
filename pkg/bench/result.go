// SPDX-License-Identifier: GPL-2.0

package bench

import (
	"encoding/json"
	"io"
	"slices"
	"time"
)

// The systems that are compared. Those between SystemSeize and SystemFreezer are ways that driver.c knows by these names.
const (
	SystemLpatch  = "lpatch"
	SystemSeize   = "ptrace-seize"   // PTRACE_SEIZE before, PTRACE_INTERRUPT of all threads, then wait for all
	SystemAttach  = "ptrace-attach"  // PTRACE_ATTACH and wait, one thread after another
	SystemSigstop = "sigstop"        // SIGSTOP, until the last thread has stopped
	SystemFreezer = "cgroup-freezer" // cgroup.freeze of cgroup v2
	SystemGDB     = "gdb"            // gdb -batch
	SystemRound   = "ipi-round"      // one bare IPI round to the processors that run the program: the floor
	SystemCopy    = "copy-16"        // a copy of 16 bytes that misses all caches: the floor for a function
	SystemNone    = "none"           // nothing is done: what the load looks like by itself
)

// Load is what the threads of the program do; programs/target.c tells exactly.
type Load string

// The loads. LoadMemcached is memcached with clients.
const (
	LoadAsleep    Load = "asleep"
	LoadStill     Load = "still"
	LoadBusy      Load = "busy"
	LoadMixed     Load = "mixed"
	LoadMemcached Load = "memcached"
)

// Phases are the parts of lpatch's window, in ns, and what an operation takes beside its window, as its client sees it.
type Phases struct {
	Gate    int64 `json:"gate"`
	Barrier int64 `json:"barrier"`
	Check   int64 `json:"check"`
	Write   int64 `json:"write"`
	Release int64 `json:"release"`
	Outside int64 `json:"outside"`
}

// Row is one measurement. What a system does not have is null; times are in ns.
type Row struct {
	System    string `json:"system"`
	Threads   int    `json:"threads"`
	Load      Load   `json:"load"`
	Functions int    `json:"functions"` // that are replaced, and put back, in one window each
	Windows   int    `json:"windows"`   // that Stop is about: half of them apply, half of them restore

	Stop          *Distribution `json:"stop_ns"`           // from the first thread told to stop to the last told to go on
	Phases        *Phases       `json:"phases_ns"`         // of lpatch, the median of each
	Quartile      *Phases       `json:"quartile_ns"`       // of lpatch, the lower quartile of each
	Least         *Phases       `json:"least_ns"`          // of lpatch, the least of each
	LongestThread *int64        `json:"longest_thread_ns"` // the longest that lpatch held one thread, by the kernel's clock
	Attempts      *int          `json:"attempts"`          // windows that lpatch opened, with those in which a thread was in the way
	Gap           *int64        `json:"gap_ns"`            // the longest gap that a thread saw by its own clock meanwhile
	GapQuiet      *int64        `json:"gap_quiet_ns"`      // the same while nothing was done to the program
	EINTR         *int          `json:"eintr"`             // system calls of the program that ended with EINTR
	Memory        *int64        `json:"memory_bytes"`      // memory of no file that the program has more once patched
	CPU           *int64        `json:"cpu_ns"`            // of the whole machine for one window, but for the program in user mode
	Latency       *Distribution `json:"latency_ns"`        // of requests
	Requests      int           `json:"requests,omitempty"`

	Error string `json:"error,omitempty"` // why there are no figures
}

// Goal is a ratio that is aimed at.
type Goal struct {
	Name   string   `json:"name"`
	Limit  float64  `json:"limit"`
	Got    *float64 `json:"got"` // null: the run does not have what it takes
	Met    bool     `json:"met"`
	Detail string   `json:"detail"`
}

// Result is a run.
type Result struct {
	Date    time.Time `json:"date"`
	Kernel  string    `json:"kernel"`
	Machine string    `json:"machine"` // the processor, as it calls itself
	CPUs    int       `json:"cpus"`
	Level   Level     `json:"level"`
	Rows    []Row     `json:"rows"`
	Goals   []Goal    `json:"goals"`
}

// Read reads a result as Write wrote it.
func Read(r io.Reader) (*Result, error) {
	var out Result
	err := json.NewDecoder(r).Decode(&out)
	return &out, err
}

// Merge puts the rows of results that were measured one after another on one machine into one, and judges them together.
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
