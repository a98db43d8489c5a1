// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lpatch/pkg/lpelf"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
)

// fuzzWorkers is how many sockets are used at once.
const fuzzWorkers = 4

// TestFuzz sends the family what the contract allows, mutations of it, and noise, for FUZZTIME (default 15 s), from
// FUZZSEED. FUZZTRACE=1 prints each message before it is sent. Afterwards a target that got only proper patches has
// computed nothing wrong, nothing is left in the module, and it can be removed. The harness looks at the kernel's log.
//
// What it does cannot hurt the machine. A process is patched only if it executes an image of the patch, and images are
// named by descriptors. While messages are made up, the fuzzer has no descriptor of any file that anybody executes but
// the wild target, which wantHarmless() sees to; so whatever pid a message names, of init or of the fuzzer, is refused. The
// wild target, which executes what came of mutated patches, is nobody's (uid 65534), with limits. The patches of the
// target that is looked at were transferred before.
//
//machine:only 6.12
func TestFuzz(t *testing.T) {
	f := newFuzzer(t)
	c := dial(t)
	kept := startVictim(t, "victim", "-t", "3", "-m", "sleep")
	f.keep(t, c, kept)
	events, err := lpnl.DialEvents() // nobody reads them: the socket overflows
	if err != nil {
		t.Fatal(err)
	}
	f.openWild(t)
	f.wantHarmless(t)
	var all sync.WaitGroup
	for i := range fuzzWorkers {
		w := f.newWorker(i)
		all.Go(func() {
			for !f.over() {
				w.step()
			}
			unix.Close(w.fd)
		})
	}
	for !f.over() {
		wantEither(t, kept, "value")
		wantEither(t, kept, "straddle")
		f.wild.revive(t)
		time.Sleep(50 * time.Millisecond)
	}
	all.Wait()
	events.Close()
	f.report(t)
	kept.wantNoWrong()
	f.wild.stop()
	f.putBack(t, c, kept)
	c.Close()
	wantNothingLeft(t)
	removeModule(t)
}

// fuzzer is what all workers share.
type fuzzer struct {
	seed   uint64
	end    time.Time // or later, until enough was done
	last   time.Time // but not later
	trace  bool
	family uint16
	kept   []lpnl.Hash
	pid    int // of the target that is kept
	wild   *wild
	fds    []uint32
	known  map[string][][]byte

	mu     sync.Mutex
	hashes []lpnl.Hash    // of patches that were sealed, the last ones
	counts map[string]int // of what became of messages
}

func newFuzzer(t *testing.T) *fuzzer {
	f := &fuzzer{seed: uint64(time.Now().UnixNano()), counts: map[string]int{}, trace: os.Getenv("FUZZTRACE") != ""}
	length := 15 * time.Second
	var err error
	if s := os.Getenv("FUZZTIME"); s != "" {
		if length, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	if s := os.Getenv("FUZZSEED"); s != "" {
		if f.seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("FUZZSEED=%d FUZZTIME=%v", f.seed, length)
	f.end, f.last = time.Now().Add(length), time.Now().Add(length+2*time.Minute)
	_, family := dialFamily(t)
	f.family = family.ID
	return f
}

// keep transfers two proper patches for a target, and closes all files that they are made of.
func (f *fuzzer) keep(t *testing.T, c *lpnl.Client, v *victim) {
	f.pid = v.pid
	for _, symbol := range []string{"value", "straddle"} {
		p := rawPatch(t, v.path, symbol)
		transfer(t, c, p)
		f.kept = append(f.kept, p.Hash)
		p.File.Close()
		p.Images[0].File.Close()
	}
}

// putBack undoes the patches of the target that is kept, in whatever state they are.
func (f *fuzzer) putBack(t *testing.T, c *lpnl.Client, v *victim) {
	for _, hash := range f.kept {
		for _, step := range []struct {
			verb lpnl.Verb
			fine []lpnl.Refusal
		}{
			{lpnl.VerbRestore, []lpnl.Refusal{lpnl.RefusalNotLoaded, lpnl.RefusalNotApplied, lpnl.RefusalAlready}},
			{lpnl.VerbUnload, []lpnl.Refusal{lpnl.RefusalNotLoaded}},
		} {
			_, err := c.Op(step.verb, hash, lpnl.Target{PID: v.pid}, rawOptions)
			var refused *lpnl.Refused
			if err != nil && (!errors.As(err, &refused) || !strings.Contains(fmt.Sprint(step.fine), refused.Report.Refusal.String())) {
				t.Fatalf("%s: %v", step.verb, err)
			}
		}
	}
	v.wantValue(1)
	if got := v.ask("straddle"); got != "value 1" {
		t.Fatalf("after all is restored the victim says %q to straddle, want value 1", got)
	}
	v.wantNoWrong()
	v.ask("quit")
	v.cmd.Wait()
}

// wantEither asks a function that may be patched at the moment.
func wantEither(t *testing.T, v *victim, command string) {
	t.Helper()
	if got := v.ask(command); got != "value 1" && got != "value 2" {
		t.Fatalf("the victim says %q to %s, want value 1 or value 2", got, command)
	}
}

// wantNothingLeft waits until the module has forgotten everything.
func wantNothingLeft(t *testing.T) {
	t.Helper()
	c := dial(t)
	defer c.Close()
	var info lpnl.Info
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if info, err = c.Info(); err != nil {
			t.Fatal(err)
		}
		if info.Patches == 0 && info.Targets == 0 && info.Gates == 0 {
			return
		}
	}
	t.Fatalf("all sockets are closed and all targets gone, and the module still has %d patches, %d targets, %d gates", info.Patches, info.Targets, info.Gates)
}

// wild is a target that executes what comes of mutated patches, and dies of it now and then.
type wild struct {
	dir, path string
	mu        sync.Mutex
	cmd       *exec.Cmd
	in        io.Closer
	died      chan struct{}
	deaths    int
}

// openWild starts the wild target, and opens what mutated patches are made of: its file, a patch file of code that
// returns at once wherever one enters it, and descriptors that no patch or image can be.
func (f *fuzzer) openWild(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "wild")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, err := os.ReadFile(fixtures + "victim")
	if err != nil {
		t.Fatal(err)
	}
	f.wild = &wild{dir: dir, path: filepath.Join(dir, "wild")}
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(f.wild.path, program, 0o755)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.wild.stop)
	f.wild.revive(t)
	p := rawPatchWith(t, f.wild.path, "value", bytes.Repeat([]byte{0xc3}, 4096)) // ret
	addRawSite(t, p, f.wild.path, "straddle")
	f.known = knownValues(p)
	f.fds = f.oddFDs(t, p)
}

// revive starts the wild target if it does not run.
func (w *wild) revive(t *testing.T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cmd != nil {
		select {
		case <-w.died:
			w.deaths++
		default:
			return
		}
		w.in.Close()
	}
	w.cmd = exec.Command(w.path, "-t", "3", "-m", "sleep")
	w.cmd.Dir = w.dir
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	in, err := w.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.in = in
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for resource, limit := range map[int]uint64{unix.RLIMIT_NPROC: 64, unix.RLIMIT_AS: 2 << 30, unix.RLIMIT_FSIZE: 0, unix.RLIMIT_CORE: 0} {
		if err := unix.Prlimit(w.cmd.Process.Pid, resource, &unix.Rlimit{Cur: limit, Max: limit}, nil); err != nil {
			t.Fatal(err)
		}
	}
	cmd, died := w.cmd, make(chan struct{})
	w.died = died
	go func() {
		cmd.Wait()
		close(died)
	}()
}

func (w *wild) pid() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cmd.Process.Pid
}

func (w *wild) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cmd.Process.Kill()
	<-w.died
}

// knownValues are those of a proper patch of the wild target, by the names of the contract.
func knownValues(p *lpnl.Patch) map[string][][]byte {
	im, seg, f := p.Images[0], p.Segments[0], p.Functions[0]
	known := map[string][][]byte{
		"name": {[]byte("wild\x00")}, "fd": {u32(uint32(p.File.Fd()))},
		"max-stop": {u64(longestStop)}, "timeout": {u64(0), u64(longestWait)},
		"start-time": {u64(0)}, "allow-active": {[]byte("value\x00")},
		"image.name": {[]byte("wild\x00")}, "image.fd": {u32(uint32(im.File.Fd()))}, "image.flags": {u32(uint32(im.Flags))},
		"image.text-offset": {u64(im.TextOffset)}, "image.text-vaddr": {u64(im.TextVaddr)},
		"image.span-start": {u64(im.SpanStart)}, "image.span-end": {u64(im.SpanEnd)},
		"segment.offset": {u64(seg.Offset)}, "segment.vaddr": {u64(seg.Vaddr)}, "segment.size": {u64(seg.Size)}, "segment.prot": {u32(uint32(seg.Prot))},
		"site.kind": {u32(uint32(lpnl.SiteKindJump))}, "site.image": {u32(0)}, "site.target": {u64(0)}, "site.new": {{0xc3, 0xc3, 0xc3, 0xc3, 0xc3}},
		"site.symbol": {[]byte("value\x00")}, "site.vaddr": {u64(p.Sites[0].Vaddr)}, "site.old": {p.Sites[0].Old},
		"function.symbol": {[]byte("value\x00")}, "function.image": {u32(0)}, "function.start": {u64(f.Start)}, "function.end": {u64(f.End)},
		"fixups": {fixup(8, int64(lpnl.FixupKindAbs64)), fixup(64, int64(lpnl.FixupKindPc32))},
	}
	if head, err := lpelf.ReadHead(im.File); err == nil {
		known["image.build-id"] = [][]byte{head.BuildID}
	}
	return known
}

// fixup is an entry of the table, of the patch itself.
func fixup(place uint64, kind int64) []byte {
	b := u64(place)
	b = append(b, u64(0)...)
	b = append(b, u32(0xffffffff)...)
	return append(b, u32(uint32(kind))...)
}

// oddFDs opens what no patch file or image should be, and some that one could be.
func (f *fuzzer) oddFDs(t *testing.T, p *lpnl.Patch) []uint32 {
	t.Helper()
	var list []uint32
	add := func(fd int, err error) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, uint32(fd))
		t.Cleanup(func() { unix.Close(fd) })
	}
	pipe := make([]int, 2)
	if err := unix.Pipe2(pipe, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	add(pipe[0], nil)
	add(pipe[1], nil)
	for _, file := range []struct {
		path  string
		flags int
	}{
		{"/dev/zero", unix.O_RDWR}, {"/proc/self/maps", unix.O_RDONLY}, {"/", unix.O_RDONLY | unix.O_DIRECTORY},
		{f.wild.path, unix.O_PATH}, {"/sys/kernel/notes", unix.O_RDONLY},
	} {
		add(unix.Open(file.path, file.flags|unix.O_CLOEXEC, 0))
	}
	memory, err := unix.MemfdCreate("fuzz", unix.MFD_CLOEXEC)
	add(memory, err)
	if err := unix.Ftruncate(memory, 1<<40); err != nil {
		t.Fatal(err)
	}
	add(unix.Eventfd(0, unix.EFD_CLOEXEC))
	add(unix.EpollCreate1(unix.EPOLL_CLOEXEC))
	add(unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_GENERIC))
	return append(list, uint32(p.File.Fd()), uint32(p.Images[0].File.Fd()), 100000, 1<<31-1, 1<<32-1)
}

// wantHarmless fails if the fuzzer has a file open that another process executes, but for the wild target.
func (f *fuzzer) wantHarmless(t *testing.T) {
	t.Helper()
	executed := map[string]string{}
	dirs, err := filepath.Glob("/proc/[0-9]*/maps")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range dirs {
		text, err := os.Open(path)
		if err != nil || path == fmt.Sprintf("/proc/%d/maps", f.wild.pid()) {
			continue
		}
		list, err := proc.ParseMaps(text)
		text.Close()
		if err != nil {
			continue // the process has ended
		}
		for _, m := range list {
			if m.Exec && m.Inode != 0 {
				executed[fmt.Sprintf("%s %d", m.Dev, m.Inode)] = path
			}
		}
	}
	if len(executed) == 0 {
		t.Fatal("nobody executes anything")
	}
	for fd := range 1 << 10 {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil {
			continue
		}
		if who := executed[fmt.Sprintf("%02x:%02x %d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)]; who != "" {
			t.Fatalf("descriptor %d is a file that is executed by %s", fd, who)
		}
	}
}

// missing is what too few messages did for the test to have meant anything, or "".
func (f *fuzzer) missing() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, what := range []string{"sealed", "wild apply", "wild restore", "wild unload", "kept apply", "kept restore", "kept unload"} {
		if f.counts[what] < 3 {
			return what
		}
	}
	return ""
}

// over tells whether enough was sent. On a slow machine that takes longer.
func (f *fuzzer) over() bool {
	now := time.Now()
	return now.After(f.end) && (f.missing() == "" || now.After(f.last))
}

// report tells what became of the messages.
func (f *fuzzer) report(t *testing.T) {
	t.Helper()
	f.wild.mu.Lock()
	t.Logf("the wild target died %d times; of the messages became:", f.wild.deaths)
	f.wild.mu.Unlock()
	var lines []string
	for what, count := range f.counts {
		lines = append(lines, fmt.Sprintf("%6d %s", count, what))
	}
	slices.Sort(lines)
	t.Log(strings.Join(lines, "\n"))
	if what := f.missing(); what != "" {
		t.Errorf("%d messages, and only %d times %q", f.counts["messages"], f.counts[what], what)
	}
}
