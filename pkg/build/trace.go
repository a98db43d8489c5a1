// SPDX-License-Identifier: GPL-2.0

package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A build calls compilers by name, by path, from wrappers, with an environment of its own. What they all do is execve, so that
// is what is looked at: the build runs under ptrace, and a program that turns out to be a compiler, assembler, linker or objcopy is
// replaced, before its first instruction, with the shim, which runs it. Where ptrace is not permitted, there are the names in PATH.

// traceName and shimName are links to lpctl in the directory of the shims. As the first it runs a build, as the second a tool.
const (
	traceName = "lpctl-trace"
	shimName  = "lpctl-shim"
	shimsFile = "shims.json" // beside them; has shims
)

// write has the shims of a directory work without environment variables: more is for those that lack them.
func (s *shims) write(bin string, more []string) error {
	data, err := json.Marshal(slices.Concat(s.variables(), []string{shimEnv + "=" + s.bin}, more))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(bin, shimsFile), data, 0o644)
}

// around returns what a build runs in: more environment, and a command that runs it.
func (s *shims) around(traced bool) (env, by []string) {
	if !traced {
		return s.env(), nil
	}
	// The leak sanitizer cannot work in a process that is traced, and ends it.
	leaks := strings.TrimPrefix(os.Getenv("LSAN_OPTIONS")+":detect_leaks=0", ":")
	return append(s.rustEnv(true), "CCACHE_DISABLE=1", "LSAN_OPTIONS="+leaks), []string{filepath.Join(s.bin, traceName), s.bin}
}

// takeVariables sets those that the shims of a directory work with, but for what is set already.
func takeVariables(bin string) error {
	data, err := os.ReadFile(filepath.Join(bin, shimsFile))
	if err != nil {
		return err
	}
	var list []string
	err = json.Unmarshal(data, &list)
	for _, v := range list {
		name, value, _ := strings.Cut(v, "=")
		if _, ok := os.LookupEnv(name); !ok {
			err = errors.Join(err, os.Setenv(name, value))
		}
	}
	return err
}

// canTrace tells whether this process may trace its children.
func canTrace() bool {
	runtime.LockOSThread() // ptrace is a matter of threads
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return false
	}
	var ws unix.WaitStatus
	_, err := unix.Wait4(cmd.Process.Pid, &ws, 0, nil)
	err = errors.Join(err, unix.PtraceSetOptions(cmd.Process.Pid, unix.PTRACE_O_TRACEEXEC), cmd.Process.Kill())
	_ = cmd.Wait()
	return err == nil && ws.Stopped()
}

// tracee is a process or thread of the build.
type tracee struct {
	below   bool // a shim is in it, or above it: what it runs is the shim's concern
	becomes bool // it is about to be the program that was put in the place of another
}

type tracer struct {
	bin      string
	tracees  map[int]*tracee
	programs map[program]toolKind
	err      error // the build cannot go on
}

// trace runs args, a build, under the shims of a directory, and returns its exit status.
func trace(bin string, args []string) (int, error) {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return 0, err
	}
	env := os.Environ()
	if err := takeVariables(bin); err != nil {
		return 0, err
	}
	runtime.LockOSThread()
	pid, err := syscall.ForkExec(path, args, &syscall.ProcAttr{
		Env: env, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return 0, err
	}
	t := &tracer{bin: bin, tracees: map[int]*tracee{pid: {}}, programs: map[program]toolKind{}}
	if err := t.begin(pid); err != nil {
		_ = unix.Kill(pid, unix.SIGKILL) // else it would stay stopped
		return 0, fmt.Errorf("ptrace: %w", err)
	}
	status, err := t.loop(pid)
	if err == nil {
		t.release()
	}
	return status, err
}

// The build is of no use without its tracer, and the tree may be gone then: it ends with it.
const traceOptions = unix.PTRACE_O_EXITKILL | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACECLONE

// begin takes the first process, which has stopped behind its execve. PTRACE_SEIZE lets a stop of a job be one.
func (t *tracer) begin(pid int) error {
	var ws unix.WaitStatus
	if _, err := unix.Wait4(pid, &ws, 0, nil); err != nil {
		return err
	}
	if err := ptrace(unix.PTRACE_DETACH, pid, uintptr(unix.SIGSTOP)); err != nil {
		return err
	}
	if err := ptrace(unix.PTRACE_SEIZE, pid, traceOptions); err != nil {
		return err
	}
	if err := ptrace(unix.PTRACE_INTERRUPT, pid, 0); err != nil {
		return err
	}
	if _, err := unix.Wait4(pid, &ws, unix.WALL, nil); err != nil {
		return err
	}
	t.onExec(pid)
	if err := unix.Kill(pid, unix.SIGCONT); err != nil {
		return err
	}
	return ptrace(unix.PTRACE_CONT, pid, 0)
}

func ptrace(request, pid int, data uintptr) error {
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), 0, data, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// loop has the build run until the first process ends.
func (t *tracer) loop(first int) (int, error) {
	for t.err == nil {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, err
		}
		switch {
		case ws.Stopped():
			t.stopped(pid, ws)
			continue
		case ws.Exited(), ws.Signaled():
			delete(t.tracees, pid)
		}
		if pid == first && ws.Exited() {
			return ws.ExitStatus(), nil
		} else if pid == first && ws.Signaled() {
			return 128 + int(ws.Signal()), nil
		}
	}
	return 0, t.err
}

// release has what the build leaves behind go on untraced. A process can only be let go when it has stopped, which one in the
// middle of vfork does not do before that ends: it is not waited for without end.
func (t *tracer) release() {
	for pid := range t.tracees {
		_ = ptrace(unix.PTRACE_INTERRUPT, pid, 0)
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WALL|unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil: // there is none any more
			return
		case pid == 0:
			time.Sleep(time.Millisecond)
		case ws.Stopped():
			signal := uintptr(0)
			if ws>>16 == 0 {
				signal = uintptr(ws.StopSignal())
			}
			_ = ptrace(unix.PTRACE_DETACH, pid, signal)
		}
	}
}

const eventStop = 128 // PTRACE_EVENT_STOP

// stopped has a process go on. One that is killed meanwhile gives errors, which tell nothing.
func (t *tracer) stopped(pid int, ws unix.WaitStatus) {
	signal := uintptr(ws.StopSignal())
	switch event := int(ws>>16) & 0xff; event {
	case 0: // a signal, which is to be delivered
	case eventStop:
		if ws.StopSignal() != unix.SIGTRAP { // the whole job stops
			_ = ptrace(unix.PTRACE_LISTEN, pid, 0)
			return
		}
		signal = 0
		if t.tracees[pid] == nil { // it is not said to have been made yet, and will not be if its maker is killed
			maker, _ := origin(pid)
			t.tracees[pid] = t.madeBy(maker)
		}
	case unix.PTRACE_EVENT_FORK, unix.PTRACE_EVENT_VFORK, unix.PTRACE_EVENT_CLONE:
		t.forked(pid)
		signal = 0
	case unix.PTRACE_EVENT_EXEC:
		if former, err := unix.PtraceGetEventMsg(pid); err == nil && int(former) != pid { // another thread took the place of all
			t.tracees[pid] = t.tracees[int(former)]
			delete(t.tracees, int(former))
		}
		t.onExec(pid)
		signal = 0
	default:
		signal = 0
	}
	_ = ptrace(unix.PTRACE_CONT, pid, signal)
}

// forked notes a new process or thread. It may have run and ended already; then it is traced no more.
func (t *tracer) forked(pid int) {
	msg, err := unix.PtraceGetEventMsg(pid)
	if err != nil {
		return
	}
	child := t.madeBy(pid)
	if known := t.tracees[int(msg)]; known != nil { // CLONE_PARENT gives it another parent than its maker
		known.below = known.below || child.below
	} else if _, traced := origin(int(msg)); traced {
		t.tracees[int(msg)] = child
	}
}

// madeBy returns a new process or thread, which is where the one is that made it.
func (t *tracer) madeBy(pid int) *tracee {
	maker := t.tracees[pid]
	return &tracee{below: maker != nil && maker.below}
}

// origin tells of which process a thread is, or what parent a process has, and whether this process traces it.
func origin(pid int) (maker int, traced bool) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // without one, it has ended
	number := func(name string) int {
		_, rest, _ := strings.Cut(string(data), "\n"+name+":\t")
		value, _, _ := strings.Cut(rest, "\n")
		n, _ := strconv.Atoi(value)
		return n
	}
	maker = number("PPid")
	if group := number("Tgid"); group != pid {
		maker = group
	}
	return maker, number("TracerPid") == unix.Gettid() // the tracer is a thread
}

// onExec looks at a program before its first instruction, and puts the shim in its place if it is one of the tools.
func (t *tracer) onExec(pid int) {
	p := t.tracees[pid]
	if p == nil {
		p = &tracee{}
		t.tracees[pid] = p
	}
	if p.becomes || p.below {
		p.becomes = false
		return
	}
	im, err := readBeginning(pid)
	kind := noTool
	if err == nil {
		kind, err = t.kindOf(im)
	}
	if err != nil {
		t.refuse(pid, fmt.Errorf("it is not known whether the build calls a compiler: %w; have the build command do without that program, or let lpctl read it", err))
		return
	}
	const change = "%s could not be replaced with lpctl's own: %w; have the build call a gcc or clang for 64 bits"
	switch {
	case kind == noTool:
	case kind == manyTools:
		t.refuse(pid, fmt.Errorf("%s has several tools in one, and which of them it is to be is not known from its name: have the build call it as clang, clang++ or what else it is to be", im.path))
	case kind == cache:
		if env := cacheEnv(im); len(env) > 0 {
			if err := im.replace(im.path, nil, env); err != nil {
				t.refuse(pid, fmt.Errorf(change, im.path, err))
				return
			}
			p.becomes = true
		}
	case !t.reaches(pid):
		t.refuse(pid, fmt.Errorf("%s is called in a container or root directory of the build's own, where lpctl cannot follow it: have the build command call it outside of that", im.path))
	default:
		err := im.replace(filepath.Join(t.bin, shimName), []string{shimName, t.bin, strconv.Itoa(int(kind)), im.path}, nil)
		if err != nil {
			t.refuse(pid, fmt.Errorf(change, im.path, err))
			return
		}
		p.becomes, p.below = true, true
	}
}

// refuse notes why there will be no patch, unless the process was killed meanwhile, which is why nothing is known of it.
func (t *tracer) refuse(pid int, why error) {
	if _, err := unix.PtraceGetEventMsg(pid); errors.Is(err, unix.ESRCH) {
		return
	}
	t.err = errors.Join(t.err, refuseBuild(why))
}

// reaches tells whether a process finds under their names what the shim needs: a container of its own may not have it.
func (t *tracer) reaches(pid int) bool {
	paths := []string{filepath.Join(t.bin, shimName), os.Getenv(shimObjEnv), os.Getenv(shimRootEnv)}
	return !slices.ContainsFunc(paths, func(path string) bool {
		here, err := os.Stat(path)
		there, thereErr := os.Stat(fmt.Sprintf("/proc/%d/root%s", pid, path))
		return err != nil || thereErr != nil || !os.SameFile(here, there)
	})
}
