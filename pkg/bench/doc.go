// SPDX-License-Identifier: GPL-2.0

// Package bench measures how long programs are stopped while functions of theirs are replaced: by lpatch, by all the other
// ways there are, on the same program with the same writes, and by what the hardware needs at least. One run has all of
// it, so that its ratios hold on whatever machine it is.
//
// Documentation/performance.md tells what is measured and how, Documentation/results/performance.md has the results.
package bench
