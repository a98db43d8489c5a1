// SPDX-License-Identifier: GPL-2.0

package build

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/deb"
	"lpatch/pkg/testutil/filetest"
)

// TestClaim checks that the result of an earlier build is reused only for the same inputs and record format.
func TestClaim(t *testing.T) {
	p := &packager{o: PackageOptions{Suite: "bookworm"}, old: &deb.Source{}, dir: t.TempDir()}
	kept := func() bool {
		t.Helper()
		if err := p.claim(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, statErr := os.Stat(p.path("old/x.o"))
		if err := os.MkdirAll(p.path("old"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, p.path("old/x.o"), nil)
		return statErr == nil
	}
	kept()
	if !kept() {
		t.Error("it is gone, and nothing is another one")
	}
	now, err := os.ReadFile(p.path("made-for"))
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf("records %d\n", recordFormat)
	for name, text := range map[string]string{
		"without a format": strings.Replace(string(now), line, "", 1), "another format": strings.Replace(string(now), line, "records 1\n", 1),
		"another suite": strings.Replace(string(now), "bookworm", "trixie", 1),
	} {
		write(t, p.path("made-for"), []byte(text))
		if kept() {
			t.Errorf("%s: it is kept", name)
		}
	}
}

// TestFileSum distinguishes a missing file from one that cannot be read.
func TestFileSum(t *testing.T) {
	dir := t.TempDir()
	filetest.Tree(t, dir, map[string]string{"a": "x"})
	if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": sumOf([]byte("x")), "b": "", "a/b": "", ".": ""} {
		if got, err := fileSum(filepath.Join(dir, name)); got != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := fileSum(filepath.Join(dir, "loop")); err == nil {
		t.Error("no error")
	}
}
