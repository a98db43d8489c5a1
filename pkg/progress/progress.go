// SPDX-License-Identifier: GPL-2.0

// Package progress tells a person what a long task is doing.
package progress

import (
	"fmt"
	"io"
	"time"
)

// Reporter prints lines. The zero value prints nothing.
type Reporter struct {
	To   io.Writer // gets a line for each step; nil for none
	Live bool      // To is a terminal: also a line about how far a step is, again and again
}

// Say prints the beginning of a step.
func (r Reporter) Say(format string, args ...any) {
	if r.To != nil {
		fmt.Fprintf(r.To, format+"\n", args...)
	}
}

// Step prints the beginning of a step of which nobody can say how far it is, and shows until stop is called that it goes on.
func (r Reporter) Step(format string, args ...any) (stop func()) {
	r.Say(format, args...)
	return r.Watch(func() string { return "at it" })
}

// Watch shows, until the function that it returns is called, what far says of how far a step is, and for how many seconds it
// has been at it. It calls far from another goroutine.
func (r Reporter) Watch(far func() string) (stop func()) {
	if r.To == nil || !r.Live {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	started := time.Now()
	go func() {
		defer close(ended)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(r.To, "\r  %s, %d s ", far(), int(time.Since(started).Seconds()))
			case <-done:
				fmt.Fprint(r.To, "\r\x1b[K")
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}
