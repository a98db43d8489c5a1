// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"os"
	"testing"
	"time"

	"lpatch/test/soak"
)

// soakTime is for one case of many; SOAK_TIME, as scripts/soak sets it, is for more.
const soakTime = 30 * time.Second

// TestSoak lets several lpctl work at once on programs that check themselves, kills both at random, and looks whether
// anything is left in the end. scripts/soak runs it for longer.
//
//machine:slow
//machine:preempts
func TestSoak(t *testing.T) {
	cxx := &soak.Program{
		Path: fixtures + "soak", Pins: true,
		Patches: []string{fixtures + "several.lp", fixtures + "lone.lp", fixtures + "newer/several.lp"},
	}
	plain := &soak.Program{
		Path:    fixtures + "soak-plain",
		Patches: []string{fixtures + "plain-several.lp", fixtures + "plain-lone.lp", fixtures + "newer/plain-several.lp"},
	}
	cfg := soak.Config{
		Targets: []soak.Target{{Program: cxx, Threads: 256}, {Program: cxx, Threads: 16}, {Program: plain, Threads: 16}, {Program: plain, Threads: 16}},
		Workers: 3,
		Clients: 1,
		Time:    soakTime,

		Patience: patience(2 * time.Minute),
		Seed:     uint64(time.Now().UnixNano()),
		Log:      t.Logf,
	}
	var err error
	if s := os.Getenv("SOAK_TIME"); s != "" {
		if cfg.Time, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	if s := os.Getenv("SOAK_SEED"); s != "" {
		if !parse(s, "%d", &cfg.Seed) {
			t.Fatalf("SOAK_SEED=%s is no number", s)
		}
	}
	r := soak.Run(cfg)
	t.Logf("seed %d\n%v", cfg.Seed, r)
	if n := r.Failures(); n > 0 {
		t.Fatalf("%d errors", n)
	}
	if !r.Tested() {
		t.Fatal("nothing was tested")
	}
	wantNothingLeft(t)
	removeModule(t)
}
