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
// he likes over a page of what he writes; a page fault does not.
type pages struct {
	file *os.File
	size int64
}

func newPages(f *os.File) (*pages, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", f.Name())
	}
	return &pages{f, st.Size()}, nil
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
	start := off &^ (int64(os.Getpagesize()) - 1)
	window, err := unix.Mmap(int(p.file.Fd()), start, int(off-start)+len(d), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return 0, &os.PathError{Op: "mmap", Path: p.file.Name(), Err: err}
	}
	defer func() { _ = unix.Munmap(window) }()
	if err := carefully(d, window[off-start:]); err != nil {
		return 0, &os.PathError{Op: "read", Path: p.file.Name(), Err: err}
	}
	if short {
		return len(d), io.EOF
	}
	return len(d), nil
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
