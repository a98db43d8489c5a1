// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
)

// TestForeign: a process of another architecture is called that, and not one that does not map the file: it may map one of
// that very name.
func TestForeign(t *testing.T) {
	head := make([]byte, 52)
	copy(head, "\x7fELF\x01\x01\x01")
	binary.LittleEndian.PutUint16(head[16:], 2)
	binary.LittleEndian.PutUint16(head[18:], 3)
	binary.LittleEndian.PutUint32(head[20:], 1)
	fs, prog := t.TempDir(), filepath.Join(t.TempDir(), "prog")
	files := filepath.Join(fs, "7", "map_files")
	maps := fmt.Sprintf("08048000-08049000 r-xp 00000000 08:01 77 %s\nf7f00000-f7f02000 r-xp 00000000 00:00 0 [vdso]\n", prog)
	for _, err := range []error{
		os.WriteFile(prog, head, 0o755), os.MkdirAll(files, 0o755), os.Symlink(prog, filepath.Join(files, "8048000-8049000")),
		os.WriteFile(filepath.Join(fs, "7", "maps"), []byte(maps), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	spec := &patch.Spec{Name: "fix", Images: []patch.Image{{Name: "prog", BuildID: patch.Hex{1, 2}}}}
	s := New(nil, proc.New(fs))
	_, err := s.match(spec, s.view(proc.Process{PID: 7, Comm: "prog"}))
	const want = "prog[7] runs a program for 32-bit x86; lpatch patches 64-bit x86-64 only"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestMissingUnknown is about a file of the right name that cannot be read: it is not said to be another.
func TestMissingUnknown(t *testing.T) {
	spec := &patch.Spec{Name: "fix", Images: []patch.Image{{Name: "prog", BuildID: patch.Hex{0xab}}}}
	for _, c := range []struct {
		path  string
		err   error
		other bool
		want  string
	}{
		{"/mnt/prog", errors.New("no"), false, "whether prog[7] maps what the patch is for (build-id ab) is not known: no"},
		{"/mnt/another", errors.New("no"), false, "whether prog[7] maps prog (build-id ab), which the patch is for, is not known: prog[7]: no"},
		{"/mnt/prog", nil, true, "prog[7] maps /mnt/prog, which is no ELF file, and the patch was built for build-id ab; choose another process"},
	} {
		list := []candidate{{mapping: proc.Mapping{Path: c.path}, err: c.err, id: identity{other: c.other}}}
		err := New(nil, proc.New("/proc")).missing(&spec.Images[0], proc.Process{PID: 7, Comm: "prog"}, list)
		if err.Error() != c.want || RefusalCode(err) != lpnl.RefusalImageMissing {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}
