// SPDX-License-Identifier: GPL-2.0

package proc

import (
	"fmt"
	"io"
	"os"
)

// ReadMemory reads n bytes of a process's memory at addr. The read may block, because a page may belong to userfaultfd or
// FUSE, so it is bounded. Errors are those of Maps.
func (f FS) ReadMemory(pid int, addr uint64, n int) ([]byte, error) {
	return bounded(f, pid, func() ([]byte, error) {
		mem, err := os.Open(f.path(f.holder(pid), "mem"))
		if err != nil {
			return nil, explain(pid, err)
		}
		defer mem.Close()
		data := make([]byte, n)
		if _, err := io.ReadFull(io.NewSectionReader(mem, int64(addr), int64(n)), data); err != nil {
			return nil, &Error{Message: fmt.Sprintf("process %d has no memory that can be read at %#x", pid, addr), Err: err}
		}
		return data, nil
	})
}
