// SPDX-License-Identifier: GPL-2.0

// Package proc reads information from /proc about processes that may become targets. Parsing (parse.go) is separate from
// reading, and the mount point of /proc is a parameter.
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
	own  func() (mounts, error) // returns the current mounts visible to lpctl
}

// New returns the proc file system mounted on root, normally "/proc".
func New(root string) FS {
	return FS{root, machine.read}
}

// Process identifies a process by more than its PID.
type Process struct {
	PID       int
	Comm      string
	Threads   int
	StartTime uint64 // field 22 of /proc/PID/stat, in clock ticks since boot
}

// String returns the form used in messages: "redis-server[412]".
func (p Process) String() string { return fmt.Sprintf("%s[%d]", p.Comm, p.PID) }

// ErrNoProcess is wrapped by errors about a process that does not exist or has ended.
var ErrNoProcess = errors.New("no such process")

// errKernel is wrapped by errors about a kernel thread.
var errKernel = errors.New("a kernel thread")

// Error is a failed access to a process. Its message is a complete sentence.
type Error struct {
	Message string
	Err     error // error of package os, or ErrNoProcess
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func (f FS) path(pid int, name string) string { return filepath.Join(f.root, strconv.Itoa(pid), name) }

// explain converts an error about process pid to an *Error.
func explain(pid int, err error) error {
	switch {
	case gone(err):
		return &Error{Message: fmt.Sprintf("there is no process %d", pid), Err: ErrNoProcess}
	case errors.Is(err, fs.ErrPermission):
		return &Error{Message: fmt.Sprintf("not permitted to look at process %d; run lpctl as root", pid), Err: err}
	}
	return fmt.Errorf("process %d: %w", pid, err)
}

// Process returns the process that thread pid belongs to. The error wraps ErrNoProcess if there is none, or if it is a
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

// ThreadState returns the state of a thread, field 3 of /proc/PID/stat, such as 'S' or 'T'.
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

// Select returns the user-space processes for which match returns true, sorted by PID, and the errors for processes that
// could not be inspected. Processes that end in the meantime are omitted. match is called concurrently.
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

// Ended reports whether a process that could not be inspected, because of error why, has ended. While a process exits, /proc
// returns various errors. A start time of 0 is unknown.
func (f FS) Ended(p Process, why error) bool {
	if errors.Is(why, ErrNoProcess) {
		return true
	}
	now, err := f.Process(p.PID)
	if err == nil && !errors.Is(why, os.ErrDeadlineExceeded) { // an exiting process releases its memory first
		_, err = f.Maps(p.PID)
	}
	return errors.Is(err, ErrNoProcess) || p.StartTime != 0 && now.PID != 0 && now.StartTime != p.StartTime
}

// Each calls do with 0 to n-1, several at a time, because the inspection of a process may block.
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

// pids returns the PIDs of all thread groups in ascending order.
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

// ByExe returns the processes that execute the file at path, identified by inode and not by name. See Select for unseen. The
// error wraps fs.ErrNotExist if the file does not exist.
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
		if err != nil { // the device is known even of a file that root cannot access
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

// Exe returns the path of the program that a process executes, as reported by the kernel. The file may have been deleted.
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

// exe reads the link to the program that a process executes. Errors are those of Maps.
func (f FS) exe(pid int) (string, error) {
	path := f.path(pid, "exe")
	if _, err := os.Readlink(path); !gone(err) {
		return path, nil
	}
	tid, err := bounded(f, pid, func() (int, error) { return f.holder(pid), nil })
	return f.path(tid, "exe"), err
}

// Maps returns the file mappings of a process. An exiting process releases its memory before its PID; the absence of mappings
// is therefore an error that wraps ErrNoProcess, like the absence of the process.
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

// mapsOf reads the mappings as seen by one thread.
func (f FS) mapsOf(tid int) (*keeper, error) {
	file, err := os.Open(f.path(tid, "maps"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	k := &keeper{paths: map[string]string{}}
	return k, scanMaps(file, k.keep)
}

// holder returns a thread that has the memory of a process. If the main thread has exited while others run, /proc/PID shows
// no memory, but /proc/TID of the others does. Without such a thread, it returns the main thread. Reading waits for
// mmap_lock; see bounded.
func (f FS) holder(pid int) int {
	if f.hasMemory(pid) {
		return pid
	}
	return f.another(pid)
}

// another implements holder for a process whose main thread has no memory.
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

// hasMemory reports whether a thread has mappings.
func (f FS) hasMemory(tid int) bool {
	file, err := os.Open(f.path(tid, "maps"))
	if err != nil {
		return false
	}
	defer file.Close()
	n, err := file.Read(make([]byte, 1))
	return n > 0 || err != nil && !errors.Is(err, io.EOF) && !gone(err)
}

// gone reports whether an error says that a file in /proc does not exist or has no content any more.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) }

// maxPaths is the maximum total size in bytes of the paths that are kept: of executable mappings of a process, and of its
// other mappings.
const maxPaths = 8 << 20

// keeper collects file mappings. A process can have an arbitrary number of them, each with a path of thousands of bytes.
type keeper struct {
	any   bool
	list  []Mapping
	paths map[string]string
	bytes [2]int // path bytes of non-executable and executable mappings
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
		m.Path = "" // the paths of data mappings are not needed
	}
	k.list = append(k.list, m)
	return nil
}
