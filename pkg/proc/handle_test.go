// SPDX-License-Identifier: GPL-2.0

package proc

import (
	"errors"
	"os/exec"
	"testing"
	"time"
)

// TestHold holds a process until it ends, and refuses another process with the same PID.
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

// TestEnded inspects a process that has exited but has not been reaped.
func TestEnded(t *testing.T) {
	cmd := exec.Command("sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fs, pid := New("/proc"), cmd.Process.Pid
	maps, err := fs.Maps(pid)
	if err != nil {
		t.Fatal(err)
	}
	h, err := fs.Hold(Process{PID: pid, StartTime: startTime(t, fs, pid)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for h.Alive() {
		time.Sleep(time.Millisecond) // it is not reaped before the end of the test
	}
	if _, err := fs.Maps(pid); !errors.Is(err, ErrNoProcess) {
		t.Errorf("its mappings: %v", err)
	}
	if _, err := fs.OpenMapping(pid, maps[0]); !errors.Is(err, ErrNoProcess) {
		t.Errorf("a file that it mapped: %v", err)
	}
	_ = cmd.Wait()
}

func startTime(t *testing.T, fs FS, pid int) uint64 {
	t.Helper()
	p, err := fs.Process(pid)
	if err != nil {
		t.Fatal(err)
	}
	return p.StartTime
}
