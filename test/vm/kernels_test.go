// SPDX-License-Identifier: GPL-2.0

package vm

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestTestKernels(t *testing.T) {
	for _, c := range []struct{ env, want string }{
		{"", ""},
		{"default", "6.1 6.12 6.12-rt"},
		{"all", "6.1 6.12 6.12-rt 7.3"},
		{"6.1", "6.1"},
		{" 7.3  debug ", "7.3 debug"},
	} {
		t.Setenv("LPATCH_VM", c.env)
		got, err := TestKernels()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("LPATCH_VM=%q selects %q, want %q", c.env, got, c.want)
		}
	}
}

// TestKernelNames compares with the shell's reading of test/kernels.yaml.
func TestKernelNames(t *testing.T) {
	lib, err := inRoot("scripts/lib.sh")
	if err != nil {
		t.Fatal(err)
	}
	for argument, all := range map[string]bool{"": false, "all": true} {
		names, err := kernelNames(all)
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("bash", "-euc", `. "$1"; kernel_names $2`, "-", lib, argument).Output()
		if err != nil {
			t.Fatal(err)
		}
		if shell := strings.Fields(string(out)); !slices.Equal(names, shell) {
			t.Errorf("kernel_names %s says %q, test/kernels.yaml has %q", argument, shell, names)
		}
	}
}
