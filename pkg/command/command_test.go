// SPDX-License-Identifier: GPL-2.0

package command

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func run(t *testing.T, script string) error {
	t.Helper()
	c := Command{Args: []string{"sh", "-c", script}, Log: filepath.Join(t.TempDir(), "log")}
	return c.Run(context.Background())
}

// TestExcerpt checks that the first error in a log is shown, even if much output follows.
func TestExcerpt(t *testing.T) {
	tests := []struct {
		name, script string
		want, not    []string
	}{
		{"short", "echo all of it; exit 3", []string{"exit status 3", "all of it"}, []string{"left out"}},
		{"first error", `seq -f "cc -Werror=format -c error%g.c" 100; echo "a.c:7:1: error: no such thing"; seq -f "later %g" 100; exit 1`,
			[]string{"... 97 lines left out", "error98.c", "a.c:7:1: error: no such thing", "later 11\n", "... 79 lines left out", "later 100"},
			[]string{"error97.c", "later 12\n", "later 90\n"}},
		{"error at the end", `seq -f "line %g" 30; echo "make: *** [x] Error 2"; exit 2`, []string{"... 21 lines left out", "make: ***"}, []string{"line 21\n"}},
		{"near the end", `seq -f "line %g" 30; echo "ld: undefined reference to f"; seq 12; exit 2`, []string{"... 27 lines left out\n    line 28", "reference to f\n    1\n    2\n    3\n"}, nil},
		{"no error", `seq -f "line %g" 30; exit 2`, []string{"... 20 lines left out\n    line 21"}, []string{"line 20\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := run(t, tt.script)
			if err == nil {
				t.Fatal("no error")
			}
			_, text, _ := strings.Cut(err.Error(), "exit status")
			text = "exit status" + text
			for _, s := range tt.want {
				if !strings.Contains(text, s) {
					t.Errorf("%q is missing in\n%s", s, text)
				}
			}
			for _, s := range tt.not {
				if strings.Contains(text, s) {
					t.Errorf("%q is in\n%s", s, text)
				}
			}
		})
	}
}

// TestCancel cancels a command whose child holds its output open.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	started := filepath.Join(t.TempDir(), "started")
	go func() {
		for _, err := os.Stat(started); err != nil; _, err = os.Stat(started) {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
	}()
	c := Command{Args: []string{"sh", "-c", "touch " + started + "; sleep 1000 & wait"}, Log: filepath.Join(t.TempDir(), "log")}
	if err := c.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
