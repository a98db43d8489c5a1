// SPDX-License-Identifier: GPL-2.0

package lpelf

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// object compiles a small object.
func object(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	src := filepath.Join(dir, "a_source_with_a_long_name.c")
	if err := os.WriteFile(src, []byte("extern int g(int); static int v = 3; int f(int x) { return g(x + v++); }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "a_source_with_a_long_name.o")
	if msg, err := exec.Command("gcc", "-O2", "-fPIC", "-c", src, "-o", out).CombinedOutput(); err != nil {
		t.Skipf("gcc: %v\n%s", err, msg)
	}
	return out
}

func TestParseObject(t *testing.T) {
	f, err := Open(object(t))
	if err != nil {
		t.Fatal(err)
	}
	if f.SourceName() != "a_source_with_a_long_name.c" {
		t.Errorf("source %q", f.SourceName())
	}
	var names []string
	for _, r := range f.Section(".text").Relocs {
		names = append(names, r.Type.String()+" "+r.Sym.Name)
	}
	want := []string{"R_X86_64_PC32 ", "R_X86_64_PC32 ", "R_X86_64_PLT32 g"}
	for i := range names {
		names[i] = strings.TrimSuffix(strings.TrimSuffix(names[i], "v"), ".data")
	}
	if len(names) < 2 || names[len(names)-1] != want[2] {
		t.Errorf("relocations %q", names)
	}
}

func TestParseErrors(t *testing.T) {
	data, err := os.ReadFile(object(t))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "not an ELF file"},
		{"text", []byte("hello"), "not an ELF file"},
		{"magic only", data[:20], "truncated: 20 bytes"},
		{"cut", data[:len(data)-64], "x.o: truncated: the section table ends at"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Parse("x.o", tt.data); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that says %q", err, tt.want)
			}
		})
	}
	if _, err := Parse("x.o", []byte("hello")); !errors.Is(err, ErrNotELF) {
		t.Errorf("error %v is not ErrNotELF", err)
	}
}

func TestArchive(t *testing.T) {
	obj := object(t)
	ar := filepath.Join(filepath.Dir(obj), "lib.a")
	if msg, err := exec.Command("ar", "rc", ar, obj).CombinedOutput(); err != nil {
		t.Skipf("ar: %v\n%s", err, msg)
	}
	data, err := os.ReadFile(ar)
	if err != nil {
		t.Fatal(err)
	}
	members, err := ParseArchive("lib.a", data)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(obj)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Member{{Name: "a_source_with_a_long_name.o", Data: want}}, members); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := ParseArchive("lib.a", data[:len(data)-9]); err == nil || !strings.Contains(err.Error(), "truncated") {
		t.Errorf("a cut archive: %v", err)
	}
	if _, err := ParseArchive("lib.a", []byte("!<thin>\n")); err == nil || !strings.Contains(err.Error(), "thin") {
		t.Errorf("a thin archive: %v", err)
	}
}

func TestProgram(t *testing.T) {
	f, err := Open("/bin/sh")
	if err != nil {
		t.Skip(err)
	}
	slots, err := f.ReadSlots()
	if err != nil {
		t.Fatal(err)
	}
	if len(f.BuildID()) == 0 || len(f.LoadSHA256()) != 32 || len(slots.GOT["malloc"]) == 0 {
		t.Errorf("build-id %x, %d GOT slots", f.BuildID(), len(slots.GOT))
	}
	for plt, slot := range slots.PLT {
		if slots.PLTOf[slot] != plt && slots.PLTOf[slot] == 0 {
			t.Errorf("PLT entry %#x: slot %#x leads nowhere", plt, slot)
		}
	}
}

// TestRelr reads the packed table of relative relocations of an array of pointers with gaps.
func TestRelr(t *testing.T) {
	dir := t.TempDir()
	source := "int v[200]; int *p[200] = {[0] = v, [1] = v + 1, [63] = v + 63, [64] = v + 64, [130] = v + 130, [199] = v + 199};\n"
	if err := os.WriteFile(dir+"/x.c", []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"-shared", "-fPIC", "-fvisibility=hidden", "-nostdlib", "-Wl,-z,pack-relative-relocs", "-o", dir + "/x.so", dir + "/x.c"}
	if msg, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		t.Skipf("gcc: %v\n%s", err, msg)
	}
	f, err := Open(dir + "/x.so")
	if err != nil {
		t.Fatal(err)
	}
	if f.Section(".relr.dyn") == nil {
		t.Skip("this linker does not pack relocations")
	}
	slots, err := f.ReadSlots()
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]uint64{}
	for _, s := range f.Symbols {
		at[s.Name] = s.Value
	}
	got, want := map[uint64]int64{}, map[uint64]int64{}
	for vaddr, s := range slots.ByVaddr {
		got[vaddr] = s.Addend
	}
	for _, i := range []uint64{0, 1, 63, 64, 130, 199} {
		want[at["p"]+8*i] = int64(at["v"] + 4*i)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("words with their addends (-want +got):\n%s", diff)
	}
}
