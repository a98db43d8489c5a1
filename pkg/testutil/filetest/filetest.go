// SPDX-License-Identifier: GPL-2.0

// Package filetest creates files and directories for tests, and marks slow tests.
package filetest

import (
	"os"
	"testing"
	"testing/fstest"
)

// Slow marks a test that takes several seconds: go test -short skips it.
func Slow(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("note: it takes long, and -short leaves it out")
	}
}

// Tree writes files below a directory; files maps paths to contents.
func Tree(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	if err := os.CopyFS(dir, tree); err != nil {
		t.Fatal(err)
	}
}

// Copy copies a program.
func Copy(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
}
