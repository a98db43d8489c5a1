package apply_test

import (
	"os/exec"
	"testing"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/lpnl/lpnltest"
	"lpatch/pkg/proc"
)

// forking is a kernel whose targets have a child at each of the first operations.
type forking struct {
	apply.Kernel
	t        *testing.T
	exe      string
	children int
}

func (k *forking) Op(verb lpnl.Verb, h lpnl.Hash, target lpnl.Target, o lpnl.Options) (lpnl.Report, error) {
	if k.children > 0 {
		k.children--
		cmd := exec.Command(k.exe, "100")
		if err := cmd.Start(); err != nil {
			k.t.Error(err)
		}
		k.t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
	return k.Kernel.Op(verb, h, target, o)
}

// TestRounds has processes come into being while others are patched: none is missed.
func TestRounds(t *testing.T) {
	exe, p := start(t)
	fake := &lpnltest.Kernel{}
	c, err := fake.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	k := &forking{Kernel: c, t: t, exe: exe}
	s := apply.New(k, proc.New("/proc"))
	file := write(t, spec(t))
	want := 1
	for _, step := range []struct {
		verb  apply.Verb
		sel   apply.Selection
		state lpnl.State
	}{
		{lpnl.VerbApply, apply.Selection{Exe: []string{exe}}, lpnl.StateApplied},
		{lpnl.VerbApply, apply.Selection{Exe: []string{exe}}, lpnl.StateApplied},
		{lpnl.VerbRestore, apply.Selection{Exe: []string{exe}}, lpnl.StateRestored},
	} {
		if step.verb == lpnl.VerbApply {
			k.children = 3
			want += 3
		}
		if _, err := s.RunSelected(step.verb, file, step.sel, lpnl.Options{}); err != nil {
			t.Fatal(err)
		}
		if len(fake.Records) != want {
			t.Fatalf("%s: %d of %d processes", step.verb, len(fake.Records), want)
		}
		for _, r := range fake.Records {
			if r.State != step.state {
				t.Fatalf("%s: %+v", step.verb, r)
			}
		}
	}
	// Who names a process means that one only.
	k.children = 1
	r, err := s.RunSelected(lpnl.VerbApply, file, apply.Selection{PIDs: []int{p.PID}}, lpnl.Options{})
	if err != nil || len(r.Outcomes) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
}

// TestPIDReused gives a process that has ended, and whose pid is another's by now.
func TestPIDReused(t *testing.T) {
	_, p := start(t)
	p.StartTime--
	k := &lpnltest.Kernel{}
	out := session(t, k).Run(lpnl.VerbApply, write(t, spec(t)), []proc.Process{p}, lpnl.Options{})
	if !apply.Gone(out[0].Err) || out[0].Err.Error() != p.String()+" ended meanwhile" || len(k.Records) != 0 {
		t.Fatalf("%+v, records %+v", out[0], k.Records)
	}
}
