// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"lpatch/pkg/patch"
)

// TestHostileFiles has processes of nobody map what cannot be read to the end, or keep their mappings locked. Root's operations on all
// processes end soon, take little memory, do what they are for to others, and name those of whom it is not known whether they are
// meant; so does the comparison with the boot entries.
//
//machine:only 6.12
func TestHostileFiles(t *testing.T) {
	lendFUSE(t)
	loadKernels(t, "overlay", "")
	v := startVictim(t, "victim")
	const lp = fixtures + "victim.lp"
	left := map[string]string{}
	for _, way := range []string{"sparse", "sections", "lease", "fuse", "overlay", "locked"} {
		a, _ := attack(t, "files", way)
		left[way] = fmt.Sprint(a.pid)
	}
	why := []string{
		"files[" + left["lease"] + "]: cannot open /memfd:leased as process " + left["lease"] + " maps it: somebody has a lease on it, ",
		"files[" + left["fuse"] + "]: cannot open /tmp/file as process " + left["fuse"] + " maps it: it is on a file system of type fuse, ",
		"files[" + left["overlay"] + "]: cannot open /tmp/file as process " + left["overlay"] + " maps it: it is on an overlay that a user has mounted, ",
		"process " + left["locked"] + " keeps its mappings locked, they could not be looked at within 5s",
	}
	for _, c := range []struct {
		value int
		args  []string
	}{
		{1, []string{"check", lp, "--all", "--timeout", "60s", "--max-stop", "2s"}},
		{2, []string{"apply", lp, "--all", "--timeout", "60s", "--max-stop", "2s"}},
		{2, []string{"boot", "add", lp, "--image", v.path}},
		{2, []string{"boot", "sync"}},
		{2, []string{"scan", lp}},
	} {
		cmd, began := exec.Command("lpctl", c.args...), time.Now()
		status, stdout, stderr := run(t, cmd)
		took, usage := time.Since(began), cmd.ProcessState.SysUsage().(*syscall.Rusage)
		t.Logf("lpctl %s: %v, %d MiB\n%s%s", c.args[0], took.Round(time.Millisecond), usage.Maxrss>>10, stdout, stderr)
		if took > patience(30*time.Second) || usage.Maxrss > 256<<10 {
			t.Errorf("lpctl %s took %v and %d KiB", strings.Join(c.args, " "), took, usage.Maxrss)
		}
		v.wantValue(c.value)
		if c.args[0] == "boot" && c.args[1] == "add" {
			if status != 0 {
				t.Fatalf("boot add: %d %s%s", status, stdout, stderr)
			}
			continue
		}
		for _, text := range why {
			if !strings.Contains(stderr, "lpctl: left out, and whether it is meant is not known: "+text) {
				t.Errorf("lpctl %s does not say %q:\n%s", strings.Join(c.args, " "), text, stderr)
			}
		}
		done := fmt.Sprintf("[%d]", v.pid)
		if c.args[0] == "scan" {
			done = "; 1 patched; "
		}
		if n := strings.Count(stderr, "left out"); status != 4 || n != len(why) || !strings.Contains(stdout, done) {
			t.Errorf("lpctl %s: exit status %d, %d left out\n%s%s", strings.Join(c.args, " "), status, n, stdout, stderr)
		}
	}
	for _, args := range [][]string{
		{"boot", "remove", patchName(t, lp)},
		{"revert", lp, "--all", "--timeout", "60s", "--max-stop", "2s"}, // the kernel knows who has it, whatever others map
	} {
		if status, stdout, stderr := lpctl(t, args...); status != 0 {
			t.Errorf("lpctl %s: exit status %d\n%s%s", strings.Join(args, " "), status, stdout, stderr)
		}
	}
	v.wantValue(1)
}

// patchName is the name of the patch in a file.
func patchName(t *testing.T, path string) string {
	t.Helper()
	f, err := patch.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f.Spec.Name
}
