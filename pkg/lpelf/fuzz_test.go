// SPDX-License-Identifier: GPL-2.0

package lpelf

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/testutil/fuzztest"
)

// FuzzParse checks that Parse returns an error, or a file whose parts are within the data and can be read, and that parsing
// is deterministic.
func FuzzParse(f *testing.F) {
	for _, data := range append(fuzztest.Objects(f), fuzztest.Shared(f)...) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		kept := bytes.Clone(data)
		var file *File
		var err error
		fuzztest.Bounded(t, len(data), func() {
			if file, err = Parse("fuzz", data); err == nil {
				readAll(t, file)
			}
		})
		if (file == nil) == (err == nil) {
			t.Fatalf("value %v and error %v", file, err)
		}
		if !bytes.Equal(data, kept) {
			t.Fatal("the data have changed")
		}
		if err != nil {
			return
		}
		again, err := Parse("fuzz", kept)
		if err != nil {
			t.Fatalf("parsed again: %v", err)
		}
		if diff := cmp.Diff(file, again); diff != "" {
			t.Fatalf("parsed again it differs:\n%s", diff)
		}
	})
}

// readAll calls all functions that read a file, and checks their results.
func readAll(t *testing.T, f *File) {
	if len(f.LoadSHA256()) != 32 || len(f.BuildID()) > len(f.Data) {
		t.Fatalf("build-id %x", f.BuildID())
	}
	_, _, _, _ = f.Soname(), f.BindNow(), f.SourceName(), f.TLS()
	if slots, err := f.ReadSlots(); (slots == nil) == (err == nil) {
		t.Fatalf("slots %v and error %v", slots, err)
	}
	for _, p := range f.Progs {
		if b := f.BytesAt(p.Vaddr); p.Type == elf.PT_LOAD && p.Filesz > 0 && (len(b) == 0 || f.Segment(p.Vaddr) == nil) {
			t.Fatalf("nothing at %#x, where a segment is", p.Vaddr)
		}
	}
	for i, s := range f.Sections {
		if s.Index != i || len(s.Data) > len(f.Data) || s.Align == 0 || s.Align&(s.Align-1) != 0 {
			t.Fatalf("section %d: index %d, %d bytes, alignment %d", i, s.Index, len(s.Data), s.Align)
		}
		for k, r := range s.Relocs {
			if r.Sym == nil || r.Off >= s.Size || k > 0 && r.Off < s.Relocs[k-1].Off {
				t.Fatalf("section %s: relocation %+v", s.Name, r)
			}
		}
	}
	for _, syms := range [][]*Symbol{f.Symbols, f.DynSymbols} {
		for _, s := range syms {
			f.SectionOf(s)
		}
	}
}

// FuzzArchive checks that ParseArchive returns an error, or members that are within the data and do not overlap.
func FuzzArchive(f *testing.F) {
	f.Add([]byte("!<arch>\n"))
	f.Add([]byte("!<thin>\n"))
	if ar := archive(f); ar != nil {
		f.Add(ar)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var members []Member
		var err error
		fuzztest.Bounded(t, len(data), func() { members, err = ParseArchive("fuzz", data) })
		if err != nil && members != nil {
			t.Fatalf("members %v and error %v", members, err)
		}
		rest := data
		for _, m := range members {
			i := bytes.Index(rest, m.Data)
			if i < 0 || cap(m.Data) != len(m.Data) {
				t.Fatalf("member %q is not behind the one before it", m.Name)
			}
			rest = rest[i+len(m.Data):]
		}
	})
}

// archive returns an archive of two objects with a long and a short name, or nil if ar is not installed.
func archive(t testing.TB) []byte {
	dir := t.TempDir()
	out := filepath.Join(dir, "lib.a")
	args := []string{"rc", out}
	for _, name := range []string{"a.o", "a_name_of_over_sixteen_bytes.o"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	if exec.Command("ar", args...).Run() != nil {
		return nil
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
