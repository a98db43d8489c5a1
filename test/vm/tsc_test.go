// SPDX-License-Identifier: GPL-2.0

package vm

import (
	"testing"
	"time"
)

// TestTSC sees that the rate tells the time: over another interval than the one that it was measured in.
func TestTSC(t *testing.T) {
	rate := tscKHz()
	from, fromTSC := readClocks()
	time.Sleep(200 * time.Millisecond)
	to, toTSC := readClocks()
	want := to.Sub(from)
	got := time.Duration(float64(toTSC-fromTSC) / float64(rate) * float64(time.Millisecond))
	if off := (got - want).Abs(); off > want/1000 {
		t.Errorf("at %d kHz the counter says %v, the clock %v", rate, got, want)
	}
}
