// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestPages reads a file as it is, and one that is cut off meanwhile without dying of it.
func TestPages(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcde\n"), 1024)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	memory := memory(t, 0)
	if _, err := memory.Write(data); err != nil {
		t.Fatal(err)
	}
	readPages(t, data, f)
	readPages(t, data, memory)

	p := &pages{file: f, size: int64(len(data))}
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	if n, err := p.ReadAt(make([]byte, 10), 8000); n != 0 || err == nil || err.Error() != "read "+path+": a part of it is gone or cannot be read" {
		t.Errorf("of what was cut off: %d, %v", n, err)
	}
}

func readPages(t *testing.T, data []byte, f *os.File) {
	t.Helper()
	p, err := newPages(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ off, n, want int }{{0, 20, 20}, {4090, 10, 10}, {5000, 0, 0}, {16380, 10, 4}, {16384, 1, 0}, {1 << 40, 1, 0}, {-1, 1, 0}} {
		d := make([]byte, c.n)
		n, err := p.ReadAt(d, int64(c.off))
		if n != c.want || errors.Is(err, io.EOF) != (n < c.n) || n > 0 && !bytes.Equal(d[:n], data[c.off:c.off+n]) {
			t.Errorf("%d bytes at %d: %d, %v", c.n, c.off, n, err)
		}
	}
}

// memory is a file in memory.
func memory(t *testing.T, flags int) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("prog", unix.MFD_CLOEXEC|flags)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "memfd:prog")
	t.Cleanup(func() { f.Close() })
	return f
}

// TestHostileHoles reads holes of files in memory: they stay holes. Pages that are made there would be charged to root, and nothing
// but the file's owner would free them.
func TestHostileHoles(t *testing.T) {
	const size = 64 << 20
	for name, flags := range map[string]int{"memory": 0, "huge pages": unix.MFD_HUGETLB} {
		f := memory(t, flags)
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		p, err := newPages(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, off := range []int64{0, 12345, size - 100} {
			d := bytes.Repeat([]byte{1}, 100)
			if n, err := p.ReadAt(d, off); n != len(d) || err != nil || !bytes.Equal(d, make([]byte, len(d))) {
				t.Errorf("%s: at %d: %d, %v, %x", name, off, n, err, d)
			}
		}
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Blocks != 0 {
			t.Errorf("%s: reading holes has made %d blocks; %v", name, st.Blocks, err)
		}
	}
}

// TestHostileRamfs reads holes as on ramfs, where read(2) would fill them, too: what is not in memory stays so.
func TestHostileRamfs(t *testing.T) {
	const page, count = 4096, 8
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data := make([]byte, page*count)
	copy(data[3*page:], bytes.Repeat([]byte{7}, page))
	_, err = f.WriteAt(data[3*page:4*page], 3*page)
	if err = errors.Join(err, f.Truncate(page*count)); err != nil {
		t.Fatal(err)
	}
	p := &pages{file: f, size: page * count, system: unix.RAMFS_MAGIC}
	for _, c := range [][2]int{{0, page * count}, {10, 20}, {3*page - 5, page + 10}, {3*page + 5, 10}} {
		d := bytes.Repeat([]byte{1}, c[1])
		if _, err := p.ReadAt(d, int64(c[0])); err != nil || !bytes.Equal(d, data[c[0]:c[0]+c[1]]) {
			t.Errorf("%v: %v, or other bytes", c, err)
		}
	}
	window, err := unix.Mmap(int(f.Fd()), 0, page*count, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(window) }()
	there := make([]byte, count)
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&window[0])), page*count, uintptr(unsafe.Pointer(&there[0]))); errno != 0 {
		t.Fatal(errno)
	}
	if !bytes.Equal(there, []byte{0, 0, 0, 1, 0, 0, 0, 0}) {
		t.Errorf("in memory are the pages %v, of which only one was written", there)
	}
}
