// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"fmt"
	"regexp"
	"testing"
)

// TestBootSync has entries and processes that do not agree, and brings them in line.
//
//machine:only 6.12
func TestBootSync(t *testing.T) {
	c := dial(t)
	v := startVictim(t, "life")
	sync := func(want int, line string, args ...string) {
		t.Helper()
		status, out, complaint := lpctl(t, append([]string{"boot", "sync"}, args...)...)
		if status != want || !regexp.MustCompile(`(?m)`+line).MatchString(out) {
			t.Fatalf("lpctl boot sync %v: exit status %d, want %d and %s\n%s%s", args, status, want, line, out, complaint)
		}
	}
	sync(0, "")
	sync(3, "", "--fix")
	if status, _, complaint := lpctl(t, "boot", "add", fixtures+"life.lp", "--image", fixtures+"life"); status != 0 {
		t.Fatal(complaint)
	}
	t.Cleanup(func() { lpctl(t, "boot", "remove", "life") })
	started := startVictim(t, "life")
	process := func(v *victim, rest string) string {
		return fmt.Sprintf(`^life +\w+ +- +- +life\[%d\] +%s$`, v.pid, rest)
	}
	sync(4, process(v, "none +no +-"))
	sync(4, process(started, "applied +yes +-"))
	v.wantValue(1)
	sync(0, process(v, "applied +yes +applied"), "--fix")
	v.wantValue(2)
	sync(0, "^life +yes +current +yes +- +- +yes +-$")
	for _, b := range wantBoots(t, c, 1) {
		if err := c.BootRemove(b.Hash); err != nil {
			t.Fatal(err)
		}
	}
	sync(0, "^life +yes +current +yes +- +- +yes +registered$", "--fix")
	wantBoots(t, c, 1)
	if status, _, complaint := lpctl(t, "boot", "remove", "life"); status != 0 {
		t.Fatal(complaint)
	}
	v.wantValue(2)
	sync(0, process(v, "none +yes +reverted"), "--fix")
	v.wantValue(1)
	started.wantValue(1)
	wantNoTargets(t, c)
}
