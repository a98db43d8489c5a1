// SPDX-License-Identifier: GPL-2.0

package vm

import (
	"math"
	"sync"
	"time"
)

// rdtsc reads the time-stamp counter of the processor.
func rdtsc() uint64

// tscKHz is the rate of the time-stamp counter, which an emulated machine has from the host (QEMU's cpu_get_host_ticks()),
// in kHz. Its kernel would compare it with an emulated timer, which is late on a busy host: one in some had a clock that was
// five times too fast, and its processes as much less time than they were given.
var tscKHz = sync.OnceValue(func() int {
	from, fromTSC := readClocks()
	time.Sleep(50 * time.Millisecond)
	to, toTSC := readClocks()
	return int(math.Round(float64(toTSC-fromTSC) / to.Sub(from).Seconds() / 1000))
})

// readClocks reads both clocks as nearly at once as can be had in a few tries: this process may be interrupted in between.
func readClocks() (at time.Time, tsc uint64) {
	nearest := time.Duration(math.MaxInt64)
	for range 100 {
		before := time.Now()
		count := rdtsc()
		if gap := time.Since(before); gap < nearest {
			nearest, at, tsc = gap, before, count
		}
	}
	return at, tsc
}
