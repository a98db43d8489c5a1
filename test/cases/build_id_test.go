// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lpatch/pkg/lpelf"
	"lpatch/pkg/lpnl"
)

const saysOtherBuild = "the file of the image has another build-id than the one that the patch is for, or none"

// buildID is that of a fixture, which has one.
func buildID(t *testing.T, f *os.File) []byte {
	t.Helper()
	h, err := lpelf.ReadHead(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.BuildID) == 0 {
		t.Fatalf("%s has no build-id", f.Name())
	}
	return h.BuildID
}

// elfPlaces are where a test changes the headers of an ELF file: the number of program headers, and the size and the offset in the
// file of the notes that have the build-id.
type elfPlaces struct{ phnum, filesz, offset int }

// placesOf finds them, and where the build-id is.
func placesOf(t *testing.T, d, id []byte) (elfPlaces, int) {
	t.Helper()
	at := bytes.Index(d, id)
	for i := range int(binary.LittleEndian.Uint16(d[0x38:])) {
		prog := int(binary.LittleEndian.Uint64(d[0x20:])) + 56*i
		offset, size := int(binary.LittleEndian.Uint64(d[prog+8:])), int(binary.LittleEndian.Uint64(d[prog+32:]))
		if binary.LittleEndian.Uint32(d[prog:]) == 4 && offset < at && at < offset+size {
			return elfPlaces{phnum: 0x38, filesz: prog + 32, offset: prog + 8}, at
		}
	}
	t.Fatal("no notes have the build-id")
	return elfPlaces{}, 0
}

// TestBuildID gives the kernel an image with a build-id of which the file is another one, has none, or is no ELF file at all.
func TestBuildID(t *testing.T) {
	p := rawPatch(t, fixtures+"victim", "value")
	id := buildID(t, p.Images[0].File)
	whole, err := os.ReadFile(fixtures + "victim")
	if err != nil {
		t.Fatal(err)
	}
	places, at := placesOf(t, whole, id)
	put64 := func(at int, value uint64) func(d []byte) []byte {
		return func(d []byte) []byte { binary.LittleEndian.PutUint64(d[at:], value); return d }
	}
	for what, c := range map[string]struct {
		change func(d []byte) []byte
		want   string
	}{
		"the file itself":            {func(d []byte) []byte { return d }, ""},
		"another build":              {func(d []byte) []byte { d[at]++; return d }, saysOtherBuild},
		"a longer build-id":          {func(d []byte) []byte { d[at-12]++; return d }, saysOtherBuild},
		"no build-id":                {func(d []byte) []byte { d[at-8] = 77; return d }, saysOtherBuild},
		"no ELF":                     {func(d []byte) []byte { d[0] = 'x'; return d }, saysOtherBuild},
		"32-bit":                     {func(d []byte) []byte { d[4] = 1; return d }, saysOtherBuild},
		"empty":                      {func([]byte) []byte { return nil }, saysOtherBuild},
		"a part of the header":       {func(d []byte) []byte { return d[:63] }, saysOtherBuild},
		"a part of program headers":  {func(d []byte) []byte { return d[:100] }, saysOtherBuild},
		"no program headers":         {func(d []byte) []byte { d[places.phnum], d[places.phnum+1] = 0, 0; return d }, saysOtherBuild},
		"65535 program headers":      {func(d []byte) []byte { d[places.phnum], d[places.phnum+1] = 255, 255; return d }, saysOtherBuild},
		"notes without end":          {put64(places.filesz, math.MaxUint64), saysOtherBuild},
		"notes of a terabyte":        {put64(places.filesz, 1<<40), saysOtherBuild},
		"notes behind the end":       {put64(places.offset, 1<<40), saysOtherBuild},
		"notes at a negative offset": {put64(places.offset, math.MaxUint64-7), saysOtherBuild},
		"a note of 4 GiB":            {func(d []byte) []byte { copy(d[at-12:], "\xff\xff\xff\xff"); return d }, saysOtherBuild},
	} {
		path := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(path, c.change(bytes.Clone(whole)), 0o755); err != nil {
			t.Fatal(err)
		}
		p.Images[0].File, p.Images[0].BuildID = open(t, path), id
		p.Hash[0]++
		got := ""
		if err := dial(t).Transfer(p); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}

// TestBuildIDUnreadable gives an image that is open for writing only, and a build-id that is too long.
func TestBuildIDUnreadable(t *testing.T) {
	p := rawPatch(t, fixtures+"victim", "value")
	p.Images[0].BuildID = buildID(t, p.Images[0].File)
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p.Images[0].File = f
	const want = "the build-id of the image's file cannot be read"
	if err := dial(t).Transfer(p); err == nil || err.Error() != want {
		t.Fatalf("got %v, want %q", err, want)
	}
	p.Images[0].BuildID = make([]byte, lpnl.BuildIDMax+1)
	if err := dial(t).Transfer(p); err == nil {
		t.Fatal("a build-id of 65 bytes is accepted")
	}
}

// TestBuildIDForged has another thread of the client put memory of its own where the kernel has mapped an image to read it, while the
// page does not come.
//
//machine:needs CONFIG_FUSE_FS
func TestBuildIDForged(t *testing.T) {
	loadKernels(t, "fuse", "")
	s := serve(t, "victim")
	p := rawPatch(t, fixtures+"victim", "value")
	p.Images[0].BuildID = buildID(t, p.Images[0].File)
	p.Images[0].File = open(t, s.path)
	s.stop()
	c, done := dial(t), make(chan error, 1)
	go func() { done <- c.Transfer(p) }()
	var start, end uint64
	waitFor(t, "the image to be mapped", func() bool {
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(maps)) {
			if strings.HasSuffix(line, s.path+"\n") && parse(line, "%x-%x", &start, &end) {
				return true
			}
		}
		return false
	})
	if _, _, errno := unix.Syscall6(unix.SYS_MMAP, uintptr(start), uintptr(end-start), unix.PROT_READ,
		unix.MAP_FIXED|unix.MAP_ANONYMOUS|unix.MAP_PRIVATE, ^uintptr(0), 0); errno != 0 {
		t.Fatal(errno)
	}
	s.signal(syscall.SIGCONT)
	const want = "the build-id of the image's file cannot be read"
	if err := <-done; err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}
