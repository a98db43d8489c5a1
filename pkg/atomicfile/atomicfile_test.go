// SPDX-License-Identifier: GPL-2.0

package atomicfile

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// TestWriteFile replaces a file that is open; the descriptor still reads the old content.
func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	was, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer was.Close()
	if err := WriteFile(path, []byte("newer"), 0o755); err != nil {
		t.Fatal(err)
	}
	if now, err := os.ReadFile(path); err != nil || string(now) != "newer" {
		t.Errorf("the new file has %q, %v", now, err)
	}
	if old, err := io.ReadAll(was); err != nil || string(old) != "old" {
		t.Errorf("the old file has %q, %v", old, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o755 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	if list := names(t, filepath.Dir(path)); len(list) != 1 {
		t.Errorf("the directory has %v", list)
	}
}

// TestWriteFileFails checks that a failure leaves the old file and no other, and that the error names the requested file.
func TestWriteFileFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "directory")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, want string }{
		{path, path + " is a directory; name a file"},
		{dir + "/none/x.lp", dir + "/none/x.lp cannot be written: there is no directory " + dir + "/none; make it first"},
		{file + "/x.lp", file + "/x.lp cannot be written: " + file + " is not a directory"},
		{"/proc/x.lp", "write /proc/x.lp: no such file or directory"},
	} {
		if err := WriteFile(tt.path, []byte("new"), 0o600); err == nil || err.Error() != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", tt.path, err, tt.want)
		}
	}
	if list := names(t, dir); len(list) != 2 {
		t.Errorf("the directory has %v", list)
	}
	if err := WriteFile(filepath.Join(dir, "none", "file"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file in a directory that there is not: %v", err)
	}
}

// TestLock checks that a second Lock waits for the first one.
func TestLock(t *testing.T) {
	dir, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	unlock, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error)
	go func() {
		second, err := Lock(dir)
		if err == nil {
			second()
		}
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("two have the directory to themselves (%v)", err)
	case <-time.After(50 * time.Millisecond):
	}
	unlock()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// TestLockOrSay checks that the holder of the lock is reported once, and that waiting can be cancelled.
func TestLockOrSay(t *testing.T) {
	dir := t.TempDir()
	unlock, err := LockOrSay(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	var said []int
	say := func(pid int) { said = append(said, pid) }
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := LockOrSay(ctx, dir, say); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error of one that gave up is %v", err)
	}
	if len(said) != 1 || said[0] != os.Getpid() {
		t.Errorf("it waits for %v, want once for %d", said, os.Getpid())
	}
	unlock()
	again, err := LockOrSay(t.Context(), dir, say)
	if err != nil {
		t.Fatal(err)
	}
	again()
	if len(said) != 1 {
		t.Error("it waits for nobody")
	}
}
