// SPDX-License-Identifier: GPL-2.0

package progress

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// screen is a terminal that two goroutines may use.
type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// TestAbove: what is said meanwhile is on lines of its own, on a terminal and where nobody looks.
func TestAbove(t *testing.T) {
	var terminal, file screen
	l := Reporter{To: &terminal, Live: true}.Line(func() string { return "half" })
	l.Above(func() { fmt.Fprintln(&terminal, "one") })
	if s := terminal.String(); s != "one\n" {
		t.Errorf("before the line is there the terminal shows %q", s)
	}
	for end := time.Now().Add(time.Minute); !strings.Contains(terminal.String(), "half, ") && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	l.Above(func() { fmt.Fprintln(&terminal, "two") })
	l.Stop()
	if s := terminal.String(); !strings.Contains(s, " s \r\x1b[Ktwo\n") {
		t.Errorf("the terminal shows %q", s)
	}
	none := Reporter{To: &file}.Line(func() string { return "half" })
	none.Above(func() { fmt.Fprintln(&file, "one") })
	none.Stop()
	if s := file.String(); s != "one\n" {
		t.Errorf("a file gets %q", s)
	}
}

func TestBar(t *testing.T) {
	for _, c := range []struct {
		done, all int
		want      string
	}{
		{0, 0, "[                    ] 0 of 0 processes"},
		{0, 7, "[                    ] 0 of 7 processes"},
		{3, 12, "[=====               ] 3 of 12 processes"},
		{999, 1000, "[=================== ] 999 of 1000 processes"},
		{7, 7, "[====================] 7 of 7 processes"},
		{8, 7, "[====================] 8 of 7 processes"},
	} {
		if got := Bar(c.done, c.all, "processes"); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestReporter watches a task that comes on. The line that is written again and again is gone in the end, and
// nothing is written where nobody looks.
func TestReporter(t *testing.T) {
	var terminal, file, step screen
	var done atomic.Int32
	far := func() string { return fmt.Sprintf("%d of 2", done.Load()) }
	stop := Reporter{To: &terminal, Live: true}.Watch(far)
	stopStep := Reporter{To: &step, Live: true}.Step("making %s", "it")
	stopFile := Reporter{To: &file}.Watch(far)
	done.Add(1)
	for end := time.Now().Add(time.Minute); !strings.Contains(terminal.String(), "\r  1 of 2, ") && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	for end := time.Now().Add(time.Minute); !strings.Contains(step.String(), "making it\n\r  at it, ") && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	stopFile()
	stopStep()
	if s := step.String(); !strings.Contains(s, "making it\n\r  at it, ") || !strings.HasSuffix(s, "\r\x1b[K") {
		t.Errorf("of a step the terminal shows %q", s)
	}
	if s := terminal.String(); !strings.Contains(s, "\r  1 of 2, ") || !strings.HasSuffix(s, "\r\x1b[K") {
		t.Errorf("the terminal shows %q", s)
	}
	if s := file.String(); s != "" {
		t.Errorf("a file gets %q", s)
	}
}
