// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
)

// returnTwo is mov eax, 2; ret.
var returnTwo = []byte{0xb8, 2, 0, 0, 0, 0xc3}

// wantBytesRefused wants p refused because of an int3 at its first site.
func wantBytesRefused(t *testing.T, c *lpnl.Client, v *victim, p *lpnl.Patch) {
	t.Helper()
	refuseWith(t, c, lpnl.VerbApply, p, v.pid, lpnl.RefusalBytesDiffer, fmt.Sprintf(
		"%s of %s has other bytes than the patch expects: a breakpoint, another tool, or another build of the file",
		p.Sites[0].Symbol, filepath.Base(v.path)))
}

// TestDebugger has gdb attached, with a breakpoint on the function to be patched: refused, gdb goes on to stop there and
// to continue, and when it has detached the patch is applied.
func TestDebugger(t *testing.T) {
	v := startVictim(t, "victim")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	script := filepath.Join(t.TempDir(), "script")
	log := filepath.Join(t.TempDir(), "log")
	commands := "set confirm off\nbreak *value\ncommands\nsilent\nprintf \"hit\\n\"\ncontinue\nend\ncontinue\n"
	if err := os.WriteFile(script, []byte(commands), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	gdb := exec.Command("gdb", "-nx", "-batch", "-p", fmt.Sprint(v.pid), "-x", script)
	gdb.Stdout, gdb.Stderr = out, out
	if err := gdb.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		gdb.Process.Kill()
		gdb.Wait()
	})
	said := func() string {
		b, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	entry := entryAddress(t, v, p)
	waitFor(t, "the breakpoint", func() bool { return peekByte(t, v.pid, entry) == 0xcc })
	for range 3 {
		wantBytesRefused(t, c, v, p)
		v.wantValue(1)
	}
	waitFor(t, "gdb to tell of three stops", func() bool { return strings.Count(said(), "hit\n") == 3 })
	gdb.Process.Signal(syscall.SIGINT) // it stops the program, has no more commands, and detaches
	if err := gdb.Wait(); err != nil {
		t.Fatalf("gdb: %v\n%s", err, said())
	}
	do(t, c, lpnl.VerbApply, p, v.pid)
	v.wantValue(2)
	do(t, c, lpnl.VerbRestore, p, v.pid)
	do(t, c, lpnl.VerbUnload, p, v.pid)
	v.wantValue(1)
}

func peekByte(t *testing.T, pid int, at int64) byte {
	t.Helper()
	var b [1]byte
	if _, err := open(t, fmt.Sprintf("/proc/%d/mem", pid)).ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	return b[0]
}

// TestProbeAtSite has a uprobe where the patch would be: refused, and the probe goes on to count.
//
//machine:preempts
func TestProbeAtSite(t *testing.T) {
	v := startVictim(t, "victim")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	t.Run("probe", func(t *testing.T) {
		hits := probe(t, "p", v.path, "value")
		v.wantValue(1)
		wantBytesRefused(t, c, v, p)
		v.wantValue(1)
		if n := hits(); n != 2 {
			t.Fatalf("%d hits, want 2", n)
		}
	})
	do(t, c, lpnl.VerbApply, p, v.pid)
	v.wantValue(2)
	do(t, c, lpnl.VerbRestore, p, v.pid)
	do(t, c, lpnl.VerbUnload, p, v.pid)
}

// TestProbeInBody has a uprobe in the function to be patched, behind the bytes that are overwritten: it works, and the
// probe counts again after the restore.
func TestProbeInBody(t *testing.T) {
	v := startVictim(t, "stacks")
	c := dial(t)
	p := rawPatchWith(t, v.path, "peek", returnTwo)
	transfer(t, c, p)
	hits := probe(t, "p", v.path, "peek_load")
	want := func(value, count int) {
		t.Helper()
		if got := v.ask("peek"); got != fmt.Sprint("peek ", value) || hits() != count {
			t.Fatalf("the program says %q, and %d hits; want peek %d, and %d", got, hits(), value, count)
		}
	}
	want(1, 1)
	do(t, c, lpnl.VerbApply, p, v.pid)
	want(2, 1)
	do(t, c, lpnl.VerbRestore, p, v.pid)
	want(1, 2)
	do(t, c, lpnl.VerbUnload, p, v.pid)
	want(1, 3)
}

// threads lists the threads of a process.
func threads(t *testing.T, pid int) []int {
	t.Helper()
	dirs, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	var tids []int
	for _, dir := range dirs {
		var tid int
		fmt.Sscan(filepath.Base(dir), &tid)
		tids = append(tids, tid)
	}
	return tids
}

// wantAllInState looks whether all threads of a process are in this state of /proc/PID/stat.
func wantAllInState(t *testing.T, pid int, want string) {
	t.Helper()
	for _, tid := range threads(t, pid) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/stat", pid, tid))
		if err != nil {
			t.Fatal(err)
		}
		_, fields, _ := strings.Cut(string(stat), ") ")
		if state := strings.Fields(fields)[0]; state != want {
			t.Errorf("thread %d is in state %s, want %s", tid, state, want)
		}
	}
}

// applyStopped applies a patch to a victim that stop stops, and looks whether it is so still; goOn lets it go on.
func applyStopped(t *testing.T, c *lpnl.Client, v *victim, state string, stop, goOn func()) {
	t.Helper()
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	for {
		stop()
		r, err := c.Op(lpnl.VerbCheck, p.Hash, lpnl.Target{PID: v.pid}, lpnl.Options{MaxStop: rawOptions.MaxStop})
		if err == nil {
			break
		}
		if r.Refusal != lpnl.RefusalThreadActive {
			t.Fatal(err)
		}
		goOn() // a thread was stopped inside the function, for as long as it is stopped
	}
	wantAllInState(t, v.pid, state)
	do(t, c, lpnl.VerbApply, p, v.pid)
	wantAllInState(t, v.pid, state)
	do(t, c, lpnl.VerbRestore, p, v.pid)
	do(t, c, lpnl.VerbApply, p, v.pid)
	wantAllInState(t, v.pid, state)
	goOn()
	v.wantValue(2)
	do(t, c, lpnl.VerbRestore, p, v.pid)
	do(t, c, lpnl.VerbUnload, p, v.pid)
	v.wantValue(1)
	v.wantNoWrong()
}

// TestStopped patches a process that a signal stopped: nobody but SIGCONT sets it going.
//
//machine:preempts
func TestStopped(t *testing.T) {
	v := startVictim(t, "victim", "-t", "2", "-m", "spin")
	stop := func() {
		if err := syscall.Kill(v.pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(v.pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
			t.Fatalf("the victim did not stop: %v, %v", status, err)
		}
	}
	applyStopped(t, dial(t), v, "T", stop, func() { syscall.Kill(v.pid, syscall.SIGCONT) })
}

// TestFrozen patches a process in a frozen control group: it stays frozen.
//
//machine:preempts
func TestFrozen(t *testing.T) {
	v := startVictim(t, "victim", "-t", "2", "-m", "spin")
	group := "/sys/fs/cgroup/lpatch"
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(dir, file, text string) {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0); err != nil {
			t.Fatal(err)
		}
	}
	frozen := func() bool {
		b, err := os.ReadFile(group + "/cgroup.events")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(b), "frozen 1")
	}
	t.Cleanup(func() {
		write(group, "cgroup.freeze", "0")
		write("/sys/fs/cgroup", "cgroup.procs", fmt.Sprint(v.pid))
		if err := os.Remove(group); err != nil {
			t.Error(err)
		}
	})
	write(group, "cgroup.procs", fmt.Sprint(v.pid))
	stop := func() {
		write(group, "cgroup.freeze", "1")
		waitFor(t, "the group to be frozen", frozen)
	}
	applyStopped(t, dial(t), v, "S", stop, func() {
		if !frozen() {
			t.Error("the group is not frozen any more")
		}
		write(group, "cgroup.freeze", "0")
	})
}

// ptrace is for the requests that package unix has no function for.
func ptrace(t *testing.T, request, pid int, addr, data uintptr) {
	t.Helper()
	if _, _, err := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), addr, data, 0, 0); err != 0 {
		t.Fatalf("ptrace(%#x, %d): %v", request, pid, err)
	}
}

// awaitStop waits for a thread that this one traces to stop.
func awaitStop(t *testing.T, tid int) {
	t.Helper()
	var status unix.WaitStatus
	if _, err := unix.Wait4(tid, &status, unix.WALL, nil); err != nil || !status.Stopped() {
		t.Fatalf("thread %d did not stop: %v, %v", tid, status, err)
	}
}

// TestTraceStopped patches a process all of whose threads a tracer has stopped, some in user code, some on their way into
// a system call: they stay stopped, the tracer can let each go on, and the calls are made.
func TestTraceStopped(t *testing.T) {
	for mode, atEntry := range map[string]bool{"spin": false, "sleep": true} {
		t.Run(mode, func(t *testing.T) {
			runtime.LockOSThread() // ptrace has threads, not processes, as tracers
			defer runtime.UnlockOSThread()
			v := startVictim(t, "victim", "-t", "3", "-m", mode)
			tids := threads(t, v.pid)
			stop := func() {
				for _, tid := range tids {
					ptrace(t, unix.PTRACE_SEIZE, tid, 0, unix.PTRACE_O_TRACESYSGOOD)
					ptrace(t, unix.PTRACE_INTERRUPT, tid, 0, 0)
					awaitStop(t, tid)
					if atEntry && tid != v.pid { // the main thread is in read(), for as long as nothing is asked
						stopAtEntry(t, tid)
					}
				}
			}
			goOn := func() {
				for _, tid := range tids {
					unix.PtraceDetach(tid)
				}
			}
			defer goOn() // nobody else could bury the threads, should this fail
			applyStopped(t, dial(t), v, "t", stop, goOn)
		})
	}
}

// stopAtEntry lets a stopped thread run until it is about to make a system call.
func stopAtEntry(t *testing.T, tid int) {
	t.Helper()
	var info struct {
		op   uint8
		rest [87]byte
	}
	for info.op != 1 /* PTRACE_SYSCALL_INFO_ENTRY */ {
		ptrace(t, unix.PTRACE_SYSCALL, tid, 0, 0)
		awaitStop(t, tid)
		ptrace(t, unix.PTRACE_GET_SYSCALL_INFO, tid, unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)))
	}
}

// TestNamespaces patches a process that is pid 1 in namespaces of its own, of users too.
func TestNamespaces(t *testing.T) {
	cmd := exec.Command(fixtures+"victim", "-t", "2", "-m", "spin")
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 1000, Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC,
		UidMappings: ids, GidMappings: ids,
	}
	v := startCommand(t, cmd)
	c := dial(t)
	cycle(t, c, v, rawPatch(t, v.path, "value"), 10)
	v.wantNoWrong()
}

// TestRealTime patches a process that has a thread of the highest real-time priority spinning on each processor, for seconds
// at a time. The operation, once it holds the lock on the target's memory, gives it back while they do.
//
//machine:preempts
func TestRealTime(t *testing.T) {
	v := startVictim(t, "stacks")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	v.enter("fifo")
	for range 8 {
		for _, verb := range []lpnl.Verb{lpnl.VerbApply, lpnl.VerbRestore} {
			if r := do(t, c, verb, p, v.pid); r.Lock > 2*time.Second {
				t.Fatalf("%s held the lock for %v: it waited for the real-time threads to rest", verb, r.Lock)
			}
		}
	}
	if got := v.ask("leave"); got != "left" {
		t.Fatal(got)
	}
	do(t, c, lpnl.VerbUnload, p, v.pid)
	v.wantValue(1)
}

// TestWorkers patches a process with kernel threads of its own, which io_uring made: they are left alone, and a read that
// one of them waits in is not ended.
//
//machine:preempts
func TestWorkers(t *testing.T) {
	v := startVictim(t, "stacks")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	v.enter("uring")
	waitFor(t, "the worker and the polling thread", func() bool { return len(threads(t, v.pid)) == 3 })
	wantAloneStopped(t, c, v, p)
	if got := v.ask("leave"); got != "left" {
		t.Fatalf("the program says %q: the read was ended", got)
	}
}

// TestVhost patches a process that has a worker of vhost: a thread of its own since 6.4, before that a kernel thread that
// uses its memory.
//
//machine:preempts
//machine:needs CONFIG_VHOST_NET
func TestVhost(t *testing.T) {
	for _, module := range []string{"vhost_iotlb", "vhost", "tun", "tap", "vhost_net"} {
		loadKernels(t, module, "")
	}
	v := startVictim(t, "stacks")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	v.enter("vhost")
	waitFor(t, "the worker", func() bool {
		kthread := slices.ContainsFunc(pids(t), func(pid int) bool {
			comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			return string(comm) == fmt.Sprintf("vhost-%d\n", v.pid)
		})
		return kthread || len(threads(t, v.pid)) == 2
	})
	wantAloneStopped(t, c, v, p)
	v.ask("leave")
}

// wantAloneStopped patches a process, again and again, of which the main thread alone executes code of its own.
func wantAloneStopped(t *testing.T, c *lpnl.Client, v *victim, p *lpnl.Patch) {
	t.Helper()
	for range 20 {
		if r := do(t, c, lpnl.VerbApply, p, v.pid); r.Threads != 1 {
			t.Fatalf("%d threads were stopped, want 1", r.Threads)
		}
		v.wantValue(2)
		do(t, c, lpnl.VerbRestore, p, v.pid)
		v.wantValue(1)
	}
	do(t, c, lpnl.VerbUnload, p, v.pid)
}
