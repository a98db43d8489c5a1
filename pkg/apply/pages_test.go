package apply

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestPages reads a file as it is, and one that is cut off meanwhile without dying of it.
func TestPages(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcde\n"), 1024)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := newPages(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ off, n, want int }{{0, 20, 20}, {4090, 10, 10}, {5000, 0, 0}, {16380, 10, 4}, {16384, 1, 0}, {1 << 40, 1, 0}, {-1, 1, 0}} {
		d := make([]byte, c.n)
		n, err := p.ReadAt(d, int64(c.off))
		if n != c.want || errors.Is(err, io.EOF) != (n < c.n) || n > 0 && !bytes.Equal(d[:n], data[c.off:c.off+n]) {
			t.Errorf("%d bytes at %d: %d, %v", c.n, c.off, n, err)
		}
	}
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	if n, err := p.ReadAt(make([]byte, 10), 8000); n != 0 || err == nil || err.Error() != "read "+path+": a part of it is gone or cannot be read" {
		t.Errorf("of what was cut off: %d, %v", n, err)
	}
}
