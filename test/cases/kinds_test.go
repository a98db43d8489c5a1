// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"os"
	"strings"
	"testing"

	"lpatch/pkg/lpnl"
)

// TestKinds patches each kind of ELF file, and each kind of process that others cannot patch.
func TestKinds(t *testing.T) {
	for _, k := range []struct {
		name, program, image string
		args                 []string
	}{
		{"pie", "victim", "victim", nil},
		{"no-pie", "victim-nopie", "victim-nopie", nil},
		{"static", "victim-static", "victim-static", nil},
		{"shared-library", "victim-shared", "libvalue-gcc-O2.so", nil},
		{"mlockall", "victim", "victim", []string{"-l"}},
		{"seccomp-strict", "victim", "victim", []string{"-s"}},
		{"seccomp-filter", "victim", "victim", []string{"-f"}},
		{"not-dumpable", "victim", "victim", []string{"-d"}},
	} {
		t.Run(k.name, func(t *testing.T) {
			v := startVictim(t, k.program, append([]string{"-t", "2", "-m", "spin"}, k.args...)...)
			c := dial(t)
			cycle(t, c, v, rawPatch(t, fixtures+k.image, "value"), 10)
			v.wantNoWrong()
		})
	}
}

// TestStraddle overwrites bytes that lie on two pages.
//
//machine:preempts
func TestStraddle(t *testing.T) {
	v := startVictim(t, "victim")
	c := dial(t)
	p := rawPatch(t, v.path, "straddle")
	transfer(t, c, p)
	for range 5 {
		do(t, c, lpnl.VerbApply, p, v.pid)
		if got := v.ask("straddle"); got != "value 2" {
			t.Fatalf("patched: %s", got)
		}
		do(t, c, lpnl.VerbRestore, p, v.pid)
		if got := v.ask("straddle"); got != "value 1" {
			t.Fatalf("restored: %s", got)
		}
	}
	do(t, c, lpnl.VerbUnload, p, v.pid)
}

// TestValue overwrites a variable together with a function.
func TestValue(t *testing.T) {
	v := startVictim(t, "victim", "-t", "2", "-m", "spin")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	addRawSite(t, p, v.path, "number")
	p.Functions = p.Functions[:1]
	number := &p.Sites[1]
	number.Kind, number.Old, number.New = lpnl.SiteKindBytes, []byte{1, 0, 0, 0}, []byte{7, 0, 0, 0}
	transfer(t, c, p)
	if r := do(t, c, lpnl.VerbApply, p, v.pid); r.Functions != 1 || r.Values != 1 {
		t.Fatalf("%d functions and %d values, want 1 and 1", r.Functions, r.Values)
	}
	v.wantValue(2)
	if got := v.ask("number"); got != "value 7" {
		t.Fatalf("applied: %s", got)
	}
	do(t, c, lpnl.VerbRestore, p, v.pid)
	v.wantValue(1)
	if got := v.ask("number"); got != "value 1" {
		t.Fatalf("restored: %s", got)
	}
	do(t, c, lpnl.VerbUnload, p, v.pid)
}

// TestFileUntouched looks whether the file, and another process that maps it, keep their bytes.
func TestFileUntouched(t *testing.T) {
	v, other := startVictim(t, "victim"), startVictim(t, "victim")
	before, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	do(t, c, lpnl.VerbApply, p, v.pid)
	v.wantValue(2)
	other.wantValue(1)
	if after, err := os.ReadFile(v.path); err != nil || string(after) != string(before) {
		t.Fatalf("the file has changed (%v)", err)
	}
	do(t, c, lpnl.VerbRestore, p, v.pid)
	do(t, c, lpnl.VerbUnload, p, v.pid)
}

// TestTwoPatches applies two patches to one process, each to a function of its own.
func TestTwoPatches(t *testing.T) {
	v := startVictim(t, "victim", "-t", "2", "-m", "spin")
	c := dial(t)
	first, other := rawPatch(t, v.path, "value"), rawPatch(t, v.path, "straddle")
	first.Name, other.Name = "first", "other"
	for _, p := range []*lpnl.Patch{first, other} {
		transfer(t, c, p)
		do(t, c, lpnl.VerbApply, p, v.pid)
	}
	if n := strings.Count(maps(t, v.pid), "/raw"); n != 2 {
		t.Fatalf("%d patches are mapped, want 2", n)
	}
	wantStatus(t, c, 2)
	for _, p := range []*lpnl.Patch{first, other} {
		do(t, c, lpnl.VerbRestore, p, v.pid)
		do(t, c, lpnl.VerbUnload, p, v.pid)
	}
	v.wantNoWrong()
}
