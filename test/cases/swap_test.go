// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
)

const pageSize = 4096

// swapOn makes swap space on a RAM disk, and ends its use with the test.
func swapOn(t *testing.T) {
	t.Helper()
	const disk = "/dev/ram0"
	loadKernels(t, "brd", "rd_nr=1 rd_size=65536")
	f, err := os.OpenFile(disk, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Seek(0, 2)
	if err != nil {
		t.Fatal(err)
	}
	// union swap_header of <linux/swap.h>: version and last page behind a kilobyte of boot sector, the magic at the end.
	header := make([]byte, pageSize)
	binary.LittleEndian.PutUint32(header[1024:], 1)
	binary.LittleEndian.PutUint32(header[1028:], uint32(size/pageSize-1))
	copy(header[pageSize-10:], "SWAPSPACE2")
	if _, err := f.WriteAt(header, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	path, err := unix.BytePtrFromString(disk)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_SWAPON, uintptr(unsafe.Pointer(path)), 0, 0); errno != 0 {
		t.Fatalf("swapon: %v", errno)
	}
	t.Cleanup(func() {
		if _, _, errno := unix.Syscall(unix.SYS_SWAPOFF, uintptr(unsafe.Pointer(path)), 0, 0); errno != 0 {
			t.Errorf("swapoff: %v", errno)
		}
	})
}

// pager sends pages of a process to the swap space, from outside.
type pager struct {
	t     *testing.T
	pid   int
	pidfd int
	pages *os.File
}

func newPager(t *testing.T, pid int) *pager {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return &pager{t, pid, fd, open(t, fmt.Sprintf("/proc/%d/pagemap", pid))}
}

// out asks for the page at an address to be reclaimed. It may not be, if somebody uses it just now.
func (p *pager) out(addr uint64) {
	p.t.Helper()
	iov := [2]uint64{addr &^ (pageSize - 1), pageSize} // struct iovec, of an address over there
	_, _, errno := unix.Syscall6(unix.SYS_PROCESS_MADVISE, uintptr(p.pidfd), uintptr(unsafe.Pointer(&iov)), 1,
		unix.MADV_PAGEOUT, 0, 0)
	if errno != 0 {
		p.t.Errorf("process_madvise at %#x: %v", addr, errno)
	}
}

// isOut tells whether a page is in the swap space (Documentation/admin-guide/mm/pagemap.rst of the kernel).
func (p *pager) isOut(addr uint64) bool {
	p.t.Helper()
	b := make([]byte, 8)
	if _, err := p.pages.ReadAt(b, int64(addr/pageSize*8)); err != nil {
		p.t.Fatal(err)
	}
	return binary.LittleEndian.Uint64(b)>>62&1 == 1
}

// allOut sends pages out, and waits until they are.
func (p *pager) allOut(what string, addrs ...uint64) {
	p.t.Helper()
	waitFor(p.t, what+" to be swapped out", func() bool {
		out := 0
		for _, a := range addrs {
			if p.out(a); p.isOut(a) {
				out++
			}
		}
		return out == len(addrs)
	})
}

// stackPointers are those of the threads that sleep in a system call, without the main thread's.
func stackPointers(t *testing.T, pid int) []uint64 {
	t.Helper()
	dirs, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	var list []uint64
	for _, d := range dirs {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/syscall", pid, d.Name()))
		if err != nil {
			t.Fatal(err)
		}
		f := strings.Fields(string(b))
		if len(f) < 3 || d.Name() == strconv.Itoa(pid) {
			continue
		}
		sp, err := strconv.ParseUint(f[len(f)-2], 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, sp)
	}
	return list
}

// TestSwappedOut sends to the swap space, before each operation, what it needs: stacks of threads that sleep, the page
// with the site, which is private once it was patched, and the patch's own data.
//
//machine:preempts
func TestSwappedOut(t *testing.T) {
	swapOn(t)
	v := startVictim(t, "eintr") // its threads sleep for good
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	// A page of data, with a fix-up, so that it is private, and in use: the new function reads it.
	p.Segments = append(p.Segments, lpnl.Segment{Offset: 0, Vaddr: pageSize, Size: pageSize, Prot: lpnl.SegmentProtRead | lpnl.SegmentProtWrite})
	p.Fixups = []lpnl.Fixup{{Place: pageSize + 64, Addend: int64(p.Sites[0].Vaddr), Kind: lpnl.FixupKindAbs64}}
	transfer(t, c, p)
	mem := newPager(t, v.pid)
	site := imageBase(t, v.pid, v.path) + p.Sites[0].Vaddr
	stacks := stackPointers(t, v.pid)
	if len(stacks) != 16 {
		t.Fatalf("%d threads sleep, want 16", len(stacks))
	}
	r := do(t, c, lpnl.VerbLoad, p, v.pid)
	data := r.MappedAt + pageSize
	for i := range 5 {
		mem.allOut("stacks and data", append(stacks, data)...)
		do(t, c, lpnl.VerbCheck, p, v.pid)
		mem.allOut("stacks and data", append(stacks, data)...)
		do(t, c, lpnl.VerbApply, p, v.pid)
		mem.allOut("the site, stacks and data", append(stacks, data, site)...)
		v.wantValue(2)
		mem.allOut("the site", site)
		list, err := c.Status()
		if err != nil || len(list) != 1 || list[0].State != lpnl.StateApplied {
			t.Fatalf("status with the site swapped out, round %d: %+v, %v", i, list, err)
		}
		mem.allOut("the site, stacks and data", append(stacks, data, site)...)
		do(t, c, lpnl.VerbRestore, p, v.pid)
		mem.allOut("the site", site)
		v.wantValue(1)
	}
	if got := peekWord(t, v.pid, data+64); got != site {
		t.Fatalf("after all that the patch's data is %#x, want %#x", got, site)
	}
	mem.allOut("the site, stacks and data", append(stacks, data, site)...)
	do(t, c, lpnl.VerbUnload, p, v.pid)
	if got := v.ask("stats"); got != "stats threads 16 returned 0 eintr 0" {
		t.Fatal(got)
	}
}

// peekWord reads a word of a process.
func peekWord(t *testing.T, pid int, addr uint64) uint64 {
	t.Helper()
	b := make([]byte, 8)
	if _, err := open(t, fmt.Sprintf("/proc/%d/mem", pid)).ReadAt(b, int64(addr)); err != nil {
		t.Fatal(err)
	}
	return binary.LittleEndian.Uint64(b)
}

// TestSwapRace swaps out, again and again, the upper parts of stacks whose threads run now and then, and the page with the
// site. Another client's windows hold up this one's between its search of the stacks and its window, so that pages go and
// threads run in between: what is not there in a window is faulted in outside of it, and the window opened again.
//
//machine:preempts
func TestSwapRace(t *testing.T) {
	swapOn(t)
	v, other := startVictim(t, "victim", "-t", "4", "-m", "deep"), startVictim(t, "victim")
	c, rival := dial(t), dial(t)
	p, q := rawPatch(t, v.path, "value"), rawPatch(t, other.path, "value")
	transfer(t, c, p)
	transfer(t, rival, q)
	mem := newPager(t, v.pid)
	stacks := stackPointers(t, v.pid)
	site := imageBase(t, v.pid, v.path) + p.Sites[0].Vaddr
	setDelay(t, 20*time.Millisecond)
	stop, stopped := make(chan bool), make(chan bool)
	during := func(fn func()) {
		defer func() { stopped <- true }()
		for {
			select {
			case <-stop:
				return
			default:
				fn()
			}
		}
	}
	go during(func() { rival.Op(lpnl.VerbCheck, q.Hash, lpnl.Target{PID: other.pid}, rawOptions) })
	go during(func() {
		mem.out(site)
		for _, sp := range stacks {
			for page := range uint64(6) {
				mem.out(sp + (2+page)*pageSize)
			}
		}
		// An attempt takes some 60 ms. Some must meet what was taken away, and some must not.
		time.Sleep(time.Duration(rand.Int64N(int64(300 * time.Millisecond))))
	})
	again := 0
	for round := 0; round < 5 || round < 30 && again == 0; round++ {
		for _, verb := range []lpnl.Verb{lpnl.VerbCheck, lpnl.VerbApply, lpnl.VerbRestore} {
			r, err := c.Op(verb, p.Hash, lpnl.Target{PID: v.pid}, rawOptions)
			if err != nil {
				t.Errorf("%s: %v", verb, err)
			}
			again += max(0, r.Attempts-1)
		}
	}
	close(stop)
	<-stopped
	<-stopped
	do(t, c, lpnl.VerbUnload, p, v.pid)
	v.wantNoWrong()
	if again == 0 {
		t.Error("no window met a stack page that was not there")
	}
	t.Logf("%d windows were opened again", again)
}
