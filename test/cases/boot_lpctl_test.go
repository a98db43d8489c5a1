//go:build vm

package cases

import (
	"strings"
	"testing"

	"lpatch/pkg/lpnl"
)

// TestBootVerb adds entries by lpctl, for a program and for its library, and registers them again after the kernel has
// lost them, as a boot does.
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
			for _, b := range wantBoots(t, c, 1) {
				if err := c.BootRemove(b.Hash); err != nil {
					t.Fatal(err)
				}
			}
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

// wantBoots asks for n boot entries.
func wantBoots(t *testing.T, c *lpnl.Client, n int) []lpnl.Boot {
	t.Helper()
	list, err := c.Boots()
	if err != nil || len(list) != n {
		t.Fatalf("there are %d boot entries (%v), want %d", len(list), err, n)
	}
	return list
}
