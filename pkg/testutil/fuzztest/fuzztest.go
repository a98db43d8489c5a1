// SPDX-License-Identifier: GPL-2.0

// Package fuzztest provides common parts of fuzz targets: limits of the resources that parsing a small input may use, and
// seed inputs.
package fuzztest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime/metrics"
	"testing"
	"time"
)

// The limit of memory that parsing an input of n bytes may allocate, in bytes: perByte * n + constant. A table of pointers to
// structures needs some ten times the size of its encoding; quadratic growth soon exceeds the limit.
const (
	perByte  = 256
	constant = 4 << 20
)

// hang is the time limit for one input. Parsing takes milliseconds, so that only an endless loop exceeds it.
const hang = 30 * time.Second

// Bounded calls read, which parses an input of n bytes, and fails the test if it allocates more than the limit. If read does
// not return in time, the process is terminated.
func Bounded(t testing.TB, n int, read func()) {
	t.Helper()
	watchdog := time.AfterFunc(hang, func() { panic("reading the input does not end") })
	defer watchdog.Stop()
	before := allocated()
	read()
	if got := allocated() - before; got > uint64(perByte*n+constant) {
		t.Fatalf("reading %d bytes allocated %d", n, got)
	}
}

// allocated returns the total number of bytes allocated by the process.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// Source is a small translation unit with static and global data, strings, a static local variable and a call.
const Source = `
extern int out(const char *, int);
static int count = 3;
const char *names[] = { "one", "two" };
__thread int own;
static __attribute__((noinline)) int add(int x) { static int calls; return x + count++ + calls++; }
int twice(int x) { own = x; return out(names[x & 1], add(x) + __LINE__); }
`

// Compile returns the object that a compiler makes of Source, or nil if the compiler is not installed.
func Compile(t testing.TB, cc string, args ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	src, out := filepath.Join(dir, "unit.c"), filepath.Join(dir, "out")
	if err := os.WriteFile(src, []byte(Source), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(cc, append(args, "unit.c", "-o", out)...)
	cmd.Dir = dir
	if msg, err := cmd.CombinedOutput(); err != nil {
		if _, missing := exec.LookPath(cc); missing != nil {
			return nil
		}
		t.Fatalf("%v: %v\n%s", cmd, err, msg)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Objects returns objects made by the installed compilers, with and without debug information.
func Objects(t testing.TB) [][]byte {
	t.Helper()
	var list [][]byte
	for _, cc := range []string{"gcc", "clang-14"} {
		for _, debug := range []string{"-g0", "-g"} {
			if o := Compile(t, cc, "-O2", debug, "-fPIC", "-ffunction-sections", "-fdata-sections", "-c"); o != nil {
				list = append(list, o)
			}
		}
	}
	return list
}

// Shared returns a small shared object with a build-id, symbol versions and a PLT.
func Shared(t testing.TB) [][]byte {
	t.Helper()
	var list [][]byte
	if so := Compile(t, "gcc", "-O2", "-fPIC", "-shared", "-Wl,--build-id,-soname,libunit.so.1"); so != nil {
		list = append(list, so)
	}
	return list
}
