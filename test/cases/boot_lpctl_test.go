// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"fmt"
	"strings"
	"testing"

	"lpatch/pkg/lpnl"
)

// TestBootVerb adds entries by lpctl, for a program and for its library, and registers them again after the kernel has
// lost them, as a boot does.
//
//machine:only 6.12
func TestBootVerb(t *testing.T) {
	c := dial(t)
	for _, e := range []struct{ patch, image, program string }{
		{"start", "start", "start"}, {"libstart.so", "libstart.so", "start-shared"},
	} {
		t.Run(e.patch, func(t *testing.T) {
			boot := func(args ...string) string {
				t.Helper()
				status, out, complaint := lpctl(t, append([]string{"boot"}, args...)...)
				if status != 0 {
					t.Fatalf("lpctl boot %v exits with %d: %s", args, status, complaint)
				}
				return out
			}
			wantExit := func(want int) {
				t.Helper()
				if got := exitOf(t, fixtures+e.program); got != want {
					t.Fatalf("%s exits with %d, want %d", e.program, got, want)
				}
			}
			t.Cleanup(func() { lpctl(t, "boot", "remove", e.patch) })
			wantExit(1)
			boot("add", fixtures+e.patch+".lp", "--image", fixtures+e.image)
			wantExit(2)
			wantBoots(t, c, 1)
			forgetBoots(t, c)
			wantExit(1)
			boot("replay")
			wantExit(2)
			if out := boot("list"); !strings.Contains(out, e.patch) {
				t.Fatalf("the list is\n%s", out)
			}
			boot("remove", e.patch)
			wantExit(1)
			wantBoots(t, c, 0)
		})
	}
}

// TestBootFailSafe boots again and again: it has the kernel forget its entries, and gives the boot another name. After two
// boots without success an entry is disabled, and named.
func TestBootFailSafe(t *testing.T) {
	c := dial(t)
	t.Cleanup(func() { lpctl(t, "boot", "remove", "start") })
	add := func() {
		t.Helper()
		wantDone(t, "start is applied to what starts from now on", "boot", "add", "--boots", "2", fixtures+"start.lp", "--image",
			fixtures+"start")
	}
	const disabled = "note: start is disabled: it was active in 2 boots that did not reach \"lpctl boot success\"; add it again to try it again"
	// boot replays, and ends with success or without.
	boot := func(n int, active, success bool) {
		t.Helper()
		forgetBoots(t, c)
		defer mountFile(t, "/proc/sys/kernel/random/boot_id", fmt.Sprintf("boot %d\n", n))()
		status, _, note := lpctl(t, "boot", "replay")
		if status != 0 || active == (note == "lpctl: "+disabled+"\n") {
			t.Fatalf("boot %d: lpctl boot replay exits with %d: %s", n, status, note)
		}
		if got := exitOf(t, fixtures+"start"); (got == 2) != active {
			t.Fatalf("boot %d: the program exits with %d", n, got)
		}
		if success {
			status, _, note := lpctl(t, "boot", "success")
			if status != 0 || active == (note == "lpctl: "+disabled+"\n") {
				t.Fatalf("boot %d: lpctl boot success exits with %d: %s", n, status, note)
			}
		}
	}
	add()
	boot(1, true, false)
	boot(2, true, true)
	boot(3, true, false)
	boot(4, true, false)
	boot(5, false, true)
	boot(6, false, false)
	add()
	boot(7, true, false)
}

// forgetBoots ends all boot entries of the kernel, as a boot does.
func forgetBoots(t *testing.T, c *lpnl.Client) {
	t.Helper()
	list, err := c.Boots()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range list {
		if err := c.BootRemove(b.Hash); err != nil {
			t.Fatal(err)
		}
	}
}

// wantBoots asks for n boot entries.
func wantBoots(t *testing.T, c *lpnl.Client, n int) []lpnl.Boot {
	t.Helper()
	list, err := c.Boots()
	if err != nil || len(list) != n {
		t.Fatalf("there are %d boot entries (%v), want %d", len(list), err, n)
	}
	return list
}
