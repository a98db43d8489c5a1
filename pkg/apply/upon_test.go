// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/applytest"
)

// TestUpon: a patch that was built upon another one, in this process, which maps that.
func TestUpon(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("opening what a process maps needs CAP_SYS_ADMIN")
	}
	self := proc.Process{PID: os.Getpid(), Comm: "self"}
	first := specOf(t, "a", true)
	at := mapFile(t, first)
	here, err := New(&mapping{}, proc.New("/proc")).mappedFile(self, at)
	if err != nil {
		t.Fatal(err)
	}
	upon := func(id []byte) PatchRef {
		s := specOf(t, "b", true)
		im := s.Images[0]
		im.Name, im.BuildID = "a.lp", id
		s.Images, s.Upon = append(s.Images, im), []patch.Upon{{Name: "a", Image: 1}}
		path := filepath.Join(t.TempDir(), "b.lp")
		if err := applytest.Write(path, s); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return PatchRef{File: f, Name: "b"}
	}
	other := make([]byte, 20)
	for _, c := range []struct {
		name    string
		id      []byte
		state   lpnl.State
		verb    Verb
		options lpnl.Options
		want    string
		refusal lpnl.Refusal
	}{
		{"applied", here.buildID, lpnl.StateApplied, lpnl.VerbApply, lpnl.Options{}, "", 0},
		{"restore", other, lpnl.StateRestored, lpnl.VerbRestore, lpnl.Options{}, "", 0},
		{"another one", other, lpnl.StateApplied, lpnl.VerbCheck, lpnl.Options{},
			fmt.Sprintf("which self[%d] does not have (build-id %x); apply that first, or build one patch of all the fixes", self.PID, other), lpnl.RefusalImageMissing},
		{"restored", here.buildID, lpnl.StateRestored, lpnl.VerbApply, lpnl.Options{},
			fmt.Sprintf("which is restored in self[%d] and not applied; apply that first", self.PID), lpnl.RefusalNotApplied},
		{"drifted", here.buildID, lpnl.StateDrifted, lpnl.VerbApply, lpnl.Options{},
			fmt.Sprintf("which is drifted in self[%d] and not applied; apply that first", self.PID), lpnl.RefusalNotApplied},
		{"replace", here.buildID, lpnl.StateApplied, lpnl.VerbApply, lpnl.Options{Replace: true}, "which --replace takes off; apply it without --replace", lpnl.RefusalNotApplied},
		{"load", here.buildID, lpnl.StateApplied, lpnl.VerbLoad, lpnl.Options{},
			"whose address may change before this one is applied; apply it instead of loading it", lpnl.RefusalImageMoved},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := &mapping{report: lpnl.Report{Patch: "a", Hash: lpnl.Hash{1}, PID: self.PID, State: c.state, MappedAt: at}}
			s, p := New(k, proc.New("/proc")), upon(c.id)
			a := s.attempt(job{c.verb, p, c.options}, s.view(self))
			a.spec, a.hash = p.File.Spec, lpnl.Hash{2}
			err := a.checkUpon()
			if err == nil && c.want == "" {
				err = a.checkBase()
			}
			wantRefused(t, err, "patch b is built upon patch a, "+c.want, c.refusal)
		})
	}
	if err := Bootable(upon(other).File.Spec); err == nil ||
		err.Error() != "patch b is built upon patch a, and a program that starts has none yet; build one patch of all the fixes" {
		t.Errorf("as a boot entry: %v", err)
	}
}

func wantRefused(t *testing.T, err error, want string, code lpnl.Refusal) {
	t.Helper()
	var refused *Refusal
	switch {
	case code == 0 && err != nil, code != 0 && !errors.As(err, &refused):
		t.Errorf("got %v, want %q", err, want)
	case code != 0 && (err.Error() != want || refused.Code != code):
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// several is a kernel that has patches in this process.
type several struct {
	mapping
	reports []lpnl.Report
}

func (k *several) Status() ([]lpnl.Report, error) { return k.reports, nil }

func (k *several) Op(_ lpnl.Verb, h lpnl.Hash, _ lpnl.Target, _ lpnl.Options) (lpnl.Report, error) {
	return k.reports[slices.IndexFunc(k.reports, func(r lpnl.Report) bool { return r.Hash == h })], nil // of a recount
}

// TestTakeFromUnder: what another patch was built upon stays mapped, and what it is upon itself may go.
func TestTakeFromUnder(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("opening what a process maps needs CAP_SYS_ADMIN")
	}
	self := proc.Process{PID: os.Getpid(), Comm: "self"}
	at := mapFile(t, specOf(t, "a", true))
	s := New(&mapping{}, proc.New("/proc"))
	here, err := s.mappedFile(self, at)
	if err != nil {
		t.Fatal(err)
	}
	spec := specOf(t, "b", true)
	im := spec.Images[0]
	im.Name, im.BuildID = "a.lp", here.buildID
	spec.Images, spec.Upon = append(spec.Images, im), []patch.Upon{{Name: "a", Image: 1}}
	k := &several{reports: []lpnl.Report{
		{Patch: "a", Hash: lpnl.Hash{1}, PID: self.PID, State: lpnl.StateApplied, MappedAt: at},
		{Patch: "b", Hash: lpnl.Hash{2}, PID: self.PID, State: lpnl.StateRestored, MappedAt: mapFile(t, spec)},
	}}
	s = New(k, proc.New("/proc"))
	want := fmt.Sprintf("patch b is built upon patch a, and is restored in self[%d]; revert that one first", self.PID)
	check := func(verb Verb, name string) error {
		return s.attempt(job{verb: verb, patch: PatchRef{Name: name}}, s.view(self)).checkUpon()
	}
	for _, verb := range []Verb{Revert, lpnl.VerbUnload} {
		wantRefused(t, check(verb, "a"), want, lpnl.RefusalCovered)
	}
	wantRefused(t, check(Revert, "b"), "", 0)
	wantRefused(t, check(lpnl.VerbApply, "b"),
		fmt.Sprintf("patch b is built upon patch a, which need not be where it was when this one was mapped, and it is still restored in self[%d]; unload it first, then apply it", self.PID), lpnl.RefusalImageMoved)
}

// mappedFile reads a patch at an address of a process.
func (s *Session) mappedFile(t proc.Process, at uint64) (*PatchFile, error) {
	if err := s.look(); err != nil {
		return nil, err
	}
	return s.fileAt(s.view(t), at)
}
