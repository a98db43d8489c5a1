// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/applytest"
)

// TestHostileMapped has a target map other files where it had a patch: little is read of what is none, and of what could be one no
// more than is read of one process, and not for longer.
func TestHostileMapped(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("opening what a process maps needs CAP_SYS_ADMIN")
	}
	const long = 64 << 20
	for _, c := range []struct {
		name string
		from string // "": a patch
		size int64
		set  func(*limits)
		want string
	}{
		{"no patch", "/bin/true", patch.MaxFileSize, func(*limits) {}, "it is no patch"},
		{"too long", "", patch.MaxFileSize + 1, func(*limits) {}, fmt.Sprintf("it has more than %d bytes", patch.MaxFileSize)},
		{"more than is read", "", long, func(l *limits) { l.Read = long - 1 }, fmt.Sprintf("of the files that one process maps, lpctl reads no more than %d bytes beside their headers", long-1)},
		{"late", "", long, func(l *limits) { l.Look = -1 }, "to look at what the process maps takes longer than -1ns"},
		{"a patch", "", 0, func(*limits) {}, "<nil>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.lp")
			if c.from == "" {
				if err := applytest.Write(path, specOf(t, "a", false)); err != nil {
					t.Fatal(err)
				}
			} else if data, err := os.ReadFile(c.from); err != nil {
				t.Fatal(err)
			} else if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
			if c.size > 0 {
				if err := os.Truncate(path, c.size); err != nil {
					t.Fatal(err)
				}
			}
			at := mapPage(t, path)
			self, err := proc.New("/proc").Process(os.Getpid())
			if err != nil {
				t.Fatal(err)
			}
			s := New(nil, proc.New("/proc"))
			v := s.view(self)
			if _, err := v.maps(); err != nil {
				t.Fatal(err)
			}
			c.set(&s.limits)
			v.left = s.limits.Look
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			f, err := s.readAt(v, at, &fileCache{})
			runtime.ReadMemStats(&after)
			if fmt.Sprint(err) != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
			if err == nil && f.Data != nil {
				t.Error("what is in it is kept")
			}
			if got := after.TotalAlloc - before.TotalAlloc; c.name != "late" && got > 8<<20 {
				t.Errorf("%d MiB were allocated", got>>20)
			}
		})
	}
}

// TestHostileLarge has somebody else's large file be read for longer than a process may take: who waits for that loses no time of his own.
func TestHostileLarge(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("opening what a process maps needs CAP_SYS_ADMIN")
	}
	path := filepath.Join(t.TempDir(), "a.lp")
	if err := errors.Join(applytest.Write(path, specOf(t, "a", false)), os.Truncate(path, 2*smallFile)); err != nil {
		t.Fatal(err)
	}
	at := mapPage(t, path)
	self, err := proc.New("/proc").Process(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	s := New(nil, proc.New("/proc"))
	s.seen = &snapshot{}
	v := s.view(self)
	v.left = time.Hour
	done := make(chan error)
	begin := time.Now()
	large.Lock()
	go func() {
		_, err := s.fileAt(v, at)
		done <- err
	}()
	time.Sleep(time.Second) // that is how long it takes
	held := time.Since(begin)
	large.Unlock()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took, own := time.Since(begin), time.Hour-v.left; own > took-held/2 {
		t.Errorf("of %v, %v of which somebody else took, %v count", took, held, own)
	}
}

// TestHostileConcerned has one of two patched processes map another patch where it had this one: what the patch concerns is asked of
// the other one.
func TestHostileConcerned(t *testing.T) {
	f := newFleet(t, 4)
	a := f.patch("a", false)
	other := f.spec("other", false)
	other.Images[0].Name, other.Images[0].Soname, other.Images[0].BuildID = "elsewhere", "", otherID
	f.file(other)
	f.apply(lpnl.VerbApply, a, f.pids[0])
	f.apply(lpnl.VerbApply, a, f.pids[1])
	base := f.has[f.pids[0]][0].MappedAt
	link := filepath.Join(f.root, strconv.Itoa(f.pids[0]), "map_files", fmt.Sprintf("%x-%x", base, base+0x1000))
	if err := errors.Join(os.Remove(link), os.Symlink(f.files["other"], link)); err != nil {
		t.Fatal(err)
	}
	var list []proc.Process
	for i := range f.pids {
		list = append(list, f.target(i))
	}
	s := f.session()
	if err := s.look(); err != nil {
		t.Fatal(err)
	}
	kept, _, err := s.concerned(lpnl.VerbApply, PatchRef{Name: "a"}, list)
	if err != nil || len(kept) != len(list) {
		t.Errorf("%d of %d processes, %v", len(kept), len(list), err)
	}
}
