// SPDX-License-Identifier: GPL-2.0

package power

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lpatch/pkg/boot"
	"lpatch/test/vm"
)

// cuts is how often the power fails; the last time in earnest.
const cuts = 20

// TestPowerFails looks at the disk of a machine, as it is at that moment, time and again: QEMU is stopped by SIGSTOP, so
// that not even a write that it is about is finished, and the disk's file copied. That is what the machine would find
// after a power failure. In the end QEMU is killed. In each copy all entries must be whole, and no step that was done lost.
//
// The disk has no cache of its own that a power failure could lose or write in another order.
func TestPowerFails(t *testing.T) {
	kernels, err := vm.TestKernels()
	if err != nil {
		t.Fatal(err)
	}
	kernel := suitable(t, kernels)
	if kernel == "" {
		t.Skip("LPATCH_VM selects no kernel with drivers for the disk and its file system inside")
	}
	m := startMachine(t, kernel)
	random := rand.New(rand.NewPCG(1, 2))
	for cut := 1; cut <= cuts; cut++ {
		m.waitForStep(m.done.Load() + 1 + random.Int64N(5))
		time.Sleep(time.Duration(random.IntN(50)) * time.Millisecond) // anywhere in a step
		m.stop()
		done := m.done.Load()
		image := filepath.Join(t.TempDir(), "cut")
		run(t, "cp", "--sparse=always", m.disk, image)
		if cut == cuts {
			m.kill()
			image = m.disk
		} else {
			m.goOn()
		}
		wantRegistry(t, image, int(done))
		if t.Failed() {
			t.Fatalf("after the cut number %d", cut)
		}
	}
	t.Logf("%d cuts in %d steps", cuts, m.done.Load())
}

// suitable returns the first kernel that needs no modules for the disk. One is enough: it is not the kernel that is tested.
func suitable(t *testing.T, kernels []string) string {
	t.Helper()
	for _, kernel := range kernels {
		must(t, vm.Prepare(vm.Config{Kernel: kernel, Module: vm.NoModule}, t.Output()))
		fits := true
		for _, option := range []string{"CONFIG_BLK_DEV_NVME", "CONFIG_EXT4_FS"} {
			value, err := vm.Option(kernel, option)
			must(t, err)
			fits = fits && value == "y"
		}
		if fits {
			return kernel
		}
	}
	return ""
}

// machine is the machine that the power fails in.
type machine struct {
	t      *testing.T
	disk   string
	qemu   *os.Process
	done   atomic.Int64 // the last step of which the machine said that it was done
	ended  chan error
	output bytes.Buffer
	lines  string
}

func startMachine(t *testing.T, kernel string) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{t: t, disk: filepath.Join(dir, "disk"), ended: make(chan error, 1)}
	run(t, "/sbin/mke2fs", "-q", "-t", "ext4", m.disk, "32M")
	program := filepath.Join(dir, "registry")
	cmd := exec.Command("go", "build", "-o", program, "./cmd/registry")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	started := make(chan *os.Process, 1)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() {
		_, err := vm.Run(ctx, vm.Config{
			Kernel: kernel, Script: program, Dir: "/tmp", Disks: []string{m.disk}, Module: vm.NoModule, Stdout: m, Stderr: &m.output,
			Start: func(p *os.Process) { started <- p },
		})
		if err == nil {
			err = errors.New("the program ended")
		}
		m.ended <- err
	}()
	select {
	case m.qemu = <-started:
	case err := <-m.ended:
		t.Fatalf("the machine did not start: %v", err)
	}
	return m
}

// Write takes what the program says.
func (m *machine) Write(p []byte) (int, error) {
	m.lines += string(p)
	for {
		line, rest, ok := strings.Cut(m.lines, "\n")
		if !ok {
			return len(p), nil
		}
		m.lines = rest
		var i int64
		if _, err := fmt.Sscanf(line+"\n", Done, &i); err == nil {
			m.done.Store(i)
		}
	}
}

var _ io.Writer = (*machine)(nil)

// waitForStep waits until a step is done.
func (m *machine) waitForStep(i int64) {
	m.t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); m.done.Load() < i; {
		select {
		case err := <-m.ended:
			m.t.Fatalf("the machine ended at step %d: %v\n%s", m.done.Load(), err, m.output.String())
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("the machine does no step after %d", m.done.Load())
		}
	}
}

// stop returns when no thread of QEMU runs any more.
func (m *machine) stop() {
	m.t.Helper()
	must(m.t, m.qemu.Signal(syscall.SIGSTOP))
	for {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", m.qemu.Pid))
		must(m.t, err)
		stopped := len(tasks) > 0
		for _, task := range tasks {
			text, err := os.ReadFile(task)
			if err != nil {
				continue // a thread that has ended
			}
			stopped = stopped && bytes.Contains(text, []byte(") T "))
		}
		if stopped {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (m *machine) goOn() {
	m.t.Helper()
	must(m.t, m.qemu.Signal(syscall.SIGCONT))
}

// kill ends the machine for good.
func (m *machine) kill() {
	m.t.Helper()
	must(m.t, m.qemu.Kill())
	<-m.ended
}

// wantRegistry looks at a disk: the file system's journal is replayed, as a mount would, and the files taken out.
func wantRegistry(t *testing.T, image string, done int) {
	t.Helper()
	if out, err := exec.Command("/sbin/e2fsck", "-f", "-y", image).CombinedOutput(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 { // 1: the journal was replayed, and such
			t.Fatalf("e2fsck: %v\n%s", err, out)
		}
	}
	dir := t.TempDir()
	run(t, "/sbin/debugfs", "-R", "rdump / "+dir, image)
	r := boot.Registry{Root: dir, Owner: os.Getuid()}
	entries, bad := r.List()
	for _, err := range bad {
		t.Errorf("step %d was done: %v", done, err)
	}
	kept := map[string]string{}
	for _, e := range entries {
		kept[e.Name] = e.SHA256
		if _, err := r.Patch(e); err != nil {
			t.Errorf("step %d was done: %v", done, err)
		}
	}
	const late = 100 // what the machine says takes a while to get here
	for i := done; i < done+late; i++ {
		if maps.Equal(kept, after(i)) {
			return
		}
	}
	t.Errorf("step %d was done, after which it is\n%v\nand there is\n%v", done, after(done), kept)
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
