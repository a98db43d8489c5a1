// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"errors"
	"os"
	"testing"

	"lpatch/pkg/proc"
)

// TestHostileSlow: the bytes of a file are not read for longer than a look may take.
func TestHostileSlow(t *testing.T) {
	f, err := os.Open("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	id, err := identify(f)
	if err != nil {
		t.Fatal(err)
	}
	l := New(nil, proc.New("/proc")).view(proc.Process{}).look
	before := l.left
	l.begin()
	if err := id.hash(f, l); err != nil {
		t.Fatal(err)
	}
	l.end()
	if l.left >= before || l.read != id.loaded {
		t.Errorf("a look that read %d bytes has %v left, and %d bytes noted", id.loaded, l.left, l.read)
	}
	l.left = -1
	l.begin()
	const want = "to look at what the process maps takes longer than 10s"
	if err := l.note(id.hash(f, l)); err == nil || err.Error() != want || !errors.Is(l.tooSlow(), os.ErrDeadlineExceeded) {
		t.Errorf("%v, remembered as %v; want %s", err, l.tooSlow(), want)
	}
}

// TestHostileMany: who makes many files does not have all others forgotten.
func TestHostileMany(t *testing.T) {
	k := known{files: map[proc.FileID]identity{}}
	for i := range maxKnown + 10 {
		k.put(proc.FileID{Ino: uint64(i)}, identity{})
	}
	if len(k.files) != maxKnown {
		t.Errorf("%d files are known, want %d", len(k.files), maxKnown)
	}
	if _, ok := k.get(proc.FileID{Ino: maxKnown + 9}); !ok {
		t.Error("the last one is not known")
	}
}
