//go:build vm

package cases

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lpatch/test/soak"
)

// soakTime is for a try by hand; SOAK_TIME, as scripts/soak sets it, is for more.
const soakTime = 40 * time.Second

// TestHelperSoak is what scripts/soak runs, and no case of its own: it lets several lpctl work at once on programs that
// check themselves, kills both at random, and looks whether anything is left in the end.
func TestHelperSoak(t *testing.T) {
	cfg := soak.Config{
		Program: fixtures + "soak",
		Patches: []string{fixtures + "several.lp", fixtures + "lone.lp", fixtures + "third.lp"},
		Threads: []int{256, 16, 16},
		Workers: 3,
		Clients: 1,
		Time:    soakTime,
		Seed:    uint64(time.Now().UnixNano()),
		Log:     t.Logf,
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
	if r.Errors > 0 {
		t.Fatalf("%d errors", r.Errors)
	}
	if r.Cycles() == 0 || r.Done["audit"] == 0 {
		t.Fatal("nothing was tested")
	}
	wantNothingLeft(t)
	if err := unix.DeleteModule("lpatch", unix.O_NONBLOCK); err != nil {
		t.Fatalf("removing the module: %v", err)
	}
	loadModule(t)
}
