// SPDX-License-Identifier: GPL-2.0

package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/*.golden")

// TestSmall compares what is made of a small contract that has everything the generator knows.
func TestSmall(t *testing.T) {
	s := parseFile(t, "testdata/small.yaml")
	for _, o := range outputs {
		got, err := o.render(s)
		if err != nil {
			t.Fatalf("%s: %v", o.path, err)
		}
		golden := filepath.Join("testdata", "small-"+filepath.Base(o.path)+".golden")
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		compare(t, golden, got)
	}
}

// TestDrift fails when the contract or the generator was changed and the outputs were not made again.
func TestDrift(t *testing.T) {
	root := "../.."
	s := parseFile(t, filepath.Join(root, specPath))
	for _, o := range outputs {
		got, err := o.render(s)
		if err != nil {
			t.Fatalf("%s: %v", o.path, err)
		}
		compare(t, filepath.Join(root, o.path), got)
	}
}

func TestBadSpecs(t *testing.T) {
	text, err := os.ReadFile("testdata/small.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"protocol: genetlink", "protocol: raw", `protocol is "raw", not genetlink`},
		{"doc: leaves", "docs: leaves", "field docs not found"},
		{"doc: bytes in a name}", "doc: bytes, in a name}", "field in a name not found"},
		{"type: flag}", "type: u8}", `attribute tree/live: type "u8" is not supported`},
		{"struct: pair", "struct: trio", `attribute tree/pairs: there is no struct "trio"`},
		{"nested-attributes: leaf", "nested-attributes: root", `attribute tree/leaf: there is no attribute set "root"`},
		{"exact-len: hash-len", "exact-len: hash", `attribute tree/hash: there is no const "hash"`},
		{"enum: color}\n      - {name: bits", "enum: bits}\n      - {name: bits", `attribute leaf/color: there is no enum "bits"`},
		{"{name: first, type: s64}", "{name: first, type: u16}", `struct pair: type "u16" of first is not supported`},
		{"attributes: [live]", "attributes: [dead]", `operation tree-grow: attribute set tree has no "dead"`},
		{"flags: [cap-sys-admin]", "flags: [admin-perm]", `group news: flag "admin-perm" is not supported`},
		{"mcgrp: news", "mcgrp: olds", `operation fell: there is no group "olds"`},
	} {
		broken := strings.Replace(string(text), c.old, c.new, 1)
		if broken == string(text) {
			t.Fatalf("%q is not in the file", c.old)
		}
		if _, err := parse([]byte(broken)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("with %q: error %v, want %q", c.new, err, c.want)
		}
	}
}

// TestRun writes the files once, and not again.
func TestRun(t *testing.T) {
	root := t.TempDir()
	text, err := os.ReadFile("testdata/small.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := replace(filepath.Join(root, specPath), text); err != nil {
		t.Fatal(err)
	}
	var times [2]os.FileInfo
	for i := range times {
		if err := run(root); err != nil {
			t.Fatal(err)
		}
		if times[i], err = os.Stat(filepath.Join(root, outputs[0].path)); err != nil {
			t.Fatal(err)
		}
	}
	if !os.SameFile(times[0], times[1]) {
		t.Error("an unchanged file was written again")
	}
}

func parseFile(t *testing.T, path string) *spec {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func compare(t *testing.T, path string, got []byte) {
	t.Helper()
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs from what abigen makes; run go run ./scripts/abigen (-file +made):\n%s", path, diff)
	}
}
