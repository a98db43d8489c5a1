// SPDX-License-Identifier: GPL-2.0

package bench

import (
	"math"
	"slices"
)

// Distribution summarizes durations in ns. Percentiles are computed by the nearest-rank method.
type Distribution struct {
	Min  int64 `json:"min"`
	P25  int64 `json:"p25"`
	P50  int64 `json:"p50"`
	P99  int64 `json:"p99"`
	P999 int64 `json:"p99_9"`
	Max  int64 `json:"max"`
}

// summarize returns nil if there are no samples.
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

// percentile returns percentile p of sorted samples, of which there must be at least one; 0 < p <= 1.
func percentile(sorted []int64, p float64) int64 {
	// compensate for rounding errors in the product
	rank := math.Ceil(p*float64(len(sorted)) - 1e-9)
	return sorted[int(rank)-1]
}

// point is a measured value y at x.
type point struct{ x, y float64 }

// slope returns the slope of the least-squares line; false if it is undefined.
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
