// SPDX-License-Identifier: GPL-2.0

package proc

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process can hold its own mmap_lock for an arbitrary time, for instance by a page fault that is never handled, and a
// reader of its mappings waits for this lock. The wait cannot be interrupted except by terminating lpctl, so that each such
// read has a thread of its own.

// Maximum number of threads that may wait at one time: for processes of one user, and in total.
const (
	maxStuckOf = 32
	maxStuck   = 1000
)

// patience is the maximum time that is spent on reading the mappings of a process; tests use less.
var patience = 5 * time.Second

// waiting counts the threads that have waited for longer than patience.
type waiting struct {
	sync.Mutex
	all int
	of  map[string]int // by user of the process
}

var stuck = waiting{of: map[string]int{}}

// add counts a thread until done is closed.
func (w *waiting) add(owner string, done <-chan struct{}) {
	w.change(owner, 1)
	go func() {
		<-done
		w.change(owner, -1)
	}()
}

func (w *waiting) change(owner string, by int) {
	w.Lock()
	defer w.Unlock()
	w.all += by
	if w.of[owner] += by; w.of[owner] == 0 {
		delete(w.of, owner)
	}
}

// room returns an *Error if no more threads may wait for processes of the user. Process pid has not caused this.
func (w *waiting) room(pid int, owner func() string) error {
	w.Lock()
	defer w.Unlock()
	if w.all == 0 {
		return nil
	}
	message := ""
	if user := owner(); w.of[user] >= maxStuckOf {
		message = fmt.Sprintf("process %d was not looked at, for %d others of user %s keep lpctl from their mappings; end those", pid, maxStuckOf, user)
	} else if w.all >= maxStuck {
		message = fmt.Sprintf("process %d was not looked at, for %d others keep lpctl from their mappings; end those", pid, maxStuck)
	} else {
		return nil
	}
	return &Error{Message: message, Err: syscall.EAGAIN}
}

// Owner returns the real UID of a process: the user who started it, whatever privileges it has gained. It is "" for a process
// that has ended.
func (f FS) Owner(pid int) string {
	status, err := os.ReadFile(f.path(pid, "status"))
	if err != nil {
		return ""
	}
	user, _, _ := strings.Cut(ParseStatus(string(status))["Uid"], "\t")
	return user
}

// bounded calls look, which reads the mappings of a process, and gives up after patience. The error is then an *Error that
// wraps os.ErrDeadlineExceeded.
func bounded[T any](f FS, pid int, look func() (T, error)) (T, error) {
	var none T
	owner := func() string { return f.Owner(pid) }
	if err := stuck.room(pid, owner); err != nil {
		return none, err
	}
	type result struct {
		value T
		err   error
	}
	found, done := make(chan result, 1), make(chan struct{})
	go func() {
		defer close(done)
		value, err := look()
		found <- result{value, err}
	}()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case r := <-found:
		return r.value, r.err
	case <-late.C:
		stuck.add(owner(), done)
		return none, &Error{Message: fmt.Sprintf("process %d keeps its mappings locked, they could not be looked at within %v", pid, patience),
			Err: os.ErrDeadlineExceeded}
	}
}
