// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lpctl runs lpctl and returns its exit status and what it printed.
func lpctl(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return run(t, exec.Command("lpctl", args...))
}

func run(t *testing.T, cmd *exec.Cmd) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// wantDone runs lpctl, which must succeed and print one line of this form.
func wantDone(t *testing.T, line string, args ...string) {
	t.Helper()
	status, stdout, stderr := lpctl(t, args...)
	if status != 0 || stderr != "" || !regexp.MustCompile("^"+line+"\n$").MatchString(stdout) {
		t.Fatalf("lpctl %s: exit status %d\n%s%swant %s", strings.Join(args, " "), status, stdout, stderr, line)
	}
}

// wantInEffect is wantDone for a patch of one function that is called all the time. On a busy machine one of the threads may
// be inside for as long as lpctl waits for a moment without (100 ms); then it says so, and that is as right.
func wantInEffect(t *testing.T, line string, args ...string) {
	t.Helper()
	status, stdout, stderr := lpctl(t, args...)
	quiet := status == 0 && stderr == "" && regexp.MustCompile("^"+line+"\n$").MatchString(stdout)
	busy := status == 6 && regexp.MustCompile("^"+line+`, \d threads? in old code(: .+ \(thread \d+\))?\n$`).MatchString(stdout)
	if !quiet && !busy {
		t.Fatalf("lpctl %s: exit status %d\n%s%swant %s", strings.Join(args, " "), status, stdout, stderr, line)
	}
}

// wantSaid runs lpctl, which must end with this status and say exactly this.
func wantSaid(t *testing.T, want int, message string, args ...string) {
	t.Helper()
	status, stdout, stderr := lpctl(t, args...)
	if status != want || stdout != "" || stderr != "lpctl: "+message+"\n" {
		t.Fatalf("lpctl %s: exit status %d, want %d\n%s%swant\nlpctl: %s", strings.Join(args, " "), status, want, stdout,
			stderr, message)
	}
}

// patched lists the programs that test/fixtures made patches for, with the file that each patch is for.
func patched(t *testing.T) map[string]string {
	t.Helper()
	patches, err := filepath.Glob(fixtures + "*-O?*.lp")
	if err != nil || len(patches) < 12 {
		t.Fatalf("there are %d patches (%v), want 12 at least", len(patches), err)
	}
	programs := map[string]string{}
	for _, p := range patches {
		name := strings.TrimSuffix(filepath.Base(p), ".lp")
		program := name
		if lib, ok := strings.CutPrefix(name, "libvalue-"); ok {
			program = "victim-shared-" + strings.TrimSuffix(lib, ".so")
		}
		programs[program] = name
	}
	programs["victim-static"] = "victim-static"
	programs["victim-stripped"] = "victim-stripped"
	return programs
}

// TestBuilt applies what lpctl built with each compiler, at each level of optimisation, for each kind of file.
//
//machine:slow
func TestBuilt(t *testing.T) {
	for program, name := range patched(t) {
		t.Run(program, func(t *testing.T) {
			v := startVictim(t, program, "-t", "4", "-m", "spin")
			lp, pid := fixtures+name+".lp", fmt.Sprint(v.pid)
			on := fmt.Sprintf(`%s to \S+\[%d\]`, regexp.QuoteMeta(name), v.pid)
			limit := `: 1 function, 5 threads, stopped [0-9.]+ (µs|ms) \(limit 2 s\)`
			for range 3 {
				wantInEffect(t, "applied "+on+limit, "apply", lp, "--pid", pid, "--timeout", "60s", "--max-stop", "2s")
				v.wantValue(2)
				wantInEffect(t, fmt.Sprintf(`restored %s in \S+\[%d\].*`, regexp.QuoteMeta(name), v.pid), "restore", name, "--pid", pid, "--timeout", "60s", "--max-stop", "2s")
				v.wantValue(1)
			}
			if !strings.Contains(maps(t, v.pid), lp) {
				t.Fatalf("%s is not in\n%s", lp, maps(t, v.pid))
			}
			if status, _, stderr := lpctl(t, "unload", name, "--pid", pid, "--timeout", "60s", "--max-stop", "2s"); status != 0 {
				t.Fatalf("unload: %d %s", status, stderr)
			}
			if strings.Contains(maps(t, v.pid), ".lp") {
				t.Fatalf("unloaded, but in\n%s", maps(t, v.pid))
			}
			v.wantNoWrong()
		})
	}
}

// TestAll patches several processes at once, by the file that they run and by what they map.
func TestAll(t *testing.T) {
	one, two, other := startVictim(t, "victim"), startVictim(t, "victim"), startVictim(t, "victim-nopie")
	lp := fixtures + "victim.lp"
	for _, targets := range [][]string{{"--all"}, {"--exe", fixtures + "victim"},
		{"--pid", fmt.Sprint(one.pid), "--pid", fmt.Sprint(two.pid)}} {
		status, stdout, stderr := lpctl(t, append([]string{"apply", lp}, targets...)...)
		if status != 0 || strings.Count(stdout, "applied ") != 2 {
			t.Fatalf("apply %v: %d\n%s%s", targets, status, stdout, stderr)
		}
		one.wantValue(2)
		two.wantValue(2)
		other.wantValue(1)
		_, stdout, _ = lpctl(t, "status", "--json")
		if strings.Count(stdout, `"state":"applied"`) != 2 {
			t.Fatalf("status:\n%s", stdout)
		}
		if status, _, stderr := lpctl(t, append([]string{"revert", lp}, targets...)...); status != 0 {
			t.Fatalf("revert: %d %s", status, stderr)
		}
		one.wantValue(1)
		two.wantValue(1)
	}
}

// TestTimeNamespace applies from a time namespace whose clocks are far from the machine's: when the target was started is not
// the same number there.
//
//machine:only 6.12
//machine:needs CONFIG_TIME_NS
func TestTimeNamespace(t *testing.T) {
	v := startVictim(t, "victim")
	cmd := exec.Command("/usr/bin/unshare", "--time", "--boottime", "100000", "lpctl", "apply", fixtures+"victim.lp", "--pid", fmt.Sprint(v.pid))
	if status, stdout, stderr := run(t, cmd); status != 0 {
		t.Fatalf("%v: %d\n%s%s", cmd, status, stdout, stderr)
	}
	v.wantValue(2)
}

// TestMany patches a hundred processes and reverts them, by name: what it takes for each must not grow with their number,
// of which the log tells.
//
//machine:slow
func TestMany(t *testing.T) {
	var all []*victim
	name := ""
	took := func(verb, what string) time.Duration {
		t.Helper()
		began := time.Now()
		status, stdout, stderr := lpctl(t, verb, what, "--all")
		if status != 0 && status != 6 || stderr != "" || strings.Count(stdout, "\n") != len(all) {
			t.Fatalf("%s of %d: %d\n%s%s", verb, len(all), status, stdout, stderr)
		}
		name = strings.Fields(stdout)[1]
		return time.Since(began) / time.Duration(len(all))
	}
	for _, n := range []int{10, 100} {
		for len(all) < n {
			all = append(all, startVictim(t, "victim"))
		}
		applied := took("apply", fixtures+"victim.lp")
		all[n-1].wantValue(2)
		again := took("restore", name) + took("apply", name)
		reverted := took("revert", name)
		for _, v := range all {
			v.wantValue(1)
		}
		t.Logf("each of %d processes: applied in %v, restored and applied in %v, reverted in %v", n, applied, again, reverted)
	}
}

// TestNobody names what is not there, and what does not map the file that is patched.
func TestNobody(t *testing.T) {
	v := startVictim(t, "victim")
	const name = "victim-pie-gcc-O2"
	lp, other, pid := fixtures+name+".lp", fixtures+"victim-nopie-gcc-O2", fmt.Sprint(v.pid)
	for _, c := range []struct {
		message string
		args    []string
	}{
		{"there is no file /no/such", []string{"apply", lp, "--exe", "/no/such"}},
		{"no process runs " + other, []string{"apply", lp, "--exe", other}},
		{"no process belongs to the unit no-such", []string{"check", lp, "--unit", "no-such"}},
		{"no process is in the control group no-such", []string{"load", lp, "--cgroup", "no-such"}},
		{`no process has a patch "no-such" loaded`, []string{"apply", "no-such", "--all"}},
		{`no process has a patch "no-such" loaded`, []string{"revert", "no-such", "--all"}},
		{`no process has a patch "no-such" loaded`, []string{"restore", "no-such", "--all"}},
		{`no process has a patch "no-such" loaded`, []string{"unload", "no-such", "--all"}},
		{"no process belongs to the unit no-such", []string{"status", "--unit", "no-such"}},
		{`"no-such": there is no such boot entry; see lpctl boot list`, []string{"boot", "remove", "no-such"}},
	} {
		wantSaid(t, 5, c.message, c.args...)
		wantSaid(t, 3, "nothing to do: "+c.message, append(c.args, "--allow-none")...)
	}
	status, _, stderr := lpctl(t, "apply", other+".lp", "--all")
	if status != 5 || !regexp.MustCompile(`^lpctl: no process maps victim-nopie-gcc-O2 \(build-id [0-9a-f]+\), which the patch changes\n$`).MatchString(stderr) {
		t.Fatalf("a patch for a program that does not run: %d %s", status, stderr)
	}
	for _, verb := range []string{"restore", "unload", "revert"} {
		for _, patch := range []string{lp, name, other + ".lp"} {
			absent := strings.TrimSuffix(filepath.Base(patch), ".lp")
			wantSaid(t, 3, fmt.Sprintf("nothing to do: victim[%d] has no patch %q loaded", v.pid, absent), verb, patch, "--pid", pid)
		}
	}
	// lpctl itself, the test and whatever else is in the group do not count.
	done := `to victim\[` + pid + `\]: .*`
	wantDone(t, "applied "+name+" "+done, "apply", lp, "--cgroup", "/")
	v.wantValue(2)
	wantSaid(t, 4, "no process belongs to the unit no-such", "revert", lp, "--cgroup", "/", "--unit", "no-such", "--quiet")
	v.wantValue(1)
}

// TestBadInput gives lpctl what it cannot work with, and reads its answers.
func TestBadInput(t *testing.T) {
	v := startVictim(t, "victim")
	lp, pid := fixtures+"victim.lp", fmt.Sprint(v.pid)
	wantSaid(t, 1, "there is no process 4194000", "apply", lp, "--pid", "4194000")
	wantSaid(t, 1, "open no-such.lp: no such file or directory", "apply", "no-such.lp", "--pid", pid)

	whole, err := os.ReadFile(lp)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.lp")
	if err := os.WriteFile(cut, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	status, _, stderr := lpctl(t, "apply", cut, "--pid", pid)
	if status != 1 || !strings.Contains(stderr, "truncated") || !strings.Contains(stderr, cut) {
		t.Fatalf("a truncated patch: %d %s", status, stderr)
	}

	status, _, stderr = lpctl(t, "apply", fixtures+"victim-nopie.lp", "--pid", pid)
	if status != 2 || !strings.Contains(stderr, "which the patch is for; choose a process that does") {
		t.Fatalf("a patch for another program: %d %s", status, stderr)
	}
	v.wantValue(1)

	cmd := exec.Command("lpctl", "apply", lp, "--pid", pid)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	status, _, stderr = run(t, cmd)
	want := fmt.Sprintf("lpctl: victim[%d]: not permitted to look at process %d; run lpctl as root\n", v.pid, v.pid)
	if status != 1 || stderr != want {
		t.Fatalf("as nobody: %d %swant %s", status, stderr, want)
	}
	v.wantValue(1)
}

// TestNoModule removes the module, which nothing uses, asks, and loads it again. Doctor says to load it only while there is a
// file to be loaded.
//
//machine:reloads
func TestNoModule(t *testing.T) {
	v := startVictim(t, "victim")
	if err := unix.DeleteModule("lpatch", unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer loadModule(t)
	wantFinding(t, exec.Command("lpctl", "doctor", "--quiet"), "FAIL  module  lpatch is not loaded; load it with \"modprobe lpatch\"")
	dir := "/lib/modules/" + kernelRelease(t)
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Error(err)
		}
	}()
	wantFinding(t, exec.Command("lpctl", "doctor", "--quiet"), fmt.Sprintf("FAIL  module  lpatch is not built for this kernel: "+
		"there is no lpatch.ko below /lib/modules/%s; install the headers of this kernel; then install the package lpatch-dkms, or "+
		"run \"make && sudo make install\" in lpatch's source", kernelRelease(t)))
	wantSaid(t, 1, `the kernel module lpatch is not loaded; load it with "modprobe lpatch" `+
		`("lpctl doctor" checks whether this machine can)`, "apply", fixtures+"victim.lp", "--pid", fmt.Sprint(v.pid))
}
