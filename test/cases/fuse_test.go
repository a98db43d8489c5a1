// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
)

// TestServerStops has the program on a file system whose server stops, with the page of the site not in memory. An apply is
// refused when its time is up, be the patch loaded or not; other targets are patched meanwhile, and a status and an unload do
// without that page. When the server goes on, all works.
//
//machine:slow
//machine:needs CONFIG_FUSE_FS
func TestServerStops(t *testing.T) {
	loadKernels(t, "fuse", "")
	s := serve(t, "stacks")
	v, other := startCommand(t, exec.Command(s.path)), startVictim(t, "victim")
	c, rival := dial(t), dial(t)
	p, q := rawPatch(t, v.path, "value"), rawPatch(t, other.path, "value")
	transfer(t, c, p)
	transfer(t, rival, q)
	do(t, c, lpnl.VerbLoad, p, v.pid)

	s.stop() // from here on nobody looks at its files
	wantUnlooked(t, rival, v)
	apply := func(o lpnl.Options) error {
		_, err := c.Op(lpnl.VerbApply, p.Hash, lpnl.Target{PID: v.pid}, o)
		return err
	}
	patchOther := func() {
		do(t, rival, lpnl.VerbApply, q, other.pid)
		other.wantValue(2)
		do(t, rival, lpnl.VerbRestore, q, other.pid)
		do(t, rival, lpnl.VerbUnload, q, other.pid)
	}
	late := fmt.Sprintf("did not come into the memory of stacks[%d] in time", v.pid)
	// It sleeps, in functions of the scheduler, which the file stack leaves out.
	wantMeanwhileIn(t, v, "kthread", apply, "the page of value "+late, patchOther)
	do(t, c, lpnl.VerbUnload, p, v.pid)
	wantMeanwhileIn(t, v, "filemap_fault", apply, "the page of value "+late, patchOther)

	s.signal(syscall.SIGCONT)
	v.wantValue(1)
	do(t, c, lpnl.VerbApply, p, v.pid)
	v.wantValue(2)
	do(t, c, lpnl.VerbRestore, p, v.pid)
	do(t, c, lpnl.VerbUnload, p, v.pid)
	v.wantValue(1)
}

// wantUnlooked wants a status that says of a victim, the only target, that it was not looked at.
func wantUnlooked(t *testing.T, c *lpnl.Client, v *victim) {
	t.Helper()
	started := time.Now()
	r := wantStatus(t, c, 1)[0]
	if r.PID != v.pid || r.State != lpnl.StateLoaded || !strings.HasPrefix(r.Message, "its memory could not be looked at: ") {
		t.Fatalf("the status is %+v", r)
	}
	t.Logf("a status without a look took %v", time.Since(started).Round(time.Millisecond))
}

// server is a process that serves a file system with one file.
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   *os.File
	out  *bufio.Reader
	path string // of the file
}

// serve starts a server of one of the fixtures. It is a process of its own: one that starts a program of a file system that
// it serves itself waits for itself.
func serve(t *testing.T, name string) *server {
	t.Helper()
	dir := t.TempDir()
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, cmd: exec.Command("/proc/self/exe", "-test.run", "^TestHelperServe$"), in: w, path: filepath.Join(dir, name)}
	s.cmd.Env, s.cmd.Stdin, s.cmd.Stderr = []string{"SERVE=" + fixtures + name + " " + dir}, in, os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.out = bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		unix.Unmount(dir, unix.MNT_DETACH)
	})
	s.expect("serving")
	return s
}

func (s *server) expect(want string) {
	s.t.Helper()
	if line, err := s.out.ReadString('\n'); strings.TrimSpace(line) != want {
		s.t.Fatalf("the server says %q (%v), want %s", line, err, want)
	}
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// stop has all pages of the file dropped, and stops the server.
func (s *server) stop() {
	s.t.Helper()
	if _, err := s.in.WriteString("drop\n"); err != nil {
		s.t.Fatal(err)
	}
	s.expect("dropped")
	s.signal(syscall.SIGSTOP)
	waitFor(s.t, "the server to stop", func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
		return err == nil && strings.Contains(string(status), "\nState:\tT")
	})
}

// What is used of the protocol of linux/fuse.h, version 7.31.
const (
	fuseLookup     = 1
	fuseForget     = 2
	fuseGetattr    = 3
	fuseOpen       = 14
	fuseRead       = 15
	fuseRelease    = 18
	fuseFlush      = 25
	fuseInit       = 26
	fuseInterrupt  = 36
	fuseInvalInode = 2
	fuseKeepCache  = 2
	fuseRoot       = 1
	fuseFile       = 2
	fuseReadahead  = 128 << 10
	fuseAsyncRead  = 1       // most have it; without, nobody can ask for a page without waiting
	fuseForever    = 1 << 30 // seconds
)

// TestHelperServe is the server.
func TestHelperServe(t *testing.T) {
	var path, dir string
	if _, err := fmt.Sscan(os.Getenv("SERVE"), &path, &dir); err != nil {
		t.Skip("only for serve")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("lpatch", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40755,user_id=0,group_id=0", fd)); err != nil {
		t.Fatal(err)
	}
	go func() {
		fmt.Println("serving")
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			send(t, fd, fuseInvalInode, 0, uint64(fuseFile), int64(0), int64(0))
			fmt.Println("dropped")
		}
	}()
	for buf := make([]byte, 1<<20); ; {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOENT) { // ENOENT: the request was called off
			continue
		}
		if err != nil {
			return // unmounted
		}
		answer(t, fd, data, filepath.Base(path), buf[:n])
	}
}

// answer answers a request: length, opcode, unique, node, user, group, process, and what depends on the opcode.
func answer(t *testing.T, fd int, data []byte, name string, request []byte) {
	le := binary.LittleEndian
	unique, node, body := le.Uint64(request[8:]), le.Uint64(request[16:]), request[40:]
	reply := func(values ...any) { send(t, fd, 0, unique, values...) }
	switch le.Uint32(request[4:]) {
	case fuseInit:
		reply([2]uint32{7, 31}, uint32(fuseReadahead), uint32(fuseAsyncRead), uint32(0), uint32(128<<10), [10]uint32{})
	case fuseLookup:
		if string(body[:len(body)-1]) != name {
			send(t, fd, -int32(unix.ENOENT), unique)
			return
		}
		reply([4]uint64{fuseFile, 0, fuseForever, fuseForever}, uint64(0), attributes(fuseFile, len(data)))
	case fuseGetattr:
		reply([2]uint64{fuseForever, 0}, attributes(node, len(data)))
	case fuseOpen:
		reply(uint64(0), [2]uint32{fuseKeepCache})
	case fuseRead:
		from := min(le.Uint64(body[8:]), uint64(len(data)))
		to := min(from+uint64(le.Uint32(body[16:])), uint64(len(data)))
		reply(data[from:to])
	case fuseRelease, fuseFlush:
		reply()
	case fuseForget, fuseInterrupt: // have no answer
	default:
		send(t, fd, -int32(unix.ENOSYS), unique)
	}
}

// attributes are a struct fuse_attr.
func attributes(node uint64, size int) []any {
	mode := uint32(unix.S_IFREG | 0o755)
	if node == fuseRoot {
		mode = unix.S_IFDIR | 0o755
	}
	return []any{[6]uint64{node, uint64(size)}, [3]uint32{}, mode, uint32(1), [5]uint32{0, 0, 0, pageSize}}
}

// send writes a message with its header: length, error, unique.
func send(t *testing.T, fd int, code int32, unique uint64, values ...any) {
	var body []byte
	var put func(values []any)
	put = func(values []any) {
		for _, v := range values {
			if list, ok := v.([]any); ok {
				put(list)
				continue
			}
			var err error
			if body, err = binary.Append(body, binary.LittleEndian, v); err != nil {
				t.Error(err)
			}
		}
	}
	put(values)
	message, _ := binary.Append(nil, binary.LittleEndian, uint32(16+len(body)))
	message, _ = binary.Append(message, binary.LittleEndian, code)
	message, _ = binary.Append(message, binary.LittleEndian, unique)
	if _, err := unix.Write(fd, append(message, body...)); err != nil && !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
}
