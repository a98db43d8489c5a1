// SPDX-License-Identifier: GPL-2.0

// Package progress tells a person what a long task is doing.
package progress

import (
	"fmt"
	"io"
	"strings"
	"sync"
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
func (r Reporter) Watch(far func() string) (stop func()) { return r.Line(far).Stop }

// Line is Watch for a step that has something to say meanwhile.
func (r Reporter) Line(far func() string) *Line {
	l := &Line{}
	if r.To == nil || !r.Live {
		return l
	}
	l.to, l.done, l.ended = r.To, make(chan struct{}), make(chan struct{})
	started := time.Now()
	go func() {
		defer close(l.ended)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.show(fmt.Sprintf("%s, %d s ", far(), int(time.Since(started).Seconds())))
			case <-l.done:
				return
			}
		}
	}()
	return l
}

// Line is a line of a terminal that is written again and again.
type Line struct {
	to          io.Writer // nil: nobody looks
	done, ended chan struct{}
	mu          sync.Mutex
	shown       bool // it is there
}

func (l *Line) show(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.to, "\r  %s", text)
	l.shown = true
}

// Above has something written where the line is, which comes again below.
func (l *Line) Above(write func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.erase()
	write()
}

func (l *Line) erase() {
	if l.shown {
		fmt.Fprint(l.to, "\r\x1b[K")
		l.shown = false
	}
}

// Stop ends the line.
func (l *Line) Stop() {
	if l.to == nil {
		return
	}
	close(l.done)
	<-l.ended
	l.erase()
}

// barSize is how many columns a full bar takes.
const barSize = 20

// Bar says how many of all are done: [=====               ] 3 of 12 processes.
func Bar(done, all int, what string) string {
	n := 0
	if all > 0 {
		n = barSize * min(done, all) / all
	}
	return fmt.Sprintf("[%-*s] %d of %d %s", barSize, strings.Repeat("=", n), done, all, what)
}
