// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mountOverlay makes an overlay file system as containers have it, with copies of these fixtures in its lower layer, and
// returns the directories of that layer and of the whole.
func mountOverlay(t *testing.T, names ...string) (lower, merged string) {
	t.Helper()
	loadKernels(t, "overlay", "")
	dir := t.TempDir()
	mount := func(kind, at, options string) {
		if err := unix.Mount(kind, at, kind, 0, options); err != nil {
			t.Fatalf("mounting %s: %v", kind, err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	mount("tmpfs", dir, "")
	for _, sub := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lower, merged = filepath.Join(dir, "lower"), filepath.Join(dir, "merged")
	for _, name := range names {
		b, err := os.ReadFile(fixtures + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(lower, name), b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mount("overlay", merged, fmt.Sprintf("lowerdir=%s,upperdir=%[2]s/upper,workdir=%[2]s/work", lower, dir))
	return lower, merged
}

// TestOverlay patches programs whose file lies on an overlay: one that is in the lower layer, by each way to name the
// target, and together with a process that runs it from there; and one that was copied up. The patch lies there too.
func TestOverlay(t *testing.T) {
	const program, lp = "victim-pie-gcc-O2", "victim-pie-gcc-O2.lp"
	lower, merged := mountOverlay(t, program, lp)
	start := func(path string) *victim { return startCommand(t, exec.Command(path, "-t", "2", "-m", "spin")) }
	path := filepath.Join(merged, program)
	v, below := start(path), start(filepath.Join(lower, program))
	with := func(verb string, targets ...string) {
		t.Helper()
		args := append([]string{verb, filepath.Join(merged, lp), "--max-stop", "2s", "--timeout", "60s"}, targets...)
		if status, stdout, stderr := lpctl(t, args...); status != 0 {
			t.Fatalf("lpctl %v: exit status %d\n%s%s", args, status, stdout, stderr)
		}
	}
	with("apply", "--exe", path)
	v.wantValue(2)
	below.wantValue(1)
	with("revert", "--exe", path)
	v.wantValue(1)
	with("apply", "--all")
	v.wantValue(2)
	below.wantValue(2)
	with("revert", "--all")
	v.wantValue(1)
	below.wantValue(1)

	copyUp(t, path)
	above := start(path)
	with("apply", "--pid", fmt.Sprint(above.pid))
	above.wantValue(2)
	v.wantValue(1)
	with("revert", "--pid", fmt.Sprint(above.pid))
	// The name that its map has leads to the other file by now.
	wantSaid(t, 2, fmt.Sprintf("refused: %[1]s[%[2]d]: %[3]s is not mapped executable in %[1]s[%[2]d]", program[:15], v.pid,
		program), "apply", filepath.Join(merged, lp), "--pid", fmt.Sprint(v.pid))
	for _, v := range []*victim{v, below, above} {
		v.wantNoWrong()
	}
}

// copyUp makes a file of an overlay another one, with the same content: those who have the old one mapped keep that.
func copyUp(t *testing.T, path string) {
	t.Helper()
	if err := os.Chtimes(path, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
}

// TestBootOverlay patches a program on an overlay as it starts, from whatever layer, and whichever was registered: that is
// one file. Copied up it is another: it starts as it is, the one in the lower layer is patched, and boot sync says so, until the
// entry is registered anew.
func TestBootOverlay(t *testing.T) {
	lower, merged := mountOverlay(t, "start")
	above, below := filepath.Join(merged, "start"), filepath.Join(lower, "start")
	wantExits := func(wantAbove, wantBelow int) {
		t.Helper()
		if got := exitOf(t, above); got != wantAbove {
			t.Fatalf("on the overlay the program exits with %d, want %d", got, wantAbove)
		}
		if got := exitOf(t, below); got != wantBelow {
			t.Fatalf("in the lower layer the program exits with %d, want %d", got, wantBelow)
		}
	}
	c := dial(t)
	for _, registered := range []string{below, above} {
		addBoot(t, c, rawPatch(t, registered, "value"), 0)
		wantExits(2, 2)
		wantBoot(t, c, 2, 0)
		forgetBoots(t, c)
	}
	t.Cleanup(func() { lpctl(t, "boot", "remove", "start") })
	wantDone(t, "start is applied to what starts from now on", "boot", "add", fixtures+"start.lp", "--image", above)
	wantExits(2, 2)
	copyUp(t, above)
	wantExits(1, 2)
	const note = "lpctl: note: start is registered for another file than the one that is there now; lpctl boot replay registers that\n" +
		"lpctl: rows that do not agree: 1 of 1; lpctl boot sync --fix brings them in line with the registry\n"
	if status, stdout, stderr := lpctl(t, "boot", "sync"); status != 4 || stderr != note {
		t.Fatalf("lpctl boot sync: exit status %d\n%s%s", status, stdout, stderr)
	}
	wantDone(t, "start is applied to what starts from now on", "boot", "replay")
	wantExits(2, 1)
}
