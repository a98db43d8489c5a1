// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/apply/applytest"
	"lpatch/pkg/boot"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
)

// TestAbouts: what a patch is for is read where a target has it mapped, and believed if that is the very patch.
func TestAbouts(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("opening what a process maps needs CAP_SYS_ADMIN")
	}
	spec := specOf(t, "a", false)
	mapPage(t, "/bin/sleep") // as who runs it does
	spec.About = &patch.About{CVEs: []string{"CVE-2026-1234"}}
	at := mapFile(t, spec)
	spec.About = &patch.About{CVEs: []string{"CVE-2026-9999"}}
	forged := mapFile(t, spec)
	fs := proc.New("/proc")
	hash := hashOf(t, fs, at)
	report := func(h lpnl.Hash, at uint64) lpnl.Report {
		return lpnl.Report{Patch: "a", Hash: h, PID: os.Getpid(), State: lpnl.StateApplied, MappedAt: at}
	}

	a := NewAbouts(fs)
	// Three targets have put another file there, or nothing, and the fourth is not asked any more.
	a.Learn([]lpnl.Report{report(hash, forged), {Hash: hash, PID: 1 << 30, MappedAt: at}, {Hash: hash, PID: os.Getppid(), MappedAt: 4096}, report(hash, at)})
	if got := a.Of(hash); got != nil || a.Wants(hash) {
		t.Errorf("after three that tell nothing: %+v", got)
	}
	a = NewAbouts(fs)
	a.Learn([]lpnl.Report{report(hash, forged), report(lpnl.Hash{1}, at)})
	if got := a.Of(hash); got != nil || a.Of(lpnl.Hash{1}) != nil || !a.Wants(hash) {
		t.Errorf("of another patch: %+v", got)
	}
	event := lpnl.Report{Hash: hash} // does not say where it is
	a.LearnEvent(event, boot.Registry{Root: t.TempDir(), Owner: os.Getuid()}, func() ([]lpnl.Report, error) {
		return []lpnl.Report{report(lpnl.Hash{1}, forged), report(hash, at)}, nil
	})
	if diff := cmp.Diff(&patch.About{CVEs: []string{"CVE-2026-1234"}}, a.Of(hash)); diff != "" {
		t.Error(diff)
	}
	if a.Wants(hash) {
		t.Error("it is asked for again")
	}
}

// hashOf is the kernel's name of the patch that this process has mapped at an address.
func hashOf(t *testing.T, fs proc.FS, at uint64) lpnl.Hash {
	t.Helper()
	self, err := fs.Process(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	s := New(nil, fs)
	s.seen = &snapshot{files: fileCache{}}
	v := s.view(self)
	f, err := s.fileAt(v, at)
	if err != nil {
		t.Fatal(err)
	}
	images, err := s.match(f.Spec, v)
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.object(f, self.PID, images)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	return o.patch.Hash
}

// TestAboutsStore: of a boot entry it is known without looking at any process.
func TestAboutsStore(t *testing.T) {
	r := boot.Registry{Root: t.TempDir(), Owner: os.Getuid()}
	spec := specOf(t, "a", false)
	spec.About = &patch.About{Title: "a fix"}
	if err := os.MkdirAll(r.Root+"/bin", 0o755); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.Root+"/bin/sleep", data, 0o755); err != nil {
		t.Fatal(err)
	}
	path := t.TempDir() + "/a.lp"
	if err := applytest.Write(path, spec); err != nil {
		t.Fatal(err)
	}
	if data, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	e := &boot.Entry{Name: "a", Images: []boot.Image{{Path: "/bin/sleep", Identity: "build-id 00"}}, OnFailure: boot.Run, Boots: boot.DefaultBoots}
	if err := r.Add(e, data); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o, err := bootObject(r, e, f)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	a := NewAbouts(proc.New("/proc"))
	a.LearnStore(r, lpnl.Report{Patch: "b", Hash: o.patch.Hash}) // which is not read
	if !a.Wants(o.patch.Hash) {
		t.Error("a patch of another name is read")
	}
	a.LearnEvent(lpnl.Report{Patch: "a", Hash: o.patch.Hash}, r, func() ([]lpnl.Report, error) {
		t.Error("the kernel is asked")
		return nil, nil
	})
	if diff := cmp.Diff(spec.About, a.Of(o.patch.Hash)); diff != "" {
		t.Error(diff)
	}
}
