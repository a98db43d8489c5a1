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

// A build calls compilers by name, by path, from wrappers, and with modified environments. All of these calls use execve.
// Therefore the build runs under ptrace, and a program that is recognized as a compiler, assembler, linker or objcopy is
// replaced before its first instruction by the shim, which runs it. If ptrace is not permitted, only names in PATH are
// redirected.

// traceName and shimName are links to lpctl in the directory of shims. Under the former name it runs a build, under the
// latter a tool.
const (
	traceName = "lpctl-trace"
	shimName  = "lpctl-shim"
	shimsFile = "shims.json" // file in the same directory that contains shims
)

// write stores the shims of a directory in a file, so that they work without environment variables. more is added to the
// environment if missing.
func (s *shims) write(bin string, more []string) error {
	data, err := json.Marshal(slices.Concat(s.variables(), []string{shimEnv + "=" + s.bin}, more))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(bin, shimsFile), data, 0o644)
}

// around returns the environment of a build, and a command that runs it.
func (s *shims) around(traced bool) (env, by []string) {
	if !traced {
		return s.env(), nil
	}
	// LeakSanitizer does not work in a traced process and would abort it
	leaks := strings.TrimPrefix(os.Getenv("LSAN_OPTIONS")+":detect_leaks=0", ":")
	return append(s.rustEnv(true), "CCACHE_DISABLE=1", "LSAN_OPTIONS="+leaks), []string{filepath.Join(s.bin, traceName), s.bin}
}

// takeVariables sets the variables of the shims in a directory, unless they are set already.
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

// canTrace reports whether this process may trace its children.
func canTrace() bool {
	runtime.LockOSThread() // ptrace works per thread
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
	below   bool // this process or an ancestor is a shim, which handles its children
	becomes bool // it is about to execute the program that replaces another one
}

type tracer struct {
	bin      string
	tracees  map[int]*tracee
	programs map[program]toolKind
	err      error // reason why the build cannot continue
}

// trace runs the build args under the shims of a directory and returns its exit status.
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
		_ = unix.Kill(pid, unix.SIGKILL) // otherwise it would remain stopped
		return 0, fmt.Errorf("ptrace: %w", err)
	}
	status, err := t.loop(pid)
	if err == nil {
		t.release()
	}
	return status, err
}

// The build is useless without its tracer, and the tree may be removed then, so it is killed with it.
const traceOptions = unix.PTRACE_O_EXITKILL | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACECLONE

// begin attaches to the first process, which has stopped after execve. PTRACE_SEIZE distinguishes group stops.
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

// loop runs the build until its first process exits.
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

// release detaches from processes that outlive the build. A process can only be detached while it is stopped; a parent in
// vfork does not stop until the child ends, so the wait is limited.
func (t *tracer) release() {
	for pid := range t.tracees {
		_ = ptrace(unix.PTRACE_INTERRUPT, pid, 0)
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WALL|unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil: // no tracee is left
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

// stopped resumes a process. Errors are ignored, because the process may have been killed.
func (t *tracer) stopped(pid int, ws unix.WaitStatus) {
	signal := uintptr(ws.StopSignal())
	switch event := int(ws>>16) & 0xff; event {
	case 0: // a signal to deliver
	case eventStop:
		if ws.StopSignal() != unix.SIGTRAP { // group stop
			_ = ptrace(unix.PTRACE_LISTEN, pid, 0)
			return
		}
		signal = 0
		if t.tracees[pid] == nil { // its creation has not been reported yet, and will not be if its parent is killed
			maker, _ := origin(pid)
			t.tracees[pid] = t.madeBy(maker)
		}
	case unix.PTRACE_EVENT_FORK, unix.PTRACE_EVENT_VFORK, unix.PTRACE_EVENT_CLONE:
		t.forked(pid)
		signal = 0
	case unix.PTRACE_EVENT_EXEC:
		if former, err := unix.PtraceGetEventMsg(pid); err == nil && int(former) != pid { // another thread has replaced the thread group leader
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

// forked registers a new process or thread. If it has exited already, it is removed.
func (t *tracer) forked(pid int) {
	msg, err := unix.PtraceGetEventMsg(pid)
	if err != nil {
		return
	}
	child := t.madeBy(pid)
	if known := t.tracees[int(msg)]; known != nil { // with CLONE_PARENT, its parent is not its creator
		known.below = known.below || child.below
	} else if _, traced := origin(int(msg)); traced {
		t.tracees[int(msg)] = child
	}
}

// madeBy returns a tracee for a new process or thread, with the state of its creator.
func (t *tracer) madeBy(pid int) *tracee {
	maker := t.tracees[pid]
	return &tracee{below: maker != nil && maker.below}
}

// origin returns the thread group of a thread, or the parent of a process, and whether this process traces it.
func origin(pid int) (maker int, traced bool) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // if it cannot be read, the process has exited
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

// onExec examines a program before its first instruction, and replaces it by the shim if it is a tool.
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

// refuse records why no patch can be built, unless the process was killed in the meantime.
func (t *tracer) refuse(pid int, why error) {
	if _, err := unix.PtraceGetEventMsg(pid); errors.Is(err, unix.ESRCH) {
		return
	}
	t.err = errors.Join(t.err, refuseBuild(why))
}

// reaches reports whether a process can access the files of the shim. A process in a container may not.
func (t *tracer) reaches(pid int) bool {
	paths := []string{filepath.Join(t.bin, shimName), os.Getenv(shimObjEnv), os.Getenv(shimRootEnv)}
	return !slices.ContainsFunc(paths, func(path string) bool {
		here, err := os.Stat(path)
		there, thereErr := os.Stat(fmt.Sprintf("/proc/%d/root%s", pid, path))
		return err != nil || thereErr != nil || !os.SameFile(here, there)
	})
}
