// SPDX-License-Identifier: GPL-2.0

package link

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestRegister executes register.o in a program that replaces libgcc.
func TestRegister(t *testing.T) {
	for _, cc := range []string{"gcc", "clang-14"} {
		t.Run(cc, func(t *testing.T) {
			if _, err := exec.LookPath(cc); err != nil {
				t.Skipf("%s is not installed", cc)
			}
			prog := filepath.Join(t.TempDir(), "prog")
			for _, cmd := range []*exec.Cmd{exec.Command(cc, "-O1", "-pthread", "-o", prog, "testdata/register.c", "register.o"), exec.Command(prog)} {
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", cmd, err, out)
				}
			}
		})
	}
}
