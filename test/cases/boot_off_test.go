// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mountFile puts a file with this text in place of another, until the end of the test or the call of what it returns.
func mountFile(t *testing.T, path, text string) (undo func()) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "instead")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(file, path, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	mounted := true
	undo = func() {
		if mounted {
			mounted = false
			if err := unix.Unmount(path, 0); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(undo)
	return undo
}

// modprobe loads the module as a system does, from where it is installed.
func modprobe(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("modprobe", "lpatch").CombinedOutput(); err != nil {
		t.Fatalf("modprobe lpatch: %v\n%s", err, out)
	}
}

// TestBootOff loads the module with lpatch.boot=off on the kernel's command line, or what modprobe and lpctl take for it:
// nothing is registered, and the module itself does not let who has not asked.
//
//machine:reloads
func TestBootOff(t *testing.T) {
	undo := mountFile(t, "/proc/cmdline", "quiet lpatch.boot=off\n")
	if err := unix.DeleteModule("lpatch", unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.DeleteModule("lpatch", unix.O_NONBLOCK); err != nil {
			t.Error(err)
		}
		loadModule(t)
	})
	modprobe(t)
	if b, err := os.ReadFile("/sys/module/lpatch/parameters/boot"); err != nil || string(b) != "N\n" {
		t.Fatalf("the module's parameter boot is %q, %v", b, err)
	}
	t.Cleanup(func() { lpctl(t, "boot", "remove", "start") })
	const note = "note: start is kept for the next boot and not applied to what starts: lpatch.boot=off is on the kernel's command line"
	wantSaid(t, 0, note, "boot", "add", fixtures+"start.lp", "--image", fixtures+"start")
	const off = "refused: lpatch.boot=off is on the kernel's command line; entries stay kept for a boot without it"
	wantSaid(t, 2, off, "boot", "replay")
	wantSaid(t, 2, off, "boot", "sync")

	wantFinding(t, exec.Command("lpctl", "doctor", "--quiet"), "FAIL  boot  lpatch.boot=off is on the kernel's command line: "+
		"no program is patched as it starts; boot without it")

	undo() // lpctl does not see it any more
	wantFinding(t, exec.Command("lpctl", "doctor", "--quiet"), "FAIL  boot  the module was loaded with boot=off: no program is patched "+
		"as it starts; look for \"options lpatch boot=off\" in /etc/modprobe.d, then \"rmmod lpatch\" and \"modprobe lpatch\"")
	status, _, complaint := lpctl(t, "boot", "replay")
	const refusal = "patches are not applied to programs as they start: the module's parameter boot is off"
	if status != 1 || !strings.Contains(complaint, refusal) {
		t.Fatalf("lpctl boot replay exits with %d: %s", status, complaint)
	}
	wantBoots(t, dial(t), 0)
	if got := exitOf(t, fixtures+"start"); got != 1 {
		t.Fatalf("the program exits with %d, want 1", got)
	}
}
