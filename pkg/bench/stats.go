// SPDX-License-Identifier: GPL-2.0

package bench

import (
	"math"
	"slices"
)

// Distribution sums up durations, in ns. Percentiles are nearest-rank: values that occurred.
type Distribution struct {
	Min  int64 `json:"min"`
	P25  int64 `json:"p25"`
	P50  int64 `json:"p50"`
	P99  int64 `json:"p99"`
	P999 int64 `json:"p99_9"`
	Max  int64 `json:"max"`
}

// summarize returns nil for no samples.
func summarize(samples []int64) *Distribution {
	if len(samples) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(samples))
	return &Distribution{
		Min: sorted[0], P25: percentile(sorted, 0.25), P50: percentile(sorted, 0.5), P99: percentile(sorted, 0.99), P999: percentile(sorted, 0.999),
		Max: sorted[len(sorted)-1],
	}
}

// percentile takes sorted samples, at least one, and 0 < p <= 1.
func percentile(sorted []int64, p float64) int64 {
	// The product may be a little more than the whole number that it stands for.
	rank := math.Ceil(p*float64(len(sorted)) - 1e-9)
	return sorted[int(rank)-1]
}

// point is a measurement: y at x.
type point struct{ x, y float64 }

// slope is that of the straight line that fits best (least squares); false if there is none.
func slope(points []point) (float64, bool) {
	n := float64(len(points))
	var sx, sy, sxx, sxy float64
	for _, p := range points {
		sx += p.x
		sy += p.y
		sxx += p.x * p.x
		sxy += p.x * p.y
	}
	d := n*sxx - sx*sx
	if d == 0 {
		return 0, false
	}
	return (n*sxy - sx*sy) / d, true
}
