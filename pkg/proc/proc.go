// SPDX-License-Identifier: GPL-2.0

// Package proc tells what /proc says of the processes that may become targets. Parsing (parse.go) is apart from
// reading, and reading takes the directory that /proc is mounted on.
package proc

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// FS is a mounted proc file system.
type FS struct {
	root string
	own  func() (mounts, error) // that lpctl sees itself, as they are now
}

// New returns the proc file system mounted on root, "/proc" as a rule.
func New(root string) FS {
	return FS{root, machine.read}
}

// Process is a process, identified by more than its pid.
type Process struct {
	PID       int
	Comm      string
	Threads   int
	StartTime uint64 // field 22 of /proc/PID/stat, clock ticks after boot
}

// String is how messages name a process: "redis-server[412]".
func (p Process) String() string { return fmt.Sprintf("%s[%d]", p.Comm, p.PID) }

// ErrNoProcess is wrapped by errors about a process that does not exist or has ended.
var ErrNoProcess = errors.New("no such process")

// errKernel is wrapped by errors about a thread of the kernel.
var errKernel = errors.New("a kernel thread")

// Error is what kept us from a process, as a sentence.
type Error struct {
	Message string
	Err     error // what package os said, or ErrNoProcess
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func (f FS) path(pid int, name string) string { return filepath.Join(f.root, strconv.Itoa(pid), name) }

// explain makes a sentence of an error about process pid.
func explain(pid int, err error) error {
	switch {
	case gone(err):
		return &Error{Message: fmt.Sprintf("there is no process %d", pid), Err: ErrNoProcess}
	case errors.Is(err, fs.ErrPermission):
		return &Error{Message: fmt.Sprintf("not permitted to look at process %d; run lpctl as root", pid), Err: err}
	}
	return fmt.Errorf("process %d: %w", pid, err)
}

// Process returns the process that thread pid belongs to. The error wraps ErrNoProcess when there is none, also for a
// zombie.
func (f FS) Process(pid int) (Process, error) {
	status, err := os.ReadFile(f.path(pid, "status"))
	if err != nil {
		return Process{}, explain(pid, err)
	}
	leader, err := strconv.Atoi(ParseStatus(string(status))["Tgid"])
	if err != nil {
		return Process{}, fmt.Errorf("process %d: status has no Tgid", pid)
	}
	text, err := os.ReadFile(f.path(leader, "stat"))
	if err != nil {
		return Process{}, explain(pid, err)
	}
	s, err := ParseStat(string(text))
	if err != nil {
		return Process{}, fmt.Errorf("process %d: %w", pid, err)
	}
	p := Process{PID: s.PID, Comm: s.Comm, Threads: s.Threads, StartTime: s.StartTime}
	if s.Kernel {
		return p, &Error{Message: fmt.Sprintf("%v is a kernel thread, which has no user-space code to patch", p), Err: errKernel}
	}
	if s.State == 'Z' && s.Threads <= 1 {
		return p, &Error{Message: fmt.Sprintf("%v has ended and only waits for its parent", p), Err: ErrNoProcess}
	}
	return p, nil
}

// ThreadState returns the state of a thread as field 3 of /proc/PID/stat has it, such as 'S' or 'T'.
func (f FS) ThreadState(tid int) (byte, error) {
	text, err := os.ReadFile(f.path(tid, "stat"))
	if err != nil {
		return 0, explain(tid, err)
	}
	s, err := ParseStat(string(text))
	if err != nil {
		return 0, fmt.Errorf("thread %d: %w", tid, err)
	}
	return s.State, nil
}

// Select returns the user-space processes that match, by pid, and what kept it from those that it could not look at: of
// them it is not known. One that ends meanwhile is left out. It calls match for several at a time.
func (f FS) Select(match func(Process) (bool, error)) (list []Process, unseen []error, err error) {
	pids, err := f.pids()
	if err != nil {
		return nil, nil, err
	}
	found, errs := make([]*Process, len(pids)), make([]error, len(pids))
	Each(len(pids), func(i int) {
		p, err := f.Process(pids[i])
		ok := false
		if err == nil {
			ok, err = match(p)
		}
		if ok {
			found[i] = &p
		} else if err != nil && !errors.Is(err, errKernel) && !f.Ended(cmp.Or(p, Process{PID: pids[i]}), err) {
			errs[i] = err
		}
	})
	for i := range pids {
		switch {
		case found[i] != nil:
			list = append(list, *found[i])
		case errs[i] != nil:
			unseen = append(unseen, errs[i])
		}
	}
	return list, unseen, nil
}

// Ended tells whether a process that could not be looked at, and why, has ended: while it does, /proc has other errors, too, than
// that there is none. A start time of 0 is not known.
func (f FS) Ended(p Process, why error) bool {
	if errors.Is(why, ErrNoProcess) {
		return true
	}
	now, err := f.Process(p.PID)
	if err == nil && !errors.Is(why, os.ErrDeadlineExceeded) { // what ends gives up its memory first
		_, err = f.Maps(p.PID)
	}
	return errors.Is(err, ErrNoProcess) || p.StartTime != 0 && now.PID != 0 && now.StartTime != p.StartTime
}

// Each calls do for 0 to n-1, several at a time: looking at some processes is waiting.
func Each(n int, do func(i int)) {
	next := make(chan int)
	var all sync.WaitGroup
	for range min(n, 32+runtime.NumCPU()) {
		all.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
}

// pids returns the pids of all thread groups, in ascending order.
func (f FS) pids() ([]int, error) {
	dir, err := os.Open(f.root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	return numbers(names), nil
}

// ByExe returns the processes whose program is the file at path: the same inode, under whatever name. See Select for what
// could not be looked at. The error wraps fs.ErrNotExist if there is no such file.
func (f FS) ByExe(path string) (list []Process, unseen []error, err error) {
	want, err := statx(unix.AT_FDCWD, path, 0)
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, nil, fmt.Errorf("%w (%w)", err, fs.ErrNotExist)
	}
	if err != nil {
		return nil, nil, err
	}
	return f.Select(func(p Process) (bool, error) {
		path, err := f.exe(p.PID)
		if err != nil {
			return false, err
		}
		exe, err := statx(unix.AT_FDCWD, path, 0)
		if err != nil { // of what root may not look at, the device is known
			exe, err = statxOf(unix.AT_FDCWD, path, 0, 0)
		}
		switch same := exe.Dev_major == want.Dev_major && exe.Dev_minor == want.Dev_minor; {
		case err != nil:
			return false, explain(p.PID, err)
		case same && exe.Mask&unix.STATX_INO == 0:
			return false, fmt.Errorf("process %d: its program may not be looked at", p.PID)
		default:
			return same && exe.Ino == want.Ino, nil
		}
	})
}

// Exe is the path of the program that a process runs, as the kernel names it; the file may have been deleted since.
func (f FS) Exe(pid int) (string, error) {
	path, err := f.exe(pid)
	if err != nil {
		return "", err
	}
	to, err := os.Readlink(path)
	if err != nil {
		return "", explain(pid, err)
	}
	return strings.TrimSuffix(to, " (deleted)"), nil
}

// exe is the link to the program that a process runs. The error is one of those of Maps.
func (f FS) exe(pid int) (string, error) {
	path := f.path(pid, "exe")
	if _, err := os.Readlink(path); !gone(err) {
		return path, nil
	}
	tid, err := bounded(f, pid, func() (int, error) { return f.holder(pid), nil })
	return f.path(tid, "exe"), err
}

// Maps returns the mappings of a process that have a file. One that is ending gives up its memory before its pid: that it has
// none is an error that wraps ErrNoProcess, as is the absence of the process.
func (f FS) Maps(pid int) ([]Mapping, error) {
	return bounded(f, pid, func() ([]Mapping, error) { return f.maps(pid) })
}

func (f FS) maps(pid int) ([]Mapping, error) {
	k, err := f.mapsOf(pid)
	if err == nil && !k.any || gone(err) {
		if tid := f.another(pid); tid != pid {
			k, err = f.mapsOf(tid)
		}
	}
	if err != nil {
		return nil, explain(pid, err)
	}
	if !k.any {
		return nil, &Error{Message: fmt.Sprintf("process %d has ended", pid), Err: ErrNoProcess}
	}
	return k.list, nil
}

// mapsOf reads the mappings as one thread has them.
func (f FS) mapsOf(tid int) (*keeper, error) {
	file, err := os.Open(f.path(tid, "maps"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	k := &keeper{paths: map[string]string{}}
	return k, scanMaps(file, k.keep)
}

// holder is a thread that has the memory of a process: the main thread may have ended, and then /proc/PID has none, while others run
// on, which /proc/TID tells of. It is the main thread if there is none. Reading waits for the lock of the mappings; see bounded.
func (f FS) holder(pid int) int {
	if f.hasMemory(pid) {
		return pid
	}
	return f.another(pid)
}

// another is holder for a process of which the main thread has no memory.
func (f FS) another(pid int) int {
	tasks, err := os.ReadDir(f.path(pid, "task"))
	if err != nil {
		return pid
	}
	for _, t := range tasks {
		if tid, err := strconv.Atoi(t.Name()); err == nil && tid != pid && f.hasMemory(tid) {
			return tid
		}
	}
	return pid
}

// hasMemory tells whether a thread maps something.
func (f FS) hasMemory(tid int) bool {
	file, err := os.Open(f.path(tid, "maps"))
	if err != nil {
		return false
	}
	defer file.Close()
	n, err := file.Read(make([]byte, 1))
	return n > 0 || err != nil && !errors.Is(err, io.EOF) && !gone(err)
}

// gone tells whether /proc has nothing of that name, or nothing to say of it any more.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) }

// maxPaths bounds, in bytes, the names that are kept of the files that a process maps executable, and of the others.
const maxPaths = 8 << 20

// keeper keeps mappings that have a file. A process can have as many as it likes, each with a name of thousands of bytes.
type keeper struct {
	any   bool
	list  []Mapping
	paths map[string]string
	bytes [2]int // of those that are not executable, and of those that are
}

func (k *keeper) keep(m Mapping) error {
	k.any = true
	if m.Inode == 0 {
		return nil
	}
	path, known := k.paths[m.Path]
	used := &k.bytes[0]
	if m.Exec {
		used = &k.bytes[1]
	}
	switch {
	case known:
		m.Path = path
	case *used+len(m.Path) <= maxPaths:
		*used += len(m.Path)
		m.Path = strings.Clone(m.Path)
		k.paths[m.Path] = m.Path
	case m.Exec:
		return fmt.Errorf("the names of what it maps executable have more than %d bytes", maxPaths)
	default:
		m.Path = "" // of data nobody asks for it
	}
	k.list = append(k.list, m)
	return nil
}
