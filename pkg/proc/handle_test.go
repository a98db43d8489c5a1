package proc

import (
	"errors"
	"os/exec"
	"testing"
)

// TestHold holds on to a process until it ends, and refuses one that is not the one that was meant.
func TestHold(t *testing.T) {
	cmd := exec.Command("sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fs := New("/proc")
	p, err := fs.Process(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	other := p
	other.StartTime++
	if _, err := fs.Hold(other); !errors.Is(err, ErrNoProcess) || err.Error() != p.String()+" ended meanwhile" {
		t.Errorf("another process under the same pid: %v", err)
	}
	h, err := fs.Hold(p)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if !h.Alive() {
		t.Error("it is not alive")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if h.Alive() {
		t.Error("it is alive after its end")
	}
	if _, err := fs.Hold(p); !errors.Is(err, ErrNoProcess) {
		t.Errorf("a process that ended: %v", err)
	}
}
