// SPDX-License-Identifier: GPL-2.0

package vm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lpatch/test/vm/protocol"
)

// Case is one test case for RunCases: a script for the guest's shell. It passes if it exits with 0 and leaves the
// machine as it was: nothing in the kernel's log, no reference to the module left. Exit status 4 skips it.
// Each case has /tmp/case, empty, to itself; all its processes are killed before the next one starts.
type Case = protocol.Case

// Outcome is what came of a case.
type Outcome string

// The outcomes. A case is Lost when the machine ended before the case did, or before it was its turn: a failure.
const (
	Passed  Outcome = "pass"
	Failed  Outcome = "fail"
	Skipped Outcome = "skip"
	Lost    Outcome = "lost"
)

// CaseResult is the outcome of one case and what it printed; after a failure with what the kernel said meanwhile.
type CaseResult struct {
	Name    string
	Outcome Outcome
	Log     string
	Time    time.Duration
}

// RunCases boots one machine and runs all cases in it, one after another. There is a result for every case, whatever
// happens. The error is that of the machine: a failed case is none, but if cases are Lost it says why.
func RunCases(ctx context.Context, cfg Config, cases []Case) ([]CaseResult, error) {
	return WatchCases(ctx, cfg, cases, nil)
}

// WatchCases is RunCases and calls watch with each result as soon as it is known. Those of lost cases come at the end.
func WatchCases(ctx context.Context, cfg Config, cases []Case, watch func(CaseResult)) ([]CaseResult, error) {
	cfg = cfg.withDefaults()
	job, err := newJob(cfg)
	if err != nil {
		return nil, err
	}
	c, err := newCollector(cases, watch)
	if err != nil {
		return nil, err
	}
	job.Cases = cases
	_, err = run(ctx, cfg, job, c.see)
	return c.finish(err), err
}

// collector turns the guest's events into results.
type collector struct {
	results []CaseResult
	index   map[string]int
	running string
	watch   func(CaseResult)
}

func newCollector(cases []Case, watch func(CaseResult)) (*collector, error) {
	if len(cases) == 0 {
		return nil, errors.New("no cases to run")
	}
	if watch == nil {
		watch = func(CaseResult) {}
	}
	c := &collector{index: map[string]int{}, watch: watch}
	for i, one := range cases {
		if _, ok := c.index[one.Name]; ok {
			return nil, fmt.Errorf("two cases are called %q", one.Name)
		}
		c.results = append(c.results, CaseResult{Name: one.Name, Outcome: Lost})
		c.index[one.Name] = i
	}
	return c, nil
}

func (c *collector) see(e protocol.Event) {
	switch e.Event {
	case protocol.Start:
		c.running = e.Case
	case protocol.Pass, protocol.Fail, protocol.Skip:
		i, ok := c.index[e.Case]
		if !ok {
			return // of no case of ours: the one it was meant for stays lost
		}
		c.running = ""
		c.results[i] = CaseResult{Name: e.Case, Outcome: Outcome(e.Event), Log: e.Log, Time: e.Time}
		c.watch(c.results[i])
	}
}

// finish gives all results, after the machine ended with err. The case that was running has the machine's last words.
func (c *collector) finish(err error) []CaseResult {
	for i := range c.results {
		r := &c.results[i]
		if r.Outcome != Lost {
			continue
		}
		switch {
		case r.Name != c.running:
			r.Log = "not run: the machine was lost before\n"
		case err != nil:
			r.Log = lastWords(err)
		}
		c.watch(*r)
	}
	return c.results
}

func lastWords(err error) string {
	log := err.Error() + "\n"
	var f *Failure
	if errors.As(err, &f) {
		log += "---- output ----\n" + f.Output + "\n---- kernel log ----\n" + f.Log
	}
	return log
}
