// SPDX-License-Identifier: GPL-2.0

package bake

import (
	"os"
	"path/filepath"
	"testing"

	"lpatch/pkg/build"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
	"lpatch/pkg/testutil/fuzztest"
)

// FuzzFile checks that File returns an error, or a file that can be parsed and is not baked again.
func FuzzFile(f *testing.F) {
	data, p := small(f)
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := lpelf.Parse("prog", data); err != nil {
			return // lpelf has a fuzz target of its own
		}
		var out []byte
		var err error
		fuzztest.Bounded(t, len(data)+len(p.Data), func() { out, err = File("prog", data, p) })
		if err != nil {
			return
		}
		if _, err := lpelf.Parse("prog", out); err != nil {
			t.Fatalf("the baked file: %v", err)
		}
		if _, err := File("prog", out, p); err == nil {
			t.Fatal("a baked file was baked again")
		}
	})
}

// small returns a small shared object and a patch for it.
func small(f *testing.F) ([]byte, *patch.File) {
	f.Helper()
	dir := f.TempDir()
	path := filepath.Join(dir, "prog")
	old := fuzztest.Compile(f, "gcc", "-g", "-O2", "-fPIC", "-c", "-ffunction-sections", "-fdata-sections")
	changed := fuzztest.Compile(f, "gcc", "-g", "-O2", "-fPIC", "-c", "-ffunction-sections", "-fdata-sections", "-Dout=out", "-D__LINE__=77")
	shared := fuzztest.Compile(f, "gcc", "-O2", "-fPIC", "-shared", "-nostdlib", "-Wl,--build-id")
	if old == nil || changed == nil || shared == nil {
		f.Skip("gcc is not installed")
	}
	for name, data := range map[string][]byte{path: shared, dir + "/old.o": old, dir + "/new.o": changed} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			f.Fatal(err)
		}
	}
	for side, name := range map[string]string{"old": "old.o", "new": "new.o"} {
		if err := os.Mkdir(filepath.Join(dir, side), 0o700); err != nil {
			f.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, side, "unit.o")); err != nil {
			f.Fatal(err)
		}
	}
	res, err := build.FromObjects(build.Options{Target: path, Old: []string{dir + "/old"}, New: []string{dir + "/new"}, Name: "test", Tool: "test"})
	if err != nil {
		f.Fatal(err)
	}
	p, err := patch.Read(res.Data)
	if err != nil {
		f.Fatal(err)
	}
	return shared, p
}
