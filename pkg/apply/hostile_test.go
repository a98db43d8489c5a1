// SPDX-License-Identifier: GPL-2.0

package apply_test

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/testutil/filetest"
)

// The tests TestHostile… have processes map what a user has made to keep root's operations on others from ending.

// sparse writes an ELF file of 4 TiB, nearly all of it holes. Its header can be changed, and its one program header.
func sparse(t *testing.T, change func(head, prog []byte)) string {
	t.Helper()
	const size = 4 << 40
	head, prog, le := make([]byte, 64), make([]byte, 56), binary.LittleEndian
	copy(head, "\x7fELF\x02\x01\x01")
	for at, v := range map[int]uint16{16: uint16(elf.ET_DYN), 18: uint16(elf.EM_X86_64), 0x34: 64, 0x36: 56, 0x38: 1, 0x3a: 64} {
		le.PutUint16(head[at:], v)
	}
	le.PutUint32(head[20:], 1)
	le.PutUint64(head[0x20:], 64)
	le.PutUint32(prog, uint32(elf.PT_LOAD))
	le.PutUint64(prog[32:], size)
	le.PutUint64(prog[40:], size)
	change(head, prog)
	fd, err := unix.MemfdCreate("prog", unix.MFD_CLOEXEC) // not all file systems have such files
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "prog")
	t.Cleanup(func() { f.Close() })
	_, err = f.Write(slices.Concat(head, prog))
	if err = errors.Join(err, f.Truncate(size)); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd)
}

// small writes an ELF file of 8 KiB without a build-id, with the span of an image. Those with different marks are different.
func small(t *testing.T, mark byte, image *patch.Image) string {
	t.Helper()
	path := sparse(t, func(head, prog []byte) {
		head[8] = mark // padding
		binary.LittleEndian.PutUint64(prog[32:], 8192)
		binary.LittleEndian.PutUint64(prog[40:], image.SpanEnd)
	})
	if err := os.Truncate(path, 8192); err != nil {
		t.Fatal(err)
	}
	return path
}

// withoutID is the patch fix for a file that has no build-id.
func (m *madeUp) withoutID(t *testing.T, path string) apply.PatchRef {
	t.Helper()
	f, err := lpelf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s := *m.fix.File.Spec
	s.Images = slices.Clone(s.Images)
	s.Images[0].BuildID, s.Images[0].SHA256 = nil, f.LoadSHA256()
	return write(t, &s)
}

// TestHostileSparse has a file claim to be longer than can be read, in all places where it says how much there is of something. It
// is known not to be the program, with a build-id and without, and little is read of it.
func TestHostileSparse(t *testing.T) {
	const huge = 1 << 41
	le := binary.LittleEndian
	for name, change := range map[string]func(head, prog []byte){
		"segment": func(_, _ []byte) {},
		"note": func(_, prog []byte) {
			le.PutUint32(prog, uint32(elf.PT_NOTE))
		},
		"programs": func(head, _ []byte) {
			le.PutUint64(head[0x20:], huge)
			le.PutUint16(head[0x38:], 0xffff)
		},
		"sections": func(head, _ []byte) { // their number is in the first section's header, which is program header 1
			le.PutUint64(head[0x28:], 64)
			le.PutUint16(head[0x3e:], 0xffff)
		},
		"names": func(head, prog []byte) {
			le.PutUint64(head[0x28:], 64)
			le.PutUint16(head[0x3c:], 1)
			le.PutUint64(prog[0x20:], huge)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMadeUp(t)
			m.process(t, 17, "/user.slice", "/bin/true", sparse(t, change))
			m.process(t, 18, "/user.slice", m.prog, sparse(t, change), m.prog)
			for _, without := range []bool{false, true} {
				s := *m.fix.File.Spec
				s.Images = slices.Clone(s.Images)
				want := []int{11, 15, 18}
				if without { // which none of the others is
					s.Images[0].BuildID, want = nil, nil
				}
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				found, err := m.session(t).Find(lpnl.VerbApply, apply.Selection{All: true}, write(t, &s))
				runtime.ReadMemStats(&after)
				if err != nil {
					t.Fatal(err)
				}
				wantFound(t, found, want)
				wantUnseen(t, found.Unseen, len(want) > 0, "process 16: ")
				if got := after.TotalAlloc - before.TotalAlloc; got > 64<<20 {
					t.Errorf("%d MiB were allocated", got>>20)
				}
			}
		})
	}
}

func wantFound(t *testing.T, found *apply.Found, want []int) {
	t.Helper()
	var got []int
	for _, p := range found.Targets {
		got = append(got, p.PID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

// wantUnseen wants to be told of these, if anybody else was found.
func wantUnseen(t *testing.T, unseen []error, any bool, want ...string) {
	t.Helper()
	if !any {
		want = nil
	}
	ok := len(unseen) == len(want)
	for i := range want {
		ok = ok && strings.HasPrefix(unseen[i].Error(), want[i])
	}
	if !ok {
		t.Errorf("unseen %q, want %q", unseen, want)
	}
}

// TestHostileUnread has processes map a file on which its owner has a lease, and one that is no regular file. Who maps the
// program is found all the same; of who does not as far as can be seen, it is told.
func TestHostileUnread(t *testing.T) {
	m := newMadeUp(t)
	leased, fifo := filepath.Join(t.TempDir(), "leased"), filepath.Join(t.TempDir(), "fifo")
	filetest.Lease(t, leased)
	if err := unix.Mkfifo(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	m.process(t, 17, "/user.slice", "/bin/true", leased)
	m.process(t, 18, "/user.slice", m.prog, leased, m.prog)
	m.process(t, 19, "/user.slice", "/bin/true", fifo)
	m.process(t, 20, "/user.slice", m.prog, fifo, m.prog)
	found, err := m.session(t).Find(lpnl.VerbApply, apply.Selection{All: true}, m.fix)
	if err != nil {
		t.Fatal(err)
	}
	wantFound(t, found, []int{11, 15, 18, 20})
	const why = "p[17]: cannot open %s as process 17 maps it: somebody has a lease on it, which fcntl(2) grants; have its owner give that up"
	wantUnseen(t, found.Unseen, true, "process 16: ", fmt.Sprintf(why, leased))

	// The kernel knows who has a patch that is to be taken out.
	if found, err = m.session(t, 11).Find(apply.Revert, apply.Selection{All: true}, m.fix); err != nil || len(found.Unseen) != 0 {
		t.Errorf("%+v, %v", found, err)
	}
}

// TestHostileNumbers has processes map different files of one device and number, as maps show those of two subvolumes or
// containers: each is taken for what it is.
func TestHostileNumbers(t *testing.T) {
	m := newMadeUp(t)
	m.process(t, 9, "/user.slice", "/bin/true", "/bin/true") // before all others
	m.process(t, 17, "/user.slice", m.prog, "/bin/true", m.prog)
	m.process(t, 18, "/user.slice", m.prog, m.prog, "/bin/true")
	found, err := m.session(t).Find(lpnl.VerbApply, apply.Selection{All: true}, m.fix)
	if err != nil {
		t.Fatal(err)
	}
	wantFound(t, found, []int{11, 15, 17, 18})
}

// TestSameLength finds a program by its bytes, where it has no build-id, and not another of the same length.
func TestSameLength(t *testing.T) {
	m := newMadeUp(t)
	image := &m.fix.File.Spec.Images[0]
	is, other := small(t, 1, image), small(t, 2, image)
	m.process(t, 17, "/user.slice", other, other)
	m.process(t, 18, "/user.slice", is, is)
	m.process(t, 19, "/user.slice", is, "/bin/true", other, is)
	found, err := m.session(t).Find(lpnl.VerbApply, apply.Selection{All: true}, m.withoutID(t, is))
	if err != nil {
		t.Fatal(err)
	}
	wantFound(t, found, []int{18, 19})
}

// TestHostileHashed has a process map more files that could be the program, to go by their headers, than are read of one process;
// others that lie at other addresses are not read.
func TestHostileHashed(t *testing.T) {
	m := newMadeUp(t)
	image := &m.fix.File.Spec.Images[0]
	further := *image
	further.SpanEnd += 4096
	is, last := small(t, 1, image), small(t, 4, image)
	m.process(t, 17, "/user.slice", "/bin/true", small(t, 2, image), small(t, 3, image), last)
	m.process(t, 18, "/user.slice", is, small(t, 5, &further), small(t, 6, &further), small(t, 7, image), is)
	s := m.session(t)
	s.Limits().Read = 2 * 8192
	for range 2 {
		found, err := s.Find(lpnl.VerbApply, apply.Selection{All: true}, m.withoutID(t, is))
		if err != nil {
			t.Fatal(err)
		}
		wantFound(t, found, []int{18})
		wantUnseen(t, found.Unseen, true, "process 16: ", fmt.Sprintf("p[17]: cannot read %s as process 17 maps it: "+
			"of the files that one process maps, lpctl reads no more than 16384 bytes beside their headers", last))
	}
}

// TestHostileLate has it take too long to look at each process: they are left out, and a Session does not look again.
func TestHostileLate(t *testing.T) {
	m := newMadeUp(t)
	late := m.session(t)
	was := late.Limits().Look
	for _, c := range []struct {
		session *apply.Session
		look    time.Duration
		want    []int
	}{{late, -1, nil}, {late, was, nil}, {m.session(t), was, []int{11, 15}}} {
		c.session.Limits().Look = c.look
		found, err := c.session.Find(lpnl.VerbApply, apply.Selection{All: true}, m.fix)
		if err != nil {
			t.Fatal(err)
		}
		wantFound(t, found, c.want)
		const why = "process 12 maps more files executable than lpctl looks at (4096, or as many as take -1ns)"
		left := slices.ContainsFunc(found.Unseen, func(err error) bool { return err.Error() == why })
		if left != (c.want == nil) {
			t.Errorf("with %v: unseen %q", c.look, found.Unseen)
		}
	}
}

// TestHostileChanging has processes map what is gone when its turn comes, each time. What was found beside that counts.
func TestHostileChanging(t *testing.T) {
	m := newMadeUp(t)
	m.process(t, 17, "/user.slice", "/bin/true", "/bin/true", m.prog)
	m.process(t, 18, "/user.slice", "/bin/true", "/bin/true", m.prog)
	for _, gone := range []string{"17/map_files/1000-2000", "18/map_files/2000-3000"} {
		if err := os.Remove(filepath.Join(m.root, gone)); err != nil {
			t.Fatal(err)
		}
	}
	found, err := m.session(t).Find(lpnl.VerbApply, apply.Selection{All: true}, m.fix)
	if err != nil {
		t.Fatal(err)
	}
	wantFound(t, found, []int{11, 15, 17})
	wantUnseen(t, found.Unseen, true, "process 16: ", "p[18]: it maps and unmaps files faster than they can be looked at; try again when it is at rest")
}
