// SPDX-License-Identifier: GPL-2.0

package apply_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/applytest"
	"lpatch/pkg/testutil/lpnltest"
)

const sleep = "/bin/sleep"

// start runs a copy of sleep, which nobody else runs, until the test ends.
func start(t *testing.T) (exe string, p proc.Process) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("opening what another process maps needs CAP_SYS_ADMIN")
	}
	data, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	exe = filepath.Join(t.TempDir(), "sleep")
	if err := os.WriteFile(exe, data, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return exe, mapped(t, cmd.Process.Pid, exe)
}

// mapped waits for a process to map its program: Start returns as soon as execve(2) has closed files, which is before.
func mapped(t *testing.T, pid int, exe string) proc.Process {
	t.Helper()
	fs := proc.New("/proc")
	for range 1000 {
		maps, _ := fs.Maps(pid)
		if slices.ContainsFunc(maps, func(m proc.Mapping) bool { return m.Exec && m.Path == exe }) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	p, err := fs.Process(pid)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// write makes a patch file of a spec and opens it.
func write(t *testing.T, spec *patch.Spec) apply.PatchRef {
	t.Helper()
	path := filepath.Join(t.TempDir(), spec.Name+".lp")
	if err := applytest.Write(path, spec); err != nil {
		t.Fatal(err)
	}
	f, err := apply.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return apply.PatchRef{File: f, Name: f.Spec.Name}
}

func spec(t *testing.T) *patch.Spec {
	t.Helper()
	s, err := applytest.Spec("fix", sleep)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func session(t *testing.T, k *lpnltest.Kernel) *apply.Session {
	t.Helper()
	c, err := k.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return apply.New(c, proc.New("/proc"))
}

// TestRun takes a patch through its life, by file and by name.
func TestRun(t *testing.T) {
	exe, p := start(t)
	k := &lpnltest.Kernel{}
	s := session(t, k)
	file := write(t, spec(t))
	name := apply.PatchRef{Name: "fix"}
	for _, step := range []struct {
		verb  apply.Verb
		patch apply.PatchRef
		state lpnl.State
	}{
		{lpnl.VerbCheck, file, lpnl.StateNone},
		{lpnl.VerbApply, file, lpnl.StateApplied},
		{lpnl.VerbRestore, name, lpnl.StateRestored},
		{lpnl.VerbApply, name, lpnl.StateApplied},
		{apply.Revert, file, lpnl.StateNone},
		{lpnl.VerbLoad, file, lpnl.StateLoaded},
		{apply.Revert, name, lpnl.StateNone},
	} {
		found, err := s.Find(step.verb, apply.Selection{Exe: []string{exe}}, step.patch)
		if err != nil || len(found.Failed) > 0 {
			t.Fatal(err, found)
		}
		out := s.Run(step.verb, step.patch, found.Targets, lpnl.Options{})
		if len(out) != 1 || out[0].Err != nil || out[0].Report.State != step.state || out[0].Process != p {
			t.Fatalf("%s: %+v", step.verb, out)
		}
	}
	// The file at the path may be replaced: what is mapped counts.
	if err := os.Remove(exe); err != nil {
		t.Fatal(err)
	}
	if out := s.Run(lpnl.VerbApply, file, []proc.Process{p}, lpnl.Options{}); out[0].Err != nil {
		t.Errorf("with the program deleted: %v", out[0].Err)
	}
	if len(k.Patches) != 1 {
		t.Errorf("the kernel got %d patches", len(k.Patches))
	}
}

// TestCopies: the kernel knows files by inode, so a copy of the program takes an object of its own.
func TestCopies(t *testing.T) {
	_, a := start(t)
	_, b := start(t)
	k := &lpnltest.Kernel{}
	out := session(t, k).Run(lpnl.VerbApply, write(t, spec(t)), []proc.Process{a, b}, lpnl.Options{})
	if out[0].Err != nil || out[1].Err != nil || out[0].Report.Hash == out[1].Report.Hash || len(k.Patches) != 2 {
		t.Errorf("%d patches, outcomes %+v", len(k.Patches), out)
	}
}

func TestNoBuildID(t *testing.T) {
	exe, p := start(t)
	s := spec(t)
	s.Images[0].BuildID = nil
	out := session(t, &lpnltest.Kernel{}).Run(lpnl.VerbLoad, write(t, s), []proc.Process{p}, lpnl.Options{})
	// A file with a build-id is not taken for one without.
	if out[0].Err == nil || !strings.Contains(out[0].Err.Error(), exe+" with build-id ") {
		t.Errorf("%v", out[0].Err)
	}
}

func TestAll(t *testing.T) {
	_, p := start(t)
	s := session(t, &lpnltest.Kernel{})
	file := write(t, spec(t))
	found, err := s.Find(lpnl.VerbLoad, apply.Selection{All: true}, file)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range found.Targets {
		if x.PID == os.Getpid() {
			t.Error("the test itself does not run sleep")
		}
	}
	if !slices.Contains(found.Targets, p) {
		t.Errorf("%v is not among %v", p, found.Targets)
	}
	s.Run(lpnl.VerbLoad, file, []proc.Process{p}, lpnl.Options{})
	found, err = s.Find(lpnl.VerbLoad, apply.Selection{All: true, PIDs: []int{p.PID}}, apply.PatchRef{Name: "fix"})
	if diff := cmp.Diff([]proc.Process{p}, found.Targets); err != nil || diff != "" {
		t.Errorf("by name: %v (-want +got):\n%s", err, diff)
	}
}

// TestRefusals are those that need no kernel.
func TestRefusals(t *testing.T) {
	exe, p := start(t)
	other := spec(t)
	other.Images[0].BuildID = patch.Hex{0xab, 0xcd}
	elsewhere := spec(t)
	elsewhere.Images[0].Name, elsewhere.Images[0].Soname = "libx.so.1.2", "libx.so.1"
	elsewhere.Images[0].BuildID = patch.Hex{0x12}
	built := spec(t).Images[0].BuildID
	text, _ := built.MarshalText()
	for _, c := range []struct {
		patch apply.PatchRef
		code  lpnl.Refusal
		want  string
	}{
		{write(t, other), lpnl.RefusalImageMissing, p.String() + " maps " + exe + " with build-id " + string(text) +
			", but the patch was built for abcd; rebuild the patch with --target /proc/PID/exe"},
		{write(t, elsewhere), lpnl.RefusalImageMissing,
			p.String() + " does not map libx.so.1 (build-id 12), which the patch is for; choose a process that does"},
		{apply.PatchRef{Name: "cve"}, lpnl.RefusalNotLoaded,
			p.String() + ` has no patch "cve" loaded; give the patch file, or see "lpctl status"`},
	} {
		out := session(t, &lpnltest.Kernel{}).Run(lpnl.VerbApply, c.patch, []proc.Process{p}, lpnl.Options{})
		want := strings.ReplaceAll(c.want, "PID", strings.Trim(strings.TrimPrefix(p.String(), p.Comm), "[]"))
		if apply.RefusalCode(out[0].Err) != c.code || out[0].Err.Error() != want {
			t.Errorf("got  %v\nwant %s", out[0].Err, want)
		}
		if out[0].Report.PID != p.PID || out[0].Report.Comm != p.Comm {
			t.Errorf("the report names %+v", out[0].Report)
		}
	}
}

// TestRevertStops: threads in the patch keep it mapped, but it is restored.
func TestRevertStops(t *testing.T) {
	_, p := start(t)
	k := &lpnltest.Kernel{Refuse: map[lpnl.Verb]lpnltest.Refusal{
		lpnl.VerbUnload: {Refusal: lpnl.RefusalThreadActive, Errno: syscall.EBUSY, Message: "thread 5 is in patch fix", TID: 5},
	}}
	s := session(t, k)
	file := write(t, spec(t))
	s.Run(lpnl.VerbApply, file, []proc.Process{p}, lpnl.Options{})
	out := s.Run(apply.Revert, file, []proc.Process{p}, lpnl.Options{})
	const note = "patch fix is restored and stays mapped: thread 5 is in patch fix; revert it again later"
	r := out[0].Report
	if out[0].Err != nil || out[0].Note != note || r.State != lpnl.StateRestored || r.Verb != apply.Revert ||
		r.ActiveThreads != 1 || r.ActiveTID != 5 || r.ActivePatch != "fix" {
		t.Errorf("%+v", out[0])
	}
	// The second time nothing is changed.
	out = s.Run(apply.Revert, file, []proc.Process{p}, lpnl.Options{})
	if out[0].Err == nil || out[0].Err.Error() != "thread 5 is in patch fix" {
		t.Errorf("%+v", out[0])
	}
	// With other reasons against the unload the restore has changed something all the same.
	no := k.Refuse[lpnl.VerbUnload]
	no.Refusal, no.Message = lpnl.RefusalDeadline, "too long"
	k.Refuse[lpnl.VerbUnload] = no
	s.Run(lpnl.VerbApply, file, []proc.Process{p}, lpnl.Options{})
	out = s.Run(apply.Revert, file, []proc.Process{p}, lpnl.Options{})
	var stays *apply.Stays
	if !errors.As(out[0].Err, &stays) || stays.Error() != "patch fix is restored and stays mapped: too long; revert it again later" ||
		out[0].Report.State != lpnl.StateRestored || out[0].Note != "" {
		t.Errorf("%+v", out[0])
	}
	// A second time nothing is changed.
	out = s.Run(apply.Revert, file, []proc.Process{p}, lpnl.Options{})
	if errors.As(out[0].Err, &stays) || out[0].Err == nil || out[0].Err.Error() != "too long" {
		t.Errorf("%+v", out[0])
	}
	// Threads that were in it at the restore, and not any more at the unload, are no matter.
	k.Refuse, k.Active = nil, map[lpnl.Verb]lpnltest.Active{lpnl.VerbRestore: {Threads: 1, TID: 5, Patch: "fix"}}
	s.Run(lpnl.VerbApply, file, []proc.Process{p}, lpnl.Options{})
	out = s.Run(apply.Revert, file, []proc.Process{p}, lpnl.Options{})
	if out[0].Err != nil || out[0].Note != "" || out[0].Report.State != lpnl.StateNone || out[0].Report.ActiveThreads != 0 {
		t.Errorf("%+v", out[0])
	}
}

// TestRevertPinned: what cannot be unloaded is restored, and the note says that it stays.
func TestRevertPinned(t *testing.T) {
	_, p := start(t)
	const message = "patch fix has registered its unwind tables in a[1] and stays mapped until the process ends"
	k := &lpnltest.Kernel{Refuse: map[lpnl.Verb]lpnltest.Refusal{
		lpnl.VerbUnload: {Refusal: lpnl.RefusalPinned, Errno: syscall.EBUSY, Message: message},
	}}
	s := session(t, k)
	file := write(t, spec(t))
	s.Run(lpnl.VerbApply, file, []proc.Process{p}, lpnl.Options{})
	out := s.Run(apply.Revert, file, []proc.Process{p}, lpnl.Options{})
	if out[0].Err != nil || out[0].Note != message || out[0].Report.State != lpnl.StateRestored || out[0].Report.Verb != apply.Revert {
		t.Errorf("%+v", out[0])
	}
	out = s.Run(apply.Revert, file, []proc.Process{p}, lpnl.Options{})
	if out[0].Err == nil || out[0].Err.Error() != message {
		t.Errorf("a second time: %+v", out[0])
	}
}

func TestMissingProcess(t *testing.T) {
	found, err := session(t, &lpnltest.Kernel{}).Find(lpnl.VerbLoad, apply.Selection{PIDs: []int{1 << 30}}, apply.PatchRef{Name: "fix"})
	if err != nil || len(found.Failed) != 1 || !apply.Gone(found.Failed[0].Err) || found.Failed[0].Report.PID != 1<<30 {
		t.Errorf("%+v, %v", found, err)
	}
}
