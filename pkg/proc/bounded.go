package proc

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// A process can keep its own mmap_lock for as long as it likes, for instance by a page fault that nobody serves, and who asks
// what it maps waits for that lock. The wait ends when lpctl does, but not before, so each has a thread of its own.

// maxStuck bounds the threads that are waiting so at one time.
const maxStuck = 1000

// patience is how long a process may keep us from its mappings; tests have less.
var patience = 5 * time.Second

var stuck atomic.Int64

// bounded looks at the mappings of a process, and gives up when that takes too long. The error is an *Error then.
func bounded[T any](pid int, look func() (T, error)) (T, error) {
	var none T
	if stuck.Load() >= maxStuck {
		return none, &Error{Message: fmt.Sprintf("process %d was not looked at, for %d others keep lpctl from their mappings; end those", pid, maxStuck),
			Err: os.ErrDeadlineExceeded}
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	stuck.Add(1)
	go func() {
		defer stuck.Add(-1)
		value, err := look()
		done <- result{value, err}
	}()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case r := <-done:
		return r.value, r.err
	case <-late.C:
		return none, &Error{Message: fmt.Sprintf("process %d keeps its mappings locked, they could not be looked at within %v", pid, patience),
			Err: os.ErrDeadlineExceeded}
	}
}
