package apply

import (
	"testing"

	"lpatch/pkg/lpnl"
)

// stacked is a kernel with three patches in a target, of which one cannot be unloaded, and one in another target.
type stacked struct{ unloaded []string }

func (s *stacked) Transfer(*lpnl.Patch) error { return nil }

func (s *stacked) Status() ([]lpnl.Report, error) {
	return []lpnl.Report{
		{Patch: "a", Hash: lpnl.Hash{1}, PID: 7, State: lpnl.StateApplied},
		{Patch: "b", Hash: lpnl.Hash{2}, PID: 7, State: lpnl.StateDrifted},
		{Patch: "c", Hash: lpnl.Hash{3}, PID: 7, State: lpnl.StateRestored},
		{Patch: "d", Hash: lpnl.Hash{4}, PID: 8, State: lpnl.StateApplied},
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
	s.unloaded = append(s.unloaded, h.String()[:2])
	return lpnl.Report{}, nil
}

// TestReplace unloads the patches that were replaced in the target, and says of the one that is in use that it stays.
func TestReplace(t *testing.T) {
	k := &stacked{}
	a := &attempt{kernel: k, hash: lpnl.Hash{9}, target: lpnl.Target{PID: 7}}
	r, err := a.replace(lpnl.Options{Replace: true})
	if err != nil || r.State != lpnl.StateApplied {
		t.Fatalf("%v, %v", r.State, err)
	}
	if len(k.unloaded) != 1 || k.unloaded[0] != "01" {
		t.Errorf("unloaded %v, want only the first", k.unloaded)
	}
	const note = "replaced a, b; patch b is restored and stays mapped: thread 9 (w) is executing patch b; unload it later"
	if a.note != note {
		t.Errorf("the note is %q, want %q", a.note, note)
	}
}
