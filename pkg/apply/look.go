// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"lpatch/pkg/proc"
)

// maxFiles bounds the files that are looked at of those that a process maps executable: no program comes near.
const maxFiles = 4096

// limits are what processes may take of who looks at them.
type limits struct {
	Look    time.Duration // that it may take to look at what one process maps, once
	Read    uint64        // bytes of files that are read of one process beside headers, all told
	Recount time.Duration // that one user's processes may take of a status by not letting their threads be counted
	// Rounds is how often RunSelected looks for processes that were forked meanwhile. A child of a process that is done
	// inherits what was done to it, so one more round than the longest chain of forks that were under way is enough.
	Rounds int
}

// past is what a Session remembers of a process that it has looked at.
type past struct {
	sync.Mutex
	seen bool
	read uint64 // bytes
	slow error  // why it is not looked at again: that takes too long
}

// tooSlow is the error of a look that took too long, or nil.
func (p *past) tooSlow() error {
	p.Lock()
	defer p.Unlock()
	return p.slow
}

// wasSeen tells whether there was a look, so that it is known if one takes too long.
func (p *past) wasSeen() bool {
	p.Lock()
	defer p.Unlock()
	return p.seen
}

// see remembers that there was a look.
func (p *past) see() {
	p.Lock()
	defer p.Unlock()
	p.seen = true
}

// note remembers that a process was too slow, if that is what an error says. It returns the error.
func (p *past) note(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.Lock()
		defer p.Unlock()
		p.slow = err
	}
	return err
}

// pasts are those of all processes. Several are looked at at a time.
type pasts struct {
	sync.Mutex
	of map[proc.Process]*past
}

func (p *pasts) get(t proc.Process) *past {
	p.Lock()
	defer p.Unlock()
	found := p.of[life(t)]
	if found == nil {
		found = &past{}
		p.of[life(t)] = found
	}
	return found
}

// look is one look at a process: identifying files and hashing them are parts of it.
type look struct {
	*past
	limits *limits
	left   time.Duration
	until  time.Time
}

func (l *look) begin() { l.until = time.Now().Add(l.left) }

func (l *look) end() { l.left = time.Until(l.until) }

func (l *look) over() bool { return time.Now().After(l.until) }

// take takes the bytes that a file has from what may be read of the process.
func (l *look) take(bytes uint64) error {
	l.Lock()
	defer l.Unlock()
	if bytes > l.limits.Read-min(l.read, l.limits.Read) {
		return fmt.Errorf("of the files that one process maps, lpctl reads no more than %d bytes beside their headers", l.limits.Read)
	}
	l.read += bytes
	return nil
}

// readAll reads a file of some size, a part after the other so that it ends when the look is over.
func (l *look) readAll(r io.ReaderAt, size int) ([]byte, error) {
	if err := l.take(uint64(size)); err != nil {
		return nil, err
	}
	data := make([]byte, size)
	for rest, off := data, int64(0); len(rest) > 0; {
		part := rest[:min(len(rest), smallFile)]
		if _, err := (timed{r, l}).ReadAt(part, off); err != nil {
			return nil, err
		}
		rest, off = rest[len(part):], off+int64(len(part))
	}
	return data, nil
}

// timed is a reader for as long as a look may take.
type timed struct {
	io.ReaderAt
	*look
}

// ReadAt implements io.ReaderAt.
func (t timed) ReadAt(d []byte, off int64) (int, error) {
	if t.over() {
		return 0, &proc.Error{Message: fmt.Sprintf("to look at what the process maps takes longer than %v", t.limits.Look), Err: os.ErrDeadlineExceeded}
	}
	return t.ReaderAt.ReadAt(d, off)
}
