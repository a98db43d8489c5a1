// SPDX-License-Identifier: GPL-2.0

// Package progress reports the progress of long operations.
package progress

import (
	"fmt"
	"io"
	"time"
)

// Reporter prints lines. The zero value prints nothing.
type Reporter struct {
	To   io.Writer // receives a line for each step; may be nil
	Live bool      // To is a terminal: additionally print a continuously updated line for the current step
}

// Say prints the start of a step.
func (r Reporter) Say(format string, args ...any) {
	if r.To != nil {
		fmt.Fprintf(r.To, format+"\n", args...)
	}
}

// Step prints the start of a step with unknown extent, and shows that it continues until stop is called.
func (r Reporter) Step(format string, args ...any) (stop func()) {
	r.Say(format, args...)
	return r.Watch(func() string { return "at it" })
}

// Watch shows the result of far and the elapsed seconds until stop is called. far is called in another goroutine.
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
