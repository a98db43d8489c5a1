// SPDX-License-Identifier: GPL-2.0

// Package filetest makes the files and directories that tests begin with, and knows which tests take long.
package filetest

import (
	"os"
	"testing"
	"testing/fstest"
)

// Slow is for a test that takes several seconds: go test -short leaves it out.
func Slow(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("note: it takes long, and -short leaves it out")
	}
}

// Tree writes files, PATH -> text, below a directory.
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
