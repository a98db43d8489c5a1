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
