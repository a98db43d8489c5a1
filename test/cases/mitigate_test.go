// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mitigate has lpctl make a mitigation in the machine, which has no compiler, and returns the patch file.
func mitigate(t *testing.T, name string, args ...string) string {
	t.Helper()
	lp := filepath.Join(t.TempDir(), name+".lp")
	if status, stdout, stderr := lpctl(t, append([]string{"mitigate", "-o", lp}, args...)...); status != 0 {
		t.Fatalf("mitigate %v: %d\n%s%s", args, status, stdout, stderr)
	}
	return lp
}

// hitsOf is what a status says that a mitigation has counted in a process.
func hitsOf(t *testing.T, name string, pid int) (n uint64, action string) {
	t.Helper()
	_, stdout, _ := lpctl(t, "status", "--json", "--pid", fmt.Sprint(pid))
	for line := range strings.Lines(stdout) {
		var row struct {
			Patch      string
			Mitigation *struct {
				Action string
				Hits   *uint64
			}
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if row.Patch == name && row.Mitigation != nil && row.Mitigation.Hits != nil {
			return *row.Mitigation.Hits, row.Mitigation.Action
		}
	}
	t.Fatalf("no hits of %s in\n%s", name, stdout)
	return 0, ""
}

// wantApplied wants these patches in a process, and no other, by the first column of a status.
func wantApplied(t *testing.T, pid int, names ...string) {
	t.Helper()
	_, stdout, _ := lpctl(t, "status", "--json", "--pid", fmt.Sprint(pid))
	var got []string
	for _, m := range regexp.MustCompile(`"patch":"([^"]+)".*"state":"applied"`).FindAllStringSubmatch(stdout, -1) {
		got = append(got, m[1])
	}
	if strings.Join(got, " ") != strings.Join(names, " ") || strings.Count(stdout, "\n") != len(names) {
		t.Fatalf("applied are %q, want %q:\n%s", got, names, stdout)
	}
}

// TestMitigate counts the calls of a function of a busy program, has it return a constant, and applies the real fix, which takes the
// place of what was there. In the end the program is as it was.
//
//machine:only 6.12
func TestMitigate(t *testing.T) {
	v := startVictim(t, "victim", "-t", "4", "-m", "spin")
	pid := fmt.Sprint(v.pid)
	on := fmt.Sprintf(`%%s to \S+\[%d\]: 1 function, 5 threads, stopped [0-9.]+ (µs|ms) \(limit 100 ms\)`, v.pid)
	count := mitigate(t, "count", "--target", fixtures+"victim", "--function", "value", "--log")
	before, _, _ := v.stats()
	wantDone(t, fmt.Sprintf("applied "+on, "count"), "apply", count, "--pid", pid, "--timeout", "60s")
	v.wantValue(1)
	var hits uint64
	for until := time.Now().Add(patience(time.Minute)); hits < 1000; {
		var action string
		if hits, action = hitsOf(t, "count", v.pid); action != "log" || time.Now().After(until) {
			t.Fatalf("%d hits, %s", hits, action)
		}
	}
	if now, _, _ := v.stats(); hits > uint64(now-before)+6 { // each thread may be in one call, and value(0) was asked for
		t.Fatalf("%d hits of %d calls", hits, now-before)
	}
	_, table, _ := lpctl(t, "status", "--pid", pid)
	if !regexp.MustCompile(`\n\nMITIGATION +PID +COMM +FUNCTION +ACTION +HITS\ncount +` + pid + ` +victim +value +log +[1-9]\d*\n$`).MatchString(table) {
		t.Errorf("a status is\n%s", table)
	}
	const fix, fixed = fixtures + "victim.lp", "victim-pie-gcc-O2"
	replaces(t, v, fix, fixed, "count")
	v.wantValue(2)
	v.wantNoWrong()
	revert(t, fixed, pid)
	v.wantValue(1)
	v.wantNoWrong()

	constant := mitigate(t, "constant", "--target", fixtures+"victim", "--function", "value", "--return", "-7")
	if status, stdout, stderr := lpctl(t, "apply", constant, "--pid", pid, "--timeout", "60s"); status != 0 && status != 6 {
		t.Fatalf("%d %s%s", status, stdout, stderr)
	}
	v.wantValue(-7)
	again := mitigate(t, "again", "--target", fixtures+"victim", "--function", "value", "--return", "8")
	replaces(t, v, again, "again", "constant")
	v.wantValue(8)
	replaces(t, v, fix, fixed, "again")
	v.wantValue(2)
	status, _, stderr := lpctl(t, "apply", again, "--pid", pid)
	if status != 4 && status != 2 || !strings.Contains(stderr, fmt.Sprintf("patch again was built for value as it is in the file, patch %s replaces that function, and %[1]s is applied already; "+
		"build one patch of both fixes and apply it with --replace, or revert %[1]s first", fixed)) {
		t.Fatalf("over the fix: %d %s", status, stderr)
	}
	revert(t, fixed, pid)
	v.wantValue(1)
}

// replaces applies a patch, which must say that it took the place of another one, and be alone then.
func replaces(t *testing.T, v *victim, lp, name, old string) {
	t.Helper()
	status, stdout, stderr := lpctl(t, "apply", lp, "--pid", fmt.Sprint(v.pid), "--timeout", "60s")
	if status != 0 && status != 6 || !strings.HasPrefix(stdout, "applied "+name+" to ") || !strings.Contains(stderr, ": replaced "+old) {
		t.Fatalf("apply %s: %d\n%s%s", lp, status, stdout, stderr)
	}
	wantApplied(t, v.pid, name)
}

func revert(t *testing.T, name, pid string) {
	t.Helper()
	if status, stdout, stderr := lpctl(t, "revert", name, "--pid", pid, "--timeout", "60s"); status != 0 {
		t.Fatalf("revert: %d\n%s%s", status, stdout, stderr)
	}
}

// TestMitigateLibrary counts the calls of a function of the stock libc, which has no symbols but for the dynamic linker, while
// threads sleep in it: they are not in its first bytes, so that nobody is waited for, and nobody is said to be in old code.
//
//machine:only 6.12
func TestMitigateLibrary(t *testing.T) {
	v := startVictim(t, "victim", "-t", "4", "-m", "sleep")
	libc := regexp.MustCompile(`\S+/libc\.so\.6`).FindString(maps(t, v.pid))
	count := mitigate(t, "sleeps", "--target", libc, "--function", "nanosleep", "--log")
	wantDone(t, fmt.Sprintf(`applied sleeps to \S+\[%d\]: 1 function, 5 threads, stopped .*`, v.pid), "apply", count, "--pid", fmt.Sprint(v.pid), "--timeout", "60s")
	first, _ := hitsOf(t, "sleeps", v.pid)
	for until := time.Now().Add(patience(time.Minute)); ; {
		if n, _ := hitsOf(t, "sleeps", v.pid); n > first+100 {
			break
		}
		if time.Now().After(until) {
			t.Fatal("nobody sleeps")
		}
	}
	revert(t, "sleeps", fmt.Sprint(v.pid))
	v.wantValue(1)
	v.wantNoWrong()
}

// TestMitigateTrap ends a program by the signal when it calls the function.
//
//machine:only 6.12
func TestMitigateTrap(t *testing.T) {
	v := startVictim(t, "victim", "-t", "2", "-m", "spin")
	trap := mitigate(t, "trap", "--target", fixtures+"victim", "--function", "value", "--trap")
	if status, stdout, stderr := lpctl(t, "apply", trap, "--pid", fmt.Sprint(v.pid), "--timeout", "60s"); status == 1 {
		t.Fatalf("%d %s%s", status, stdout, stderr)
	}
	err := v.cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGILL {
		t.Fatalf("it ended by %v", err)
	}
}
