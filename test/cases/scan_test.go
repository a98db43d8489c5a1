// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lpatch/pkg/testutil/filetest"
)

// scanned is a line of lpctl scan --json.
type scanned struct {
	Patch, State, Service, Message string
	PID                            int
	Needs                          bool
	OnDisk                         string `json:"on_disk"`
	About                          *struct{ CVEs []string }
	Error                          *struct{ Code, Message string }
	Summary                        *struct{ Processes, Need, Patched, Unseen int }
}

// scan runs lpctl scan, which is to end with an exit status.
func scan(t *testing.T, want int, args ...string) (found map[string]scanned, summary, unseen scanned) {
	t.Helper()
	status, stdout, stderr := lpctl(t, append([]string{"scan", "--json"}, args...)...)
	if status != want {
		t.Errorf("lpctl scan %s: exit status %d, want %d\n%s%s", strings.Join(args, " "), status, want, stdout, stderr)
	}
	found = map[string]scanned{}
	for line := range strings.Lines(stdout) {
		var s scanned
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		switch {
		case s.Summary != nil:
			summary = s
		case s.Error != nil:
			unseen = s
		default:
			found[fmt.Sprint(s.PID, " ", s.Patch)] = s
		}
	}
	return found, summary, unseen
}

// replaceFile puts a copy of a file in the place of another one, as a package manager does.
func replaceFile(t *testing.T, from, path string) {
	t.Helper()
	filetest.Copy(t, from, path+".new")
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// startInside starts a program in a container: in a root and among mounts of its own, as /victim.
func startInside(t *testing.T, root, program string) *victim {
	t.Helper()
	filetest.Copy(t, program, filepath.Join(root, "victim"))
	started := make(chan *victim, 1)
	go func() {
		defer close(started)
		runtime.LockOSThread() // which ends with the goroutine, for it sees other mounts
		if err := enter(root); err != nil {
			t.Error(err)
			return
		}
		started <- startCommand(t, exec.Command("/victim"))
	}()
	v := <-started
	if v == nil {
		t.FailNow()
	}
	return v
}

// enter gives this thread a root and mounts of its own.
func enter(root string) error {
	for _, step := range []func() error{
		func() error { return unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS) },
		func() error { return unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error { return unix.Mount(root, root, "", unix.MS_BIND, "") },
		func() error { return unix.Chdir(root) },
		func() error { return unix.Mount(".", "/", "", unix.MS_MOVE, "") }, // an initramfs cannot be pivoted
		func() error { return unix.Chroot(".") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// TestScan has processes in each state: patched, to be patched, with a file that was replaced or deleted, here and in a container, of a
// build that no patch is for, of one whose patch does not fit, and one of nobody's that maps what cannot be read.
//
//machine:only 6.12
func TestScan(t *testing.T) {
	const told, upon, static, other = fixtures + "told.lp", fixtures + "upon.lp", fixtures + "victim-static.lp", fixtures + "victim-pie-gcc-O3"
	dir, inside := t.TempDir(), t.TempDir()
	start := func(name, program string) *victim {
		path := filepath.Join(dir, name)
		filetest.Copy(t, program, path)
		return startCommand(t, exec.Command(path))
	}
	patched, patchable := start("patched", fixtures+"victim"), start("patchable", fixtures+"victim")
	replaced, deleted := start("replaced", fixtures+"victim"), start("deleted", fixtures+"victim")
	unknown := start("victim-pie-gcc-O2", other)
	contained := startInside(t, inside, fixtures+"victim-static")
	wantDone(t, `applied told to patched\[\d+\]: .*`, "apply", told, "--pid", fmt.Sprint(patched.pid))
	replaceFile(t, other, filepath.Join(dir, "replaced"))
	replaceFile(t, other, filepath.Join(inside, "victim"))
	if err := os.Remove(filepath.Join(dir, "deleted")); err != nil {
		t.Fatal(err)
	}
	hostile, _ := attack(t, "files", "lease")

	found, summary, unseen := scan(t, 4, told, upon, static)
	const lacks = "it is built upon patch victim-pie-gcc-O2 (build-id "
	for _, c := range []struct {
		v              *victim
		patch, state   string
		message, disk  string
		needs, service bool
	}{
		{patched, "told", "patched", "", "", false, true},
		{patched, "upon", "not-patchable", lacks, "", true, true},
		{patchable, "told", "patchable", "", "", true, true},
		{replaced, "told", "old-in-memory", "the file was replaced; restart it, or patch it", "build-id ", true, true},
		{deleted, "told", "patchable", "", "", true, true},
		{unknown, "told", "unknown-build", "no patch is for its build-id ", "", false, true},
		{contained, "victim-static", "old-in-memory", "the file was replaced; restart it, or patch it", "build-id ", true, false},
	} {
		s, ok := found[fmt.Sprint(c.v.pid, " ", c.patch)]
		if !ok || s.State != c.state || !strings.HasPrefix(s.Message, c.message) || !strings.HasPrefix(s.OnDisk, c.disk) || s.Needs != c.needs ||
			c.service && s.Service != c.v.path {
			t.Errorf("%s and %s: %+v, want %s", c.v.path, c.patch, s, c.state)
		}
		if c.patch == "told" && (s.About == nil || len(s.About.CVEs) != 1 || s.About.CVEs[0] != "CVE-2026-0001") {
			t.Errorf("%+v", s.About)
		}
	}
	if n := summary.Summary; n == nil || n.Need != 5 || n.Patched != 1 || n.Unseen != 1 {
		t.Errorf("%+v", n)
	}
	why := fmt.Sprintf("files[%d]: cannot open /memfd:leased as process %d maps it: somebody has a lease on it, ", hostile.pid, hostile.pid)
	if unseen.Error == nil || unseen.Error.Code != "unseen" || !strings.HasPrefix(unseen.Error.Message, why) {
		t.Errorf("unseen: %+v", unseen.Error)
	}

	// It has changed nothing, and what it says can be done can be.
	for _, v := range []*victim{patchable, replaced, deleted, unknown, contained} {
		v.wantValue(1)
	}
	patched.wantValue(2)
	wantDone(t, `(applied told to .*\n){2}applied told to .*`, "apply", told, "--pid", fmt.Sprint(deleted.pid), "--pid", fmt.Sprint(replaced.pid), "--pid", fmt.Sprint(patchable.pid))
	wantDone(t, `applied victim-static to victim\[\d+\]: .*`, "apply", static, "--pid", fmt.Sprint(contained.pid))
	var pids []string
	for _, v := range []*victim{patched, patchable, replaced, deleted, contained} {
		pids = append(pids, "--pid", fmt.Sprint(v.pid))
	}
	if _, summary, _ = scan(t, 0, append(pids, told, static)...); summary.Summary == nil || summary.Summary.Patched != 5 || summary.Summary.Need != 0 {
		t.Errorf("%+v", summary.Summary)
	}
	// A file tells what the patch is for, wherever a target has it mapped.
	if _, stdout, _ := lpctl(t, "status", "--pid", fmt.Sprint(deleted.pid)); !strings.Contains(stdout, "FIXES") || !strings.Contains(stdout, "CVE-2026-0001") {
		t.Errorf("status does not tell what it fixes:\n%s", stdout)
	}
	if _, stdout, _ := lpctl(t, "status", "--prometheus"); !strings.Contains(stdout, `lpatch_cve_processes{cve="CVE-2026-0001",patch="told"} 4`) {
		t.Errorf("the metrics do not tell:\n%s", stdout)
	}
	others(t, replaced, deleted, patched)
}

// others has the same told to other tools. In this machine there is no package manager, and no process is known to need no restart.
func others(t *testing.T, replaced, deleted, patched *victim) {
	t.Helper()
	const seen, rest = `of 4 processes with code changed by told, %d patched in memory; `, `1 process has a file of that name in a build that no patch is for; ` +
		`1 that may concern it could not be looked at; for what starts later, patch told has no boot entry in the kernel"`
	const under = `"products":[{"@id":"pkg:generic/value@1-1","identifiers":{"purl":"pkg:generic/value@1-1"}}],"status":"under_investigation","status_notes":"`
	if status, stdout, stderr := lpctl(t, "status", "--vex"); status != 4 || !strings.Contains(stdout, under+fmt.Sprintf(seen, 4)+rest) {
		t.Errorf("status --vex: %d\n%s%s", status, stdout, stderr)
	}
	status, stdout, stderr := lpctl(t, "needrestart", "--json")
	for v, why := range map[*victim]string{
		replaced: `"restart":true,"message":"` + replaced.path + `: exec: \"dpkg-query\": `,
		deleted:  `"restart":true,"message":"` + deleted.path + `: what the process sees there is not a file of this system's, or there is none any more"`,
	} {
		if status != 0 || !strings.Contains(stdout, fmt.Sprintf(`{"pid":%d,`, v.pid)) || !strings.Contains(stdout, why) {
			t.Errorf("needrestart does not say %s: %d\n%s%s", why, status, stdout, stderr)
		}
	}
	if strings.Contains(stdout, `"restart":false`) || strings.Contains(stdout, fmt.Sprintf(`{"pid":%d,`, patched.pid)) {
		t.Errorf("needrestart:\n%s", stdout)
	}
	wantDone(t, `reverted told .*`, "revert", "told", "--pid", fmt.Sprint(patched.pid))
	if _, stdout, _ := lpctl(t, "status", "--vex"); !strings.Contains(stdout, `"status":"affected","status_notes":"`+fmt.Sprintf(seen, 3)) {
		t.Errorf("status --vex with one unpatched:\n%s", stdout)
	}
}
