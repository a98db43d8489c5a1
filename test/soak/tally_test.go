// SPDX-License-Identifier: GPL-2.0

package soak

import (
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	var stops []time.Duration
	for i := range 1000 {
		stops = append(stops, time.Duration(i+1)*time.Microsecond)
	}
	for p, want := range map[float64]time.Duration{0: 1, 0.5: 500, 0.99: 990, 0.999: 999, 1: 1000} {
		if got := (Result{Stops: stops}).quantile(p); got != want*time.Microsecond {
			t.Errorf("quantile %v of 1 to 1000 µs is %v, want %d µs", p, got, want)
		}
	}
	if got := (Result{}).quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing is %v", got)
	}
}

func TestLegitimate(t *testing.T) {
	for _, c := range []struct {
		verb, code string
		pins, want bool
	}{
		{"apply", "already", false, true}, {"apply", "thread-active", false, true}, {"unload", "still-applied", false, true},
		{"restore", "covered", false, true}, {"unload", "already", false, false}, {"status", "deadline", false, false},
		{"apply", "bytes-differ", false, false}, {"status", "bytes-differ", false, false},
		{"unload", "pinned", true, true}, {"revert", "pinned", true, true}, {"revert", "pinned", false, false}, {"restore", "pinned", true, false},
	} {
		if got := (&Program{Pins: c.pins}).legitimate(c.verb, c.code); got != c.want {
			t.Errorf("%s refused with %s, pins %v: legitimate is %v, want %v", c.verb, c.code, c.pins, got, c.want)
		}
	}
}
