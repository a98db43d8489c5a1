package build

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
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

// TestProgress watches a build that makes an object. The line that is written again and again is gone in the end, and
// nothing is written where nobody looks.
func TestProgress(t *testing.T) {
	dir := t.TempDir()
	var terminal, file screen
	stop := Progress{To: &terminal, Live: true}.watch(dir)
	stopFile := Progress{To: &file}.watch(dir)
	if err := os.WriteFile(filepath.Join(dir, countFile), []byte("o"), 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); !strings.Contains(terminal.String(), "\r  1 object, ") && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	stopFile()
	if s := terminal.String(); !strings.Contains(s, "\r  1 object, ") || !strings.HasSuffix(s, "\r\x1b[K") {
		t.Errorf("the terminal shows %q", s)
	}
	if s := file.String(); s != "" {
		t.Errorf("a file gets %q", s)
	}
}
