// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"lpatch/pkg/boot"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/applytest"
)

// mapping is a kernel that has a patch in this process.
type mapping struct {
	stacked
	report    lpnl.Report
	statusErr error
}

func (m *mapping) Status() ([]lpnl.Report, error) { return []lpnl.Report{m.report}, m.statusErr }

func (m *mapping) Op(lpnl.Verb, lpnl.Hash, lpnl.Target, lpnl.Options) (lpnl.Report, error) {
	return m.report, nil // of a recount
}

// TestBase: patches of one base where one replaces what the other was built for.
func TestBase(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("opening what a process maps needs CAP_SYS_ADMIN")
	}
	const advice = ", and a is applied already; build one patch of both fixes and apply it with --replace, or revert a first"
	for _, c := range []struct {
		name          string
		first, second bool   // whether it says what it was built for
		newer         string // the name of the second, b if it is none
		more          bool   // the first replaces another function, too
		state         lpnl.State
		verb          Verb
		options       lpnl.Options
		want          string
	}{
		{"the second relies", false, true, "", false, lpnl.StateApplied, lpnl.VerbApply, lpnl.Options{}, "patch b was built for main as it is in the file, patch a replaces that function" + advice},
		{"the first relies", true, false, "", false, lpnl.StateApplied, lpnl.VerbCheck, lpnl.Options{}, "patch a was built for main as it is in the file, patch b replaces that function" + advice},
		{"the first goes", true, true, "", false, lpnl.StateApplied, lpnl.VerbApply, lpnl.Options{Replace: true}, ""},
		{"the first was restored", true, true, "", false, lpnl.StateRestored, lpnl.VerbApply, lpnl.Options{}, ""},
		{"restored itself", true, true, "", false, lpnl.StateApplied, lpnl.VerbRestore, lpnl.Options{}, ""},
		{"files of before", false, false, "", false, lpnl.StateApplied, lpnl.VerbApply, lpnl.Options{}, ""},
		{"a newer version", true, true, "a", false, lpnl.StateApplied, lpnl.VerbApply, lpnl.Options{}, ""},
		{"a newer version that leaves a function out", true, true, "a", true, lpnl.StateApplied, lpnl.VerbApply, lpnl.Options{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			first := specOf(t, "a", c.first)
			if c.more {
				other := first.Functions[0]
				other.Symbol, other.Bodies = "other", []patch.Range{{Start: other.Bodies[0].End, End: other.Bodies[0].End + 16}}
				first.Functions = append(first.Functions, other)
			}
			k := &mapping{report: lpnl.Report{Patch: "a", Hash: lpnl.Hash{1}, PID: os.Getpid(), State: c.state, MappedAt: mapFile(t, first)}}
			spec := specOf(t, cmp.Or(c.newer, "b"), c.second)
			err := checkBase(k, job{verb: c.verb, options: c.options}, spec, proc.Process{PID: os.Getpid()})
			var refused *Refusal
			switch {
			case c.want == "" && err != nil, c.want != "" && !errors.As(err, &refused):
				t.Errorf("got %v, want %q", err, c.want)
			case c.want != "" && (err.Error() != c.want || refused.Code != lpnl.RefusalSiteTaken || refused.Function != "main"):
				t.Errorf("got  %+v\nwant %s", refused, c.want)
			}
		})
	}
}

// TestBootBase: boot entries of one base where one replaces what the other was built for.
func TestBootBase(t *testing.T) {
	r := boot.Registry{Root: t.TempDir(), Owner: os.Getuid()}
	add := func(name string, spec *patch.Spec) {
		path := filepath.Join(t.TempDir(), name+".lp")
		if err := applytest.Write(path, spec); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		e := &boot.Entry{Name: name, Images: []boot.Image{{Path: "/bin/sleep", Identity: "build-id 00"}}, OnFailure: boot.Run, Boots: boot.DefaultBoots}
		if err := r.Add(e, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := BootBase(r, &PatchFile{Spec: specOf(t, "b", true)}); err != nil {
		t.Errorf("without entries: %v", err)
	}
	add("a", specOf(t, "a", false))
	if err := BootBase(r, &PatchFile{Spec: specOf(t, "a", true)}); err != nil {
		t.Errorf("in place of itself: %v", err)
	}
	if err := BootBase(r, &PatchFile{Spec: specOf(t, "b", false)}); err != nil {
		t.Errorf("files of before: %v", err)
	}
	err := BootBase(r, &PatchFile{Spec: specOf(t, "b", true)})
	want := "patch b was built for main as it is in the file, patch a replaces that function, and a is a boot entry already; " +
		"build one patch of both fixes, or take that one out with \"lpctl boot remove a\""
	var refused *Refusal
	if !errors.As(err, &refused) || err.Error() != want || refused.Code != lpnl.RefusalSiteTaken {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	newer := specOf(t, "b", true)
	newer.About = &patch.About{Supersedes: []string{"a"}}
	if err := BootBase(r, &PatchFile{Spec: newer}); err != nil {
		t.Errorf("in the place of one that it supersedes: %v", err)
	}
	mitigation, err := applytest.Mitigation("m", "/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	add("a", mitigation)
	if err := BootBase(r, &PatchFile{Spec: specOf(t, "b", true)}); err != nil {
		t.Errorf("in the place of a mitigation: %v", err)
	}
	if entries, _ := r.List(); !supersedesEntry(r, specOf(t, "b", true), entries[0]) {
		t.Error("the mitigation stays beside the fix")
	}
	if err := r.Add(&boot.Entry{Name: "a", Images: []boot.Image{{Path: "/bin/sleep", Identity: "build-id 00"}}, OnFailure: boot.Run, Boots: boot.DefaultBoots},
		[]byte("no patch")); err != nil {
		t.Fatal(err)
	}
	err = BootBase(r, &PatchFile{Spec: specOf(t, "b", true)})
	if err == nil || !strings.HasPrefix(err.Error(), "cannot tell whether b conflicts with the boot entry a: ") ||
		!strings.HasSuffix(err.Error(), `; remove the entry with "lpctl boot remove a", or add it again`) {
		t.Errorf("got %v", err)
	}
}

// checkBase checks a patch, which the kernel does not have, in a process.
func checkBase(k Kernel, j job, spec *patch.Spec, t proc.Process) error {
	s := New(k, proc.New("/proc"))
	a := s.attempt(j, s.view(t))
	a.spec, a.hash = spec, lpnl.Hash{2}
	return a.checkBase()
}

func specOf(t *testing.T, name string, relies bool) *patch.Spec {
	t.Helper()
	s, err := applytest.Spec(name, "/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	if relies {
		s.Relies = []patch.Reliance{{Symbol: "main", Start: s.Functions[0].Bodies[0].Start}}
	}
	return s
}

// TestBaseUnreadable: where it is not known what is applied, nothing is.
func TestBaseUnreadable(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("opening what a process maps needs CAP_SYS_ADMIN")
	}
	mapFile(t, specOf(t, "a", true))
	k := &mapping{report: lpnl.Report{Patch: "a", Hash: lpnl.Hash{1}, PID: os.Getpid(), State: lpnl.StateApplied, MappedAt: 4096}}
	self := proc.Process{PID: os.Getpid(), Comm: "self"}
	err := checkBase(k, job{verb: lpnl.VerbApply}, specOf(t, "b", true), self)
	want := fmt.Sprintf("patch a is applied in self[%d] and cannot be read there: nothing is mapped at 0x1000; revert it first, or give --replace", os.Getpid())
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestBaseAsksNobody: a target without patches is not asked for them, for the kernel's answer waits for what is under way.
func TestBaseAsksNobody(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("opening what a process maps needs CAP_SYS_ADMIN")
	}
	k := &mapping{}
	k.statusErr = errors.New("asked")
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
	if err := checkBase(k, job{verb: lpnl.VerbApply}, specOf(t, "b", true), proc.Process{PID: child.Process.Pid}); err != nil {
		t.Error(err)
	}
}

// mapFile maps a patch file into this process.
func mapFile(t *testing.T, spec *patch.Spec) uint64 {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.lp")
	if err := applytest.Write(path, spec); err != nil {
		t.Fatal(err)
	}
	return mapPage(t, path)
}

// mapPage maps the beginning of a file into this process, as code.
func mapPage(t *testing.T, path string) uint64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_EXEC, syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(b) })
	return uint64(uintptr(unsafe.Pointer(&b[0])))
}
