// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/boot"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/applytest"
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
	// Targets of one user have put another file there, or nothing, and no more of them are asked.
	silent := slices.Repeat([]lpnl.Report{report(hash, forged)}, 1+maxAboutTries)
	a.Learn(append(silent, report(hash, at)))
	if got := a.Of(hash); got != nil || !a.Wants(hash) {
		t.Errorf("after those that tell nothing: %+v", got)
	}
	for range maxAboutTries - 1 {
		a.Learn(silent)
	}
	if a.Wants(hash) {
		t.Error("it is asked for for ever")
	}
	a = NewAbouts(fs)
	a.Learn([]lpnl.Report{{Hash: hash, PID: 1 << 30, MappedAt: at}, {Hash: hash, PID: os.Getppid(), MappedAt: 4096}, report(hash, at)})
	if a.Of(hash) == nil {
		t.Error("after some that tell nothing, the next one is not asked")
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

// TestHostileAbout has all patched processes of one user map another file where they had the patch: another user's tells what it is for.
func TestHostileAbout(t *testing.T) {
	f := newFleet(t, 10)
	spec := f.spec("a", false)
	spec.About = &patch.About{CVEs: []string{"CVE-2026-1234"}}
	a := f.file(spec)
	f.patch("other", false)
	for i, pid := range f.pids {
		f.apply(lpnl.VerbApply, a, pid)
		dir := filepath.Join(f.root, strconv.Itoa(pid))
		user := 1000 + i/9
		if err := os.WriteFile(filepath.Join(dir, "status"), fmt.Appendf(nil, "Name:\tp\nTgid:\t%d\nUid:\t%d\t0\t0\t0\n", pid, user), 0o644); err != nil {
			t.Fatal(err)
		}
		base := f.has[pid][0].MappedAt
		link := filepath.Join(dir, "map_files", fmt.Sprintf("%x-%x", base, base+0x1000))
		if user == 1000 {
			if err := errors.Join(os.Remove(link), os.Symlink(f.files["other"], link)); err != nil {
				t.Fatal(err)
			}
		}
	}
	status, err := f.Status()
	if err != nil {
		t.Fatal(err)
	}
	known := NewAbouts(proc.New(f.root))
	known.Learn(status)
	if diff := cmp.Diff(spec.About, known.Of(f.has[f.pids[0]][0].Hash)); diff != "" {
		t.Error(diff)
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
