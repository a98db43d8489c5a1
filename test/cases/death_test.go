// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"lpatch/pkg/lpnl"
)

// TestKillInWindow kills the target while a window is open: it dies at once, not when the window ends.
//
//machine:preempts
func TestKillInWindow(t *testing.T) {
	v := startVictim(t, "victim", "-t", "8", "-m", "spin")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	setDelay(t, 3*time.Second)
	done := make(chan error)
	go func() {
		_, err := c.Op(lpnl.VerbApply, p.Hash, lpnl.Target{PID: v.pid}, lpnl.Options{MaxStop: 5 * time.Second})
		done <- err
	}()
	waitFor(t, "the window", func() bool { return held(t, v.pid) })
	killed := time.Now()
	syscall.Kill(v.pid, syscall.SIGKILL)
	v.cmd.Wait()
	if took := time.Since(killed); took > 2*time.Second {
		t.Fatalf("the target took %v to die: until the window ended", took)
	}
	<-done
	wantNoTargets(t, c)
}

func wantNoTargets(t *testing.T, c *lpnl.Client) {
	t.Helper()
	waitFor(t, "the records to end", func() bool {
		info, err := c.Info()
		if err != nil {
			t.Fatal(err)
		}
		return info.Targets == 0
	})
}

// TestRecordsEnd ends targets in each way: their records end with them, without anybody asking.
func TestRecordsEnd(t *testing.T) {
	for name, end := range map[string]func(*victim){
		"quit": func(v *victim) { v.ask("quit") },
		"kill": func(v *victim) { syscall.Kill(v.pid, syscall.SIGKILL) },
		"exec": func(v *victim) { v.ask("exec") },
	} {
		t.Run(name, func(t *testing.T) {
			v := startVictim(t, "victim", "-t", "2", "-m", "sleep")
			c := dial(t)
			p := rawPatch(t, v.path, "value")
			transfer(t, c, p)
			do(t, c, lpnl.VerbApply, p, v.pid)
			end(v)
			if name == "exec" {
				v.wantValue(1)
			} else {
				v.cmd.Wait()
			}
			wantNoTargets(t, c)
		})
	}
}

// TestTargetEndsMeanwhile patches processes that exit or execute another program at that very moment.
//
//machine:preempts
func TestTargetEndsMeanwhile(t *testing.T) {
	c := dial(t)
	for i := range 60 {
		v := startVictim(t, "victim", "-t", "4", "-m", "spin")
		p := rawPatch(t, v.path, "value")
		transfer(t, c, p)
		done := make(chan error)
		go func() {
			_, err := c.Op(lpnl.VerbApply, p.Hash, lpnl.Target{PID: v.pid}, rawOptions)
			done <- err
		}()
		time.Sleep(time.Duration(i) * 50 * time.Microsecond)
		switch i % 3 {
		case 0:
			v.ask("quit")
		case 1:
			syscall.Kill(v.pid, syscall.SIGKILL)
		case 2:
			v.ask("exec")
			v.wantNoWrong()
		}
		<-done // done, or refused: both are right
		syscall.Kill(v.pid, syscall.SIGKILL)
		v.cmd.Wait()
	}
	wantNoTargets(t, c)
}

// TestClientDies closes the socket in the middle of a transfer: the object goes with it.
func TestClientDies(t *testing.T) {
	c, watcher := dial(t), dial(t)
	p := rawPatch(t, fixtures+"victim", "value")
	transfer(t, c, p)
	if info, err := watcher.Info(); err != nil || info.Patches != 1 {
		t.Fatalf("%d patches (%v), want 1", info.Patches, err)
	}
	c.Close()
	waitFor(t, "the patch to go", func() bool {
		info, err := watcher.Info()
		return err == nil && info.Patches == 0
	})
	_, err := watcher.Op(lpnl.VerbApply, p.Hash, lpnl.Target{PID: 1}, lpnl.Options{})
	if want := "no sealed patch has that hash, transfer it first"; err == nil || err.Error() != want {
		t.Fatalf("got %v, want %q", err, want)
	}
}

// TestPatchFileIsKept looks whether the file of a patch that the kernel has can be written to.
func TestPatchFileIsKept(t *testing.T) {
	c := dial(t)
	p := rawPatch(t, fixtures+"victim", "value")
	f, err := os.OpenFile(p.File.Name(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Transfer(p); err == nil || err.Error() != "the patch file is open for writing" {
		t.Fatalf("a patch file that is open for writing: %v", err)
	}
	f.Close()
	transfer(t, c, p)
	if err := os.Truncate(p.File.Name(), 0); !errors.Is(err, syscall.ETXTBSY) {
		t.Fatalf("truncating the patch file: %v, want ETXTBSY", err)
	}
	c.Close()
	waitFor(t, "the file to be free", func() bool { return os.Truncate(p.File.Name(), 0) == nil })
}

// applier starts a client that applies a raw patch of a function to a victim, and waits for as long as it takes.
func applier(t *testing.T, v *victim, symbol string) *exec.Cmd {
	t.Helper()
	client := exec.Command("/proc/self/exe", "-test.run", "^TestHelperApply$")
	client.Env = []string{fmt.Sprintf("APPLY=%s %s %d", v.path, symbol, v.pid)}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	return client
}

// TestHelperApply is the client that others kill.
func TestHelperApply(t *testing.T) {
	var path, symbol string
	var pid int
	if _, err := fmt.Sscan(os.Getenv("APPLY"), &path, &symbol, &pid); err != nil {
		t.Skip("only for applier")
	}
	c := dial(t)
	p := rawPatch(t, path, symbol)
	transfer(t, c, p)
	c.Op(lpnl.VerbApply, p.Hash, lpnl.Target{PID: pid}, lpnl.Options{Timeout: time.Hour})
}

// TestClientKilled kills a client while its operation waits for a thread to leave: the operation is called off, and
// nothing has changed.
func TestClientKilled(t *testing.T) {
	v := startVictim(t, "victim")
	v.ask("dwell")
	client := applier(t, v, "dwell")
	c := dial(t)
	waitFor(t, "the other client's patch", func() bool {
		return strings.Contains(maps(t, v.pid), "/raw")
	})
	client.Process.Kill()
	client.Wait()
	waitFor(t, "the operation to be called off", func() bool {
		return !strings.Contains(maps(t, v.pid), "/raw")
	})
	wantNoTargets(t, c)
	v.ask("leave")
}
