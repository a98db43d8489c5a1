// SPDX-License-Identifier: GPL-2.0

// Package bench measures how long programs are stopped while their functions are replaced: by lpatch, and by all other
// available methods, on the same program and with the same writes. It also measures the minimum that the hardware requires.
// One run includes everything, so that its ratios are valid on any machine.
//
// Documentation/performance.md describes the measurements, Documentation/results/performance.md contains the results.
package bench
