// SPDX-License-Identifier: GPL-2.0

package bench

import (
	"fmt"
	"math"
)

// goals evaluates a run. Each goal is a ratio, so that it is comparable between slow and fast machines. Goals for which the
// run has no rows are included.
func goals(rows []Row, cpus int) []Goal {
	s := selector(rows)
	return []Goal{
		s.nearFloor(),
		s.againstPtrace("stop of 64 threads asleep, of the best ptrace way's", 1.0/20, func(r *Row) bool {
			return r.Load == LoadAsleep && r.Threads == 64
		}, func(d *Distribution) int64 { return d.P50 }),
		s.againstPtrace("longest stop with 4 busy threads per CPU, of the best ptrace way's", 1.0/100, func(r *Row) bool {
			return r.Load == LoadBusy && r.Threads >= 4*cpus
		}, func(d *Distribution) int64 { return d.Max }),
		s.perThread(),
		s.perFunction(),
		s.latency(),
	}
}

type selector []Row

// of calls fn for each row of a system that has stop times.
func (s selector) of(system string, fn func(r *Row)) {
	for i := range s {
		if r := &s[i]; r.System == system && r.Stop != nil {
			fn(r)
		}
	}
}

// beside returns the row of another system that is otherwise like r, or nil.
func (s selector) beside(r *Row, system string) *Row {
	for i := range s {
		o := &s[i]
		if o.System == system && o.Threads == r.Threads && o.Load == r.Load && o.Functions == r.Functions && o.Stop != nil {
			return o
		}
	}
	return nil
}

// judge returns a goal for the worst ratio that worsen was called with.
func judge(name string, limit float64, each func(worsen func(ratio float64, detail string))) Goal {
	g := Goal{Name: name, Limit: limit, Detail: "not measured"}
	each(func(ratio float64, detail string) {
		if g.Got == nil || ratio > *g.Got {
			g.Got, g.Detail = &ratio, detail
		}
	})
	g.Met = g.Got != nil && *g.Got <= limit
	return g
}

func (s selector) nearFloor() Goal {
	return judge("stop with up to 16 threads and 1 function, of a bare IPI round", 3, func(worsen func(float64, string)) {
		s.of(SystemLpatch, func(r *Row) {
			if r.Threads > 16 || r.Functions != 1 {
				return
			}
			floor := *r
			floor.Functions = 0
			if f := s.beside(&floor, SystemRound); f != nil {
				worsen(ratio(r.Stop.P50, f.Stop.P50), fmt.Sprintf("%d threads %s: %s, round %s", r.Threads, r.Load,
					Micros(r.Stop.P50), Micros(f.Stop.P50)))
			}
		})
	})
}

func (s selector) againstPtrace(name string, limit float64, which func(r *Row) bool, figure func(d *Distribution) int64) Goal {
	return judge(name, limit, func(worsen func(float64, string)) {
		s.of(SystemLpatch, func(r *Row) {
			if !which(r) || r.Functions != 1 {
				return
			}
			best := int64(math.MaxInt64)
			for _, way := range []string{SystemSeize, SystemAttach} {
				if o := s.beside(r, way); o != nil {
					best = min(best, figure(o.Stop))
				}
			}
			if best < math.MaxInt64 {
				worsen(ratio(figure(r.Stop), best), fmt.Sprintf("%d threads: %s, ptrace %s", r.Threads, Micros(figure(r.Stop)), Micros(best)))
			}
		})
	})
}

// line returns the slope of the median stop time of a system.
func (s selector) line(system string, which func(r *Row) bool, x func(r *Row) int) (float64, bool) {
	var points []point
	s.of(system, func(r *Row) {
		if which(r) {
			points = append(points, point{float64(x(r)), float64(r.Stop.P50)})
		}
	})
	return slope(points)
}

func (s selector) perThread() Goal {
	return judge("growth with threads, of the best ptrace way's", 1.0/10, func(worsen func(float64, string)) {
		asleep := func(r *Row) bool { return r.Load == LoadAsleep && r.Functions == 1 }
		threads := func(r *Row) int { return r.Threads }
		own, ok := s.line(SystemLpatch, asleep, threads)
		if !ok {
			return
		}
		best := math.Inf(1)
		for _, way := range []string{SystemSeize, SystemAttach} {
			if other, ok := s.line(way, asleep, threads); ok {
				best = min(best, other)
			}
		}
		if !math.IsInf(best, 1) {
			worsen(own/best, fmt.Sprintf("%.2f µs a thread, ptrace %.2f µs", own/1e3, best/1e3))
		}
	})
}

func (s selector) perFunction() Goal {
	return judge("growth with functions, of a copy of 16 bytes that misses the caches", 3, func(worsen func(float64, string)) {
		own, ok := s.line(SystemLpatch, func(r *Row) bool { return r.Load == LoadAsleep && r.Threads == axisThreads },
			func(r *Row) int { return r.Functions })
		s.of(SystemCopy, func(c *Row) {
			if ok {
				worsen(own/float64(c.Stop.P50), fmt.Sprintf("%.3f µs a function, the copy %.3f µs", own/1e3, float64(c.Stop.P50)/1e3))
			}
		})
	})
}

func (s selector) latency() Goal {
	return judge("p99.9 of memcached with a patch every 1.5 s, of without", 1.05, func(worsen func(float64, string)) {
		var with, without *Distribution
		for i := range s {
			switch r := &s[i]; {
			case r.Load != LoadMemcached:
			case r.System == SystemNone:
				without = r.Latency
			case r.System == SystemLpatch:
				with = r.Latency
			}
		}
		if with != nil && without != nil {
			worsen(ratio(with.P999, without.P999), fmt.Sprintf("%s, without %s", Micros(with.P999), Micros(without.P999)))
		}
	})
}

func ratio(a, b int64) float64 { return float64(a) / float64(max(b, 1)) }

// Micros formats a duration in ns as µs.
func Micros(ns int64) string { return fmt.Sprintf("%.1f µs", float64(ns)/1e3) }
