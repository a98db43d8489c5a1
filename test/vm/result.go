// SPDX-License-Identifier: GPL-2.0

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"lpatch/test/vm/klog"
)

// Failure says that a machine, and not what ran on it, failed: it hung, its kernel complained, or it ended without a
// word.
type Failure struct {
	Reason string
	Log    string // the end of the kernel's log
	Output string // the last that the script printed
}

func (f *Failure) Error() string { return f.Reason }

// kernelLog collects ttyS0 and notices what must not be in it.
type kernelLog struct {
	out     io.Writer
	mu      sync.Mutex
	tail    tail
	partial []byte
	scanner klog.Scanner
	bad     string // what the kernel complained of first
}

func (l *kernelLog) Write(chunk []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := bytes.ReplaceAll(chunk, []byte("\r"), nil) // the console's line ends are \r\n
	l.tail.append(p)
	l.partial = append(l.partial, p...)
	for {
		line, rest, ok := bytes.Cut(l.partial, []byte("\n"))
		if !ok {
			break
		}
		l.partial = rest
		if complaint := l.scanner.Scan(string(line)); l.bad == "" {
			l.bad = complaint
		}
	}
	if _, err := l.out.Write(p); err != nil {
		return 0, err
	}
	return len(chunk), nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.append(p)
	return len(p), nil
}

func (t *tail) append(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*tailSize {
		t.buf = append([]byte(nil), t.buf[len(t.buf)-tailSize:]...)
	}
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf[max(0, len(t.buf)-tailSize):])
}

// verdict says what came of the machine, once QEMU has ended with qemuErr. Only a machine that said that it is done,
// and whose kernel had nothing to complain of, is a success.
func (m *machine) verdict(ctx context.Context, qemuErr error, complaint string) error {
	reason := ""
	switch {
	case m.log.bad != "":
		reason = "the guest's kernel complained: " + m.log.bad
	case m.trouble != "":
		reason = "the guest's init: " + m.trouble
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		reason = fmt.Sprintf("no end after %v", m.cfg.Timeout.Round(time.Second))
		if !m.booted {
			reason += " (the guest did not even boot)"
		}
	case ctx.Err() != nil:
		return ctx.Err()
	case qemuErr != nil:
		reason = fmt.Sprintf("QEMU: %v\n%s", qemuErr, strings.TrimSpace(complaint))
	case m.garbled != "":
		reason = "not understood from the guest: " + m.garbled
	case !m.done:
		reason = "the guest ended without saying that it is done"
	default:
		return nil
	}
	return &Failure{Reason: reason, Log: m.log.tail.String(), Output: m.console.String()}
}
