// SPDX-License-Identifier: GPL-2.0

package build

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestWrongKinds checks that an unsuitable file given as target, twin, library or object is reported with its name and type.
func TestWrongKinds(t *testing.T) {
	old := map[string]string{"main.c": mainC, "f.c": "int f(int x) { return x * 3; }\n"}
	new := map[string]string{"main.c": mainC, "f.c": "int f(int x) { return x * 5; }\n"}
	p := newProject(t, old, new)
	in := func(name string) string { return filepath.Join(p.dir, name) }
	for _, args := range [][]string{
		{"-m32", "-c", in("old/f.c"), "-o", in("f32.o")},
		{"-m32", "-nostdlib", "-shared", "-fno-pic", in("f32.o"), "-o", in("prog32")},
		{"-mx32", "-c", in("old/f.c"), "-o", in("fx32.o")},
	} {
		if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
			t.Fatalf("gcc %v: %v\n%s", args, err, out)
		}
	}
	write(t, in("run"), []byte("#!/bin/sh\nexec ./prog\n"))
	if err := os.MkdirAll(in("one/new"), 0o755); err != nil {
		t.Fatal(err)
	}
	so, err := os.ReadFile(in("prog32"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, in("one/new/x.o"), so)
	if out, err := exec.Command("objcopy", "--only-keep-debug", p.target, in("prog.debug")).CombinedOutput(); err != nil {
		t.Fatalf("objcopy: %v\n%s", err, out)
	}
	const only = "; lpatch patches 64-bit x86-64 only"
	oldObject, newObject := in("old/objs/f.o"), in("new/objs/f.o")
	for _, tt := range []struct{ target, symbols, old, new, want string }{
		{in("prog32"), "", oldObject, newObject, in("prog32") + ": a program or shared object for 32-bit x86" + only},
		{in("run"), "", oldObject, newObject, in("run") + ": not an ELF file: it is a script for /bin/sh; name the program that runs"},
		{oldObject, "", oldObject, newObject, oldObject + ": an object file, not a program or shared object that runs; name the file that is mapped in the process"},
		{in("prog.debug"), "", oldObject, newObject, in("prog.debug") + ": a separate debug file, which has no code; name the program or library that it is for, and this file with --symbols"},
		{p.target, in("prog32"), oldObject, newObject, in("prog32") + ": a program or shared object for 32-bit x86" + only},
		{p.target, "", p.target, newObject, p.target + ": a program or shared object, not an object file; give the .o files of the build"},
		{p.target, "", oldObject, p.target, p.target + ": a program or shared object, not an object file; give the .o files of the build"},
		{p.target, "", in("f32.o"), newObject, in("f32.o") + ": an object file for 32-bit x86" + only},
		{p.target, "", oldObject, in("fx32.o"), in("fx32.o") + ": an object file for x32 (x86-64 with 32-bit pointers)" + only},
		{p.target, "", oldObject, in("one"), "new new/x.o: a program or shared object for 32-bit x86" + only},
		{p.target, "", in("one"), newObject, "old new/x.o: a program or shared object for 32-bit x86" + only},
	} {
		_, err := FromObjects(Options{Target: tt.target, Symbols: tt.symbols, Old: []string{tt.old}, New: []string{tt.new}, Name: "fix", Tool: "test"})
		if err == nil || err.Error() != tt.want {
			t.Errorf("target %s, symbols %s, old %s, new %s:\n got %v\nwant %s", tt.target, tt.symbols, tt.old, tt.new, err, tt.want)
		}
	}
}
