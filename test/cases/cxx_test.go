// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// cxxPrograms are the builds of test/target/cxx.
func cxxPrograms(t *testing.T) []string {
	t.Helper()
	patches, err := filepath.Glob(fixtures + "cxx_*.lp")
	if err != nil || len(patches) != 4 {
		t.Fatalf("there are %d patches of C++ programs (%v), want 4", len(patches), err)
	}
	var names []string
	for _, p := range patches {
		names = append(names, strings.TrimSuffix(filepath.Base(p), ".lp"))
	}
	return names
}

// wantCalm fails if a thread got a wrong answer, or if objects are left that a cleanup should have destroyed.
func wantCalm(t *testing.T, v *victim) {
	t.Helper()
	var calls, wrong, alive int
	line := v.ask("stats")
	if _, err := fmt.Sscanf(line, "stats calls %d wrong %d alive %d", &calls, &wrong, &alive); err != nil {
		t.Fatalf("%s says %q: %v", v.path, line, err)
	}
	if calls == 0 || wrong != 0 || alive != 0 {
		t.Fatalf("%s says %q, want calls, none wrong and nothing left alive", v.path, line)
	}
}

// TestCxxExceptions patches C++ programs while their threads throw from and through the functions that are replaced. The
// new code must do what a program of the new source does; afterwards the patch stays mapped, which is said.
func TestCxxExceptions(t *testing.T) {
	for _, name := range cxxPrograms(t) {
		t.Run(name, func(t *testing.T) {
			fresh := startVictim(t, name+".new")
			v := startVictim(t, name, "-t", "4")
			lp, pid := fixtures+name+".lp", fmt.Sprint(v.pid)
			status, stdout, stderr := lpctl(t, "apply", lp, "--pid", pid, "--timeout", "60s")
			if status != 0 || !strings.HasPrefix(stdout, "applied "+name+" to ") {
				t.Fatalf("apply: %d %s%s", status, stdout, stderr)
			}
			if got, want := v.ask("round"), fresh.ask("round"); got != want {
				t.Errorf("the patched program says\n%s\nwant\n%s", strings.ReplaceAll(got, ";", "\n"), strings.ReplaceAll(want, ";", "\n"))
			}
			wantCalm(t, v)
			if status, _, stderr := lpctl(t, "restore", name, "--pid", pid, "--timeout", "60s"); status != 0 {
				t.Fatalf("restore: %d %s", status, stderr)
			}
			wantProbe(t, v, 0)
			stays := fmt.Sprintf(`patch %s has registered its unwind tables in \S+\[%d\] and stays mapped until the process ends\n$`, regexp.QuoteMeta(name), v.pid)
			status, _, stderr = lpctl(t, "unload", name, "--pid", pid, "--timeout", "60s")
			if status != 2 || !regexp.MustCompile(stays).MatchString(stderr) {
				t.Fatalf("unload: %d %s", status, stderr)
			}
			if status, _, stderr := lpctl(t, "apply", name, "--pid", pid, "--timeout", "60s"); status != 0 {
				t.Fatalf("apply again: %d %s", status, stderr)
			}
			wantProbe(t, v, 7)
			status, stdout, stderr = lpctl(t, "revert", name, "--pid", pid, "--timeout", "60s")
			if status != 0 || !strings.HasPrefix(stdout, "reverted "+name) || !regexp.MustCompile(stays).MatchString(stderr) {
				t.Fatalf("revert: %d %s%s", status, stdout, stderr)
			}
			wantProbe(t, v, 0)
			wantCalm(t, v)
			if !strings.Contains(maps(t, v.pid), lp) {
				t.Fatalf("%s is said to stay, but is not in\n%s", lp, maps(t, v.pid))
			}
		})
	}
}

func wantProbe(t *testing.T, v *victim, want int) {
	t.Helper()
	if got := v.ask("probe"); got != fmt.Sprintf("value %d", want) {
		t.Fatalf("%s says %q, want value %d", v.path, got, want)
	}
}

// TestCxxUnused unloads a patch that was applied and never called: nothing was registered.
func TestCxxUnused(t *testing.T) {
	name := cxxPrograms(t)[0]
	v := startVictim(t, name)
	pid := fmt.Sprint(v.pid)
	for _, args := range [][]string{{"apply", fixtures + name + ".lp"}, {"revert", name}} {
		if status, _, stderr := lpctl(t, append(args, "--pid", pid)...); status != 0 || stderr != "" {
			t.Fatalf("%v: %d %s", args, status, stderr)
		}
	}
	if strings.Contains(maps(t, v.pid), ".lp") {
		t.Fatalf("reverted, but in\n%s", maps(t, v.pid))
	}
	wantProbe(t, v, 0)
}
