// SPDX-License-Identifier: GPL-2.0

package docs

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"lpatch/test/vm"
)

// TestHacking runs the commands of HACKING.md in this very repository: where no kernels are selected, those marked
// "console build", else those that run a machine. The tests that the first name are only compiled: make unit runs them.
func TestHacking(t *testing.T) {
	names, err := vm.TestKernels()
	if err != nil {
		t.Fatal(err)
	}
	mark := "console build"
	cmd := exec.Command("bash", "-c", "")
	cmd.Env = append(os.Environ(), "GOFLAGS=-run=^$ -vet=off")
	if len(names) > 0 {
		if !slices.Contains(names, kernel) {
			t.Skipf("LPATCH_VM does not select kernel %s", kernel)
		}
		mark, cmd.Env = "console", nil
	}
	list := commands(t, "../HACKING.md", mark)
	cmd.Args[2], cmd.Dir = "exec 2>&1\n"+script(list), root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	judge(t, "HACKING.md", list, string(out))
}
