// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/applytest"
)

// mapMitigation maps a mitigation into this process as the kernel would, and returns where, and what has the word that counts.
func mapMitigation(t *testing.T, size int64) (at uint64, memory []byte) {
	t.Helper()
	spec, err := applytest.Mitigation("m", "/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	mapPage(t, "/bin/sleep") // as who runs it does
	path := filepath.Join(t.TempDir(), "m.lp")
	if err := applytest.Write(path, spec); err != nil {
		t.Fatal(err)
	}
	if size > 0 {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	memory, err = unix.Mmap(int(f.Fd()), 0, patch.MitigationSpan, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(memory) })
	if err := unix.Mprotect(memory[2*4096:], unix.PROT_READ|unix.PROT_WRITE); err != nil {
		t.Fatal(err)
	}
	return uint64(uintptr(unsafe.Pointer(&memory[0]))), memory
}

// TestHits reads what a mitigation has counted, and does not take anything else for that.
func TestHits(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("opening what a process maps needs CAP_SYS_ADMIN")
	}
	self := fmt.Sprintf("process %d has something else where the patch counts", os.Getpid())
	for _, c := range []struct {
		name   string
		size   int64 // of the file, 0: as it is
		change func(r *lpnl.Report, memory []byte)
		want   string
	}{
		{"counted", 0, func(*lpnl.Report, []byte) {}, "main return 0 77 <nil>"},
		{"more functions", 0, func(r *lpnl.Report, _ []byte) { r.Functions = 2 }, "none"},
		{"a value", 0, func(r *lpnl.Report, _ []byte) { r.Values = 1 }, "none"},
		{"another size", 0, func(r *lpnl.Report, _ []byte) { r.MappedBytes += 4096 }, "none"},
		{"another place", 0, func(r *lpnl.Report, _ []byte) { r.MappedAt += 4096 }, "none"},
		{"ended", 0, func(r *lpnl.Report, _ []byte) { r.PID = 1 << 30 }, "none"},
		{"another patch", 0, func(r *lpnl.Report, _ []byte) { r.Hash[0]++ }, "none"},
		{"too large", maxMitigation + 4096, func(*lpnl.Report, []byte) {}, "none"},
		{"unmapped", 0, func(_ *lpnl.Report, memory []byte) { remap(t, memory, unix.PROT_NONE, "") }, "main return 0 0 " + self},
		{"something else", 0, func(_ *lpnl.Report, memory []byte) { remap(t, memory, unix.PROT_READ, "") }, "main return 0 0 " + self},
		{"another file", 0, func(_ *lpnl.Report, memory []byte) { remap(t, memory, unix.PROT_READ, "/proc/self/exe") }, "main return 0 0 " + self},
		{"another part of the file", 0, func(_ *lpnl.Report, memory []byte) { moveOver(t, memory) }, "main return 0 0 " + self},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, memory := mapMitigation(t, c.size)
			binary.LittleEndian.PutUint64(memory[2*4096:], 77)
			r := lpnl.Report{Patch: "m", PID: os.Getpid(), Functions: 1, MappedAt: at, MappedBytes: patch.MitigationSpan, Hash: hashOf(t, proc.New("/proc"), at)}
			c.change(&r, memory)
			got := "none"
			if m := New(nil, proc.New("/proc")).Mitigations([]lpnl.Report{r})[0]; m != nil {
				got = fmt.Sprint(m.Function, " ", m.Action, " ", m.Hits, " ", m.Err)
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// remap puts other memory in the place of the word that counts, or what another file has there.
func remap(t *testing.T, memory []byte, prot uintptr, path string) {
	t.Helper()
	flags, fd := uintptr(unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED), ^uintptr(0)
	if path != "" {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		flags, fd = unix.MAP_PRIVATE|unix.MAP_FIXED, f.Fd()
	}
	_, _, errno := syscall.Syscall6(unix.SYS_MMAP, uintptr(unsafe.Pointer(&memory[2*4096])), 4096, prot, flags, fd, 2*4096)
	if errno != 0 {
		t.Fatal(errno)
	}
}

// moveOver has the page in front in the place of the word that counts.
func moveOver(t *testing.T, memory []byte) {
	t.Helper()
	_, _, errno := syscall.Syscall6(unix.SYS_MREMAP, uintptr(unsafe.Pointer(&memory[4096])), 4096, 4096, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, uintptr(unsafe.Pointer(&memory[2*4096])), 0)
	if errno != 0 {
		t.Fatal(errno)
	}
}
