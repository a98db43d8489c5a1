package apply

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// pages reads a file by mapping it. On some file systems (XFS), read(2) waits for whoever writes to the file, who can take as long as
// he likes over a page of what he writes; a page fault does not. But a page fault in a hole of a file in memory makes a page of it,
// which is charged to who reads and stays as long as the file does: such files are read with read(2), which makes none and waits
// for nobody there.
type pages struct {
	file     *os.File
	size     int64
	inMemory bool
}

// inMemory tells whether a file has its content in memory only: tmpfs and memfd_create(2), ramfs, huge pages.
func inMemory(f *os.File) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return false, &os.PathError{Op: "fstatfs", Path: f.Name(), Err: err}
	}
	return st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC || st.Type == unix.HUGETLBFS_MAGIC, nil
}

func newPages(f *os.File) (*pages, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", f.Name())
	}
	memory, err := inMemory(f)
	return &pages{f, st.Size(), memory}, err
}

// ReadAt implements io.ReaderAt.
func (p *pages) ReadAt(d []byte, off int64) (n int, err error) {
	if off < 0 || off >= p.size {
		return 0, io.EOF
	}
	short := int64(len(d)) > p.size-off
	if short {
		d = d[:p.size-off]
	}
	if len(d) == 0 {
		return 0, nil
	}
	if p.inMemory {
		if n, err = p.file.ReadAt(d, off); err != nil {
			return n, err
		}
	} else if err = p.fault(d, off); err != nil {
		return 0, err
	}
	if short {
		return len(d), io.EOF
	}
	return len(d), nil
}

// fault reads what is there of the file by page faults.
func (p *pages) fault(d []byte, off int64) error {
	start := off &^ (int64(os.Getpagesize()) - 1)
	window, err := unix.Mmap(int(p.file.Fd()), start, int(off-start)+len(d), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return &os.PathError{Op: "mmap", Path: p.file.Name(), Err: err}
	}
	defer func() { _ = unix.Munmap(window) }()
	if err := carefully(d, window[off-start:]); err != nil {
		return &os.PathError{Op: "read", Path: p.file.Name(), Err: err}
	}
	return nil
}

// carefully copies what may not be there any more: a file can be cut off while it is read, and disks fail.
func carefully(to, from []byte) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = errors.New("a part of it is gone or cannot be read")
		}
	}()
	copy(to, from)
	return nil
}
