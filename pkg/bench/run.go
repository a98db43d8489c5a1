// SPDX-License-Identifier: GPL-2.0

package bench

import (
	"fmt"
	"io"
	"time"

	"lpatch/pkg/lpnl"
)

// Config selects what is measured.
type Config struct {
	Level     Level
	Only      Load   // "" for all loads
	Programs  string // directory with the programs of BuildPrograms
	Memcached string // path of memcached; "" to omit it
	Kernel    Kernel
	Progress  io.Writer
}

// rest is the time between two windows.
const rest = time.Millisecond

// maxRounds is sufficient for a median; each round takes at least a millisecond.
const maxRounds = 100

// runner is the state of a run.
type runner struct {
	Config
	plan
	rows []Row
}

// Run executes the benchmark. A failure of one measurement is recorded in its row; the error concerns the run as a whole.
func Run(cfg Config) (*Result, error) {
	p, ok := plans[cfg.Level]
	if !ok {
		return nil, fmt.Errorf("there is no level %q", cfg.Level)
	}
	result := &Result{Date: time.Now().UTC().Truncate(time.Second), Level: cfg.Level}
	result.describe()
	r := &runner{Config: cfg, plan: p}
	for _, load := range p.loads {
		if cfg.Only != "" && load != cfg.Only {
			continue
		}
		for _, threads := range p.threadsFor(load) {
			if err := r.program(threads, load); err != nil {
				return nil, fmt.Errorf("%d threads %s: %w", threads, load, err)
			}
		}
	}
	if cfg.Memcached != "" && p.segments > 0 && (cfg.Only == "" || cfg.Only == LoadMemcached) {
		r.memcached()
	}
	if len(r.rows) == 0 {
		return nil, fmt.Errorf("level %s has nothing to measure under load %q", cfg.Level, cfg.Only)
	}
	result.Rows, result.Goals = r.rows, goals(r.rows, result.CPUs)
	return result, nil
}

func (r *runner) add(row Row) {
	r.rows = append(r.rows, row)
	what := row.Error
	if what == "" && row.Stop != nil {
		what = fmt.Sprintf("%s, longest %s", Micros(row.Stop.P50), Micros(row.Stop.Max))
	}
	fmt.Fprintf(r.Progress, "%s, %d threads %s, %d functions: %s\n", row.System, row.Threads, row.Load, row.Functions, what)
}

// program performs all measurements for a number of threads and a load.
func (r *runner) program(threads int, load Load) error {
	t, err := startTarget(r.Programs, threads, load)
	if err != nil {
		return err
	}
	// after a failed measurement the program may be in any state
	defer func() { t.close() }()
	base := Row{Threads: threads, Load: load}
	if err := r.undisturbed(t, &base); err != nil {
		return err
	}
	for _, functions := range r.functionsFor(threads, load) {
		base.Functions = functions
		for _, name := range append([]string{SystemLpatch}, r.ways(threads, functions)...) {
			base.System = name
			row := r.row(t, base)
			r.add(row)
			if row.Error == "" {
				continue
			}
			t.close()
			if t, err = startTarget(r.Programs, threads, load); err != nil {
				return err
			}
		}
	}
	return nil
}

// undisturbed measures the baseline for all systems.
func (r *runner) undisturbed(t *target, base *Row) error {
	if r.counted {
		return nil
	}
	if err := r.floors(t, *base); err != nil {
		return err
	}
	quiet, err := r.quiet(t)
	base.GapQuiet = &quiet
	return err
}

// quiet returns the longest gap that a thread observes by its own clock while nothing is done, in the time that a row takes.
func (r *runner) quiet(t *target) (int64, error) {
	if _, err := t.ask("reset"); err != nil {
		return 0, err
	}
	time.Sleep(r.budget)
	s, err := t.stats()
	return s.gap, err
}

// floors measures the minimum that the hardware requires.
func (r *runner) floors(t *target, row Row) error {
	rounds, err := t.numbers("round %d", min(r.windows, maxRounds))
	if err != nil {
		return err
	}
	row.System, row.Windows, row.Stop = SystemRound, len(rounds), summarize(rounds)
	if row.Stop == nil {
		row.Error = "this kernel has no membarrier(2)"
	}
	r.add(row)
	if len(r.rows) > 1 {
		return nil // the copy does not depend on the number of threads
	}
	const copies = 20000
	var each []int64
	for range 5 {
		sum, err := t.numbers("copy %d", copies)
		if err != nil {
			return err
		}
		for _, ns := range sum {
			each = append(each, ns/copies)
		}
	}
	r.add(Row{System: SystemCopy, Windows: copies, Stop: summarize(each)})
	return nil
}

// start creates the system for a row.
func (r *runner) start(t *target, row Row) (system, error) {
	switch row.System {
	case SystemLpatch:
		return newLpatch(r.Kernel, t, row.Functions)
	case SystemGDB:
		return newGDB(t, row.Functions)
	default:
		return driven{t, row.System, row.Functions}, nil
	}
}

// row measures one system.
func (r *runner) row(t *target, row Row) Row {
	s, err := r.start(t, row)
	if err == nil {
		err = r.measure(t, s, &row)
	}
	if l, ok := s.(*lpatch); ok && l != nil {
		if err == nil {
			_, err = l.k.Op(lpnl.VerbUnload, l.patch.Hash, lpnl.Target{PID: l.pid}, options)
			l.sum(&row)
		}
		l.close()
	}
	if err != nil {
		return Row{System: row.System, Threads: row.Threads, Load: row.Load, Functions: row.Functions, Error: err.Error()}
	}
	return row
}

// measure replaces and restores the functions until the time is up.
func (r *runner) measure(t *target, s system, row *Row) error {
	if err := r.tryOnce(t, s, row); err != nil {
		return err
	}
	if l, ok := s.(*lpatch); ok {
		l.ops = nil
	}
	if _, err := t.ask("reset"); err != nil {
		return err
	}
	before, err := overhead(t.pid)
	if err != nil {
		return err
	}
	stops, err := r.windowsOf(s)
	if err != nil {
		return err
	}
	after, err := overhead(t.pid)
	if err != nil {
		return err
	}
	saw, err := t.stats()
	if err != nil {
		return err
	}
	cpu := int64(after-before) / int64(len(stops))
	row.Windows, row.Stop, row.Gap, row.EINTR, row.CPU = len(stops), summarize(stops), &saw.gap, &saw.eintr, &cpu
	return nil
}

// windowsOf returns the duration of each window.
func (r *runner) windowsOf(s system) ([]int64, error) {
	var stops []int64
	for end := time.Now().Add(r.budget); len(stops) == 0 || len(stops) < r.windows && time.Now().Before(end); {
		for _, on := range []bool{true, false} {
			stop, err := s.replace(on)
			if err != nil {
				return nil, err
			}
			stops = append(stops, stop)
			time.Sleep(rest)
		}
	}
	return stops, nil
}

// tryOnce verifies that the system works, and measures its memory consumption.
func (r *runner) tryOnce(t *target, s system, row *Row) error {
	before, err := anonymousBytes(t.pid)
	if err != nil {
		return err
	}
	if _, err := s.replace(true); err != nil {
		return err
	}
	after, err := anonymousBytes(t.pid)
	if err != nil {
		return err
	}
	more := after - before
	row.Memory = &more
	if err := t.wantReplaced(row.Functions); err != nil {
		return err
	}
	if _, err := s.replace(false); err != nil {
		return err
	}
	return t.wantReplaced(0)
}

// sum aggregates the durations in the reports.
func (l *lpatch) sum(row *Row) {
	row.Phases, row.Quartile, row.Least = &Phases{}, &Phases{}, &Phases{}
	for _, part := range []struct {
		of                      func(o *op) time.Duration
		median, quartile, least *int64
	}{
		{func(o *op) time.Duration { return o.report.Gate }, &row.Phases.Gate, &row.Quartile.Gate, &row.Least.Gate},
		{func(o *op) time.Duration { return o.report.Barrier }, &row.Phases.Barrier, &row.Quartile.Barrier, &row.Least.Barrier},
		{func(o *op) time.Duration { return o.report.Check }, &row.Phases.Check, &row.Quartile.Check, &row.Least.Check},
		{func(o *op) time.Duration { return o.report.Write }, &row.Phases.Write, &row.Quartile.Write, &row.Least.Write},
		{func(o *op) time.Duration { return o.report.Release }, &row.Phases.Release, &row.Quartile.Release, &row.Least.Release},
		{func(o *op) time.Duration { return o.took - o.report.Stop }, &row.Phases.Outside, &row.Quartile.Outside, &row.Least.Outside},
	} {
		var list []int64
		for i := range l.ops {
			list = append(list, int64(part.of(&l.ops[i])))
		}
		d := summarize(list)
		*part.median, *part.quartile, *part.least = d.P50, d.P25, d.Min
	}
	var longest int64
	attempts := 0
	for _, o := range l.ops {
		longest = max(longest, int64(o.report.LongestThread))
		attempts += o.report.Attempts
	}
	row.LongestThread, row.Attempts = &longest, &attempts
}
