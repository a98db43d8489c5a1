// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pages reads a file by mapping it. On some file systems (XFS), read(2) waits for whoever writes to the file, who can take as long as
// he likes over a page of what he writes; a page fault does not. But a page fault in a hole of a file in memory makes a page of it,
// which is charged to who reads and stays as long as the file does. So such files are read in a way that makes none.
type pages struct {
	file   *os.File
	size   int64
	system uint32 // that the file is on, as statfs(2) has it
}

func newPages(f *os.File) (*pages, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", f.Name())
	}
	var on unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &on); err != nil {
		return nil, &os.PathError{Op: "fstatfs", Path: f.Name(), Err: err}
	}
	return &pages{f, st.Size(), uint32(on.Type)}, nil
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
	switch p.system {
	case unix.TMPFS_MAGIC, unix.HUGETLBFS_MAGIC: // read(2) waits for nobody there
		if n, err = p.file.ReadAt(d, off); err != nil {
			return n, err
		}
	default:
		if err = p.fault(d, off); err != nil {
			return 0, err
		}
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
	if p.system == unix.RAMFS_MAGIC { // read(2) fills holes, too
		err = p.present(d, window, int(off-start))
	} else {
		err = carefully(d, window[off-start:])
	}
	if err != nil {
		return &os.PathError{Op: "read", Path: p.file.Name(), Err: err}
	}
	return nil
}

// present reads, from a place of a window of the file, those pages that are in memory. On ramfs the others are holes.
func (p *pages) present(d, window []byte, from int) error {
	page := os.Getpagesize()
	there := make([]byte, (len(window)+page-1)/page)
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&window[0])), uintptr(len(window)), uintptr(unsafe.Pointer(&there[0]))); errno != 0 {
		return errno
	}
	for n := 0; n < len(d); {
		at := from + n
		part := d[n:min(len(d), n+page-at%page)]
		if there[at/page]&1 == 0 {
			clear(part)
		} else if err := carefully(part, window[at:]); err != nil {
			return err
		}
		n += len(part)
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
