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

// A process can keep its own mmap_lock for as long as it likes, for instance by a page fault that nobody serves, and who asks
// what it maps waits for that lock. The wait ends when lpctl does, but not before, so each has a thread of its own.

// Bounds of the threads that are waiting so at one time: for processes of one user, and for all.
const (
	maxStuckOf = 32
	maxStuck   = 1000
)

// patience is how long a process may keep us from its mappings; tests have less.
var patience = 5 * time.Second

// waiting counts the threads that wait for longer than patience.
type waiting struct {
	sync.Mutex
	all int
	of  map[string]int // by the user of the process
}

var stuck = waiting{of: map[string]int{}}

// add counts a thread until it is done.
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

// room is an *Error if no more threads may wait for processes of a user. It is not the fault of this process.
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

// Owner is the user of a process as a number: who has started it, whatever rights it has got. It is "" for one that has ended.
func (f FS) Owner(pid int) string {
	status, err := os.ReadFile(f.path(pid, "status"))
	if err != nil {
		return ""
	}
	user, _, _ := strings.Cut(ParseStatus(string(status))["Uid"], "\t")
	return user
}

// bounded looks at the mappings of a process, and gives up when that takes too long. The error is an *Error then, and wraps
// os.ErrDeadlineExceeded.
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
