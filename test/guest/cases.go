// SPDX-License-Identifier: GPL-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"lpatch/test/vm/protocol"
)

// What a case may take when it does not say.
const defaultTimeout = 2 * time.Minute

// Where the script of the case that runs is kept.
const casePath = "/.lpatch/case"

// runCases runs all cases, one after another, and reports each. A case that fails does not stop the others; only a
// machine that cannot be trusted any more does.
func (g *guest) runCases() error {
	kmsg, err := openKmsg()
	if err != nil {
		return err
	}
	before, err := examine()
	if err != nil {
		return err
	}
	for _, c := range g.job.Cases {
		g.report(protocol.Event{Event: protocol.Start, Case: c.Name})
		if err := kmsg.mark(); err != nil {
			return err
		}
		e, err := g.runCase(c)
		if err != nil {
			return fmt.Errorf("case %s: %w", c.Name, err)
		}
		wrong := g.settle(before)
		said, complaints := kmsg.since()
		if wrong = append(wrong, complaints...); len(wrong) > 0 {
			e.Event = protocol.Fail
			e.Log += "\nafter the case: " + strings.Join(wrong, "; ") + "\n"
		}
		if e.Event == protocol.Fail && said != "" {
			e.Log += "---- kernel log ----\n" + said
		}
		g.report(e)
	}
	return checkLeaks()
}

// runCase runs one case. The error is one of the machine; a case that fails is an event.
func (g *guest) runCase(c protocol.Case) (protocol.Event, error) {
	e := protocol.Event{Case: c.Name}
	if err := os.WriteFile(casePath, []byte(c.Script), 0o755); err != nil {
		return e, err
	}
	if err := os.RemoveAll("/tmp/case"); err != nil {
		return e, err
	}
	if err := os.MkdirAll("/tmp/case", 0o755); err != nil {
		return e, err
	}
	var log caseLog
	out, err := newPipe(io.MultiWriter(&log, g.stdout))
	if err != nil {
		return e, err
	}
	started := time.Now()
	pid, err := g.start(append([]string{"/bin/sh", casePath}, c.Args...), out.w, out.w)
	if err != nil {
		return e, err
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	status, err := await(pid, timeout)
	timedOut := errors.Is(err, errTimeout)
	if err != nil && !timedOut {
		return e, err
	}
	if err := killAll(); err != nil {
		return e, err
	}
	out.finish()
	e.Time, e.Log, e.Status = time.Since(started), log.String(), status
	switch {
	case timedOut:
		e.Event = protocol.Fail
		e.Log += fmt.Sprintf("\nkilled after %v\n", timeout)
	case status == 0:
		e.Event = protocol.Pass
	case status == protocol.SkipStatus:
		e.Event = protocol.Skip
	default:
		e.Event = protocol.Fail
		e.Log += fmt.Sprintf("\nexit status %d\n", status)
	}
	return e, nil
}

// settle sees whether a case left the machine as it was, and if it can makes it so for the next. It gives what is
// wrong.
func (g *guest) settle(before health) (wrong []string) {
	after, err := waitForHealth(before)
	if err != nil {
		return []string{err.Error()}
	}
	if added := after.taint &^ before.taint; added&badTaint != 0 {
		wrong = append(wrong, fmt.Sprintf("the kernel is tainted: %#x", added))
	}
	if before.loaded && after.loaded && after.refs > before.refs {
		wrong = append(wrong, fmt.Sprintf("the module is still in use: reference count %d, was %d", after.refs, before.refs))
	}
	if before.loaded && !after.loaded { // a case may unload it, but the next one wants it
		if err := loadModule(protocol.ModulePath, g.job.ModuleArgs); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	return wrong
}

// caseLog keeps the beginning and the end of what a case prints.
type caseLog struct {
	mu         sync.Mutex
	head, tail []byte
	dropped    int
}

const logPart = 32 << 10

func (l *caseLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(p), logPart-len(l.head))
	l.head = append(l.head, p[:n]...)
	l.tail = append(l.tail, p[n:]...)
	if over := len(l.tail) - logPart; over > logPart {
		l.dropped += over
		l.tail = append([]byte(nil), l.tail[over:]...)
	}
	return len(p), nil
}

func (l *caseLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped == 0 {
		return string(l.head) + string(l.tail)
	}
	return fmt.Sprintf("%s\n[… %d bytes left out …]\n%s", l.head, l.dropped, l.tail)
}
