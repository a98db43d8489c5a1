// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"syscall"
	"testing"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
)

// stacked is a kernel with five patches in a target, of which two cannot be unloaded and one is not known any more when it is
// asked for, and one in another target.
type stacked struct{ unloaded []string }

func (s *stacked) Transfer(*lpnl.Patch) error { return nil }

func (s *stacked) Status() ([]lpnl.Report, error) {
	return []lpnl.Report{
		{Patch: "a", Hash: lpnl.Hash{1}, PID: 7, State: lpnl.StateApplied},
		{Patch: "b", Hash: lpnl.Hash{2}, PID: 7, State: lpnl.StateDrifted},
		{Patch: "c", Hash: lpnl.Hash{3}, PID: 7, State: lpnl.StateRestored},
		{Patch: "d", Hash: lpnl.Hash{4}, PID: 8, State: lpnl.StateApplied},
		{Patch: "e", Hash: lpnl.Hash{5}, PID: 7, State: lpnl.StateApplied},
		{Patch: "f", Hash: lpnl.Hash{6}, PID: 7, State: lpnl.StateApplied},
	}, nil
}

func (s *stacked) Op(verb lpnl.Verb, h lpnl.Hash, t lpnl.Target, _ lpnl.Options) (lpnl.Report, error) {
	if verb == lpnl.VerbApply {
		return lpnl.Report{PID: t.PID, State: lpnl.StateApplied}, nil
	}
	if h == (lpnl.Hash{2}) {
		r := lpnl.Report{Refusal: lpnl.RefusalThreadActive, Message: "thread 9 (w) is executing patch b"}
		return r, &lpnl.Refused{Report: r}
	}
	if h == (lpnl.Hash{5}) {
		return lpnl.Report{}, &lpnl.Error{Message: "no sealed patch has that hash, transfer it first", Errno: syscall.ENOENT}
	}
	if h == (lpnl.Hash{6}) {
		return lpnl.Report{}, &lpnl.Error{Message: "no memory", Errno: syscall.ENOMEM}
	}
	s.unloaded = append(s.unloaded, h.String()[:2])
	return lpnl.Report{}, nil
}

// TestReplace unloads the patches that were replaced in the target, and says of the one that is in use that it stays.
func TestReplace(t *testing.T) {
	k := &stacked{}
	s := New(k, proc.New("/proc"))
	v, err := s.freshView(proc.Process{PID: 7})
	if err != nil {
		t.Fatal(err)
	}
	a := s.attempt(job{verb: lpnl.VerbApply, options: lpnl.Options{Replace: true}}, v)
	a.hash = lpnl.Hash{9}
	out := a.do()
	if out.Err != nil || out.Report.State != lpnl.StateApplied {
		t.Fatalf("%v, %v", out.Report.State, out.Err)
	}
	if len(k.unloaded) != 1 || k.unloaded[0] != "01" {
		t.Errorf("unloaded %v, want only the first", k.unloaded)
	}
	const note = "replaced a, b, e, f; patch b is restored and stays mapped: thread 9 (w) is executing patch b; unload it later; " +
		"patch f is restored and stays mapped: no memory; unload it later"
	if out.Note != note {
		t.Errorf("the note is %q, want %q", out.Note, note)
	}
}

// TestUnloadedMeanwhile names a patch that somebody else unloads before this client comes to it: then it is not loaded.
func TestUnloadedMeanwhile(t *testing.T) {
	for _, verb := range []Verb{lpnl.VerbRestore, lpnl.VerbUnload, Revert} {
		s := New(&stacked{}, proc.New("/proc"))
		out := s.runHeld(job{verb: verb, patch: PatchRef{Name: "e"}}, proc.Process{PID: 7, Comm: "w"})
		const want = `w[7] has no patch "e" loaded; give the patch file, or see "lpctl status"`
		if RefusalCode(out.Err) != lpnl.RefusalNotLoaded || out.Err.Error() != want || out.Report != (lpnl.Report{}) {
			t.Errorf("%s: %+v", verb, out)
		}
	}
}
