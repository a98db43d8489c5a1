// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/atomicfile"
	"lpatch/pkg/command"
	"lpatch/pkg/deb"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/progress"
)

// TestTwice checks that, with shims that compile twice, a build creates the same files as without shims, in addition to the
// objects for a patch.
func TestTwice(t *testing.T) {
	p := tinyTree{files: sources(map[string]string{"Makefile": plainMakefile + "once: main.c work.c\n\t$(CC) -g -O2 -o $@ $^\n"}), command: []string{"make", "prog", "once"}}
	dir := p.unpack(t)
	build := func(env []string) (prog, once []byte) {
		t.Helper()
		c := command.Command{Args: []string{"make", "-B", "CC=gcc", "prog", "once"}, Dir: dir, Env: env, Log: filepath.Join(t.TempDir(), "log")}
		if err := c.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string]*[]byte{"prog": &prog, "once": &once} {
			var err error
			if *data, err = os.ReadFile(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		return prog, once
	}
	prog, once := build(nil)
	s := newShims(t, dir)
	s.twice = true
	shimProg, shimOnce := build(s.env())
	if !bytes.Equal(prog, shimProg) || !bytes.Equal(once, shimOnce) {
		t.Error("the build makes other files")
	}
	for _, name := range []string{"work.o", "once-work.c.o"} {
		f, err := lpelf.Open(filepath.Join(s.objects, name))
		if err != nil {
			t.Fatal(err)
		}
		if f.Section(".text.work") == nil {
			t.Errorf("%s has no section of its own for work()", name)
		}
	}
	if n := objectCount(s.objects); n != 4 {
		t.Errorf("%d objects, want 4", n)
	}
}

// TestStockImages classifies the files of packages and finds their rebuilt counterparts.
func TestStockImages(t *testing.T) {
	stock, twin := t.TempDir(), t.TempDir()
	script := `
echo 'int f(int x) { return x * 3; } int main(void) { return f(1); }' >a.c
sed 's/3/5/' a.c >b.c
id=0x0102030405060708
mkdir -p "$1/one/usr/bin" "$1/two/usr/bin" "$1/one/usr/share" "$2/one/usr/bin" "$2/two/usr/bin"
gcc -g -O2 -Wl,--build-id=${id}01 -o "$2/one/usr/bin/same" a.c
strip -o "$1/one/usr/bin/same" "$2/one/usr/bin/same"
ln "$1/one/usr/bin/same" "$1/two/usr/bin/copy"
ln -s same "$1/two/usr/bin/two"
gcc -g -O2 -Wl,--build-id=${id}02 -o "$2/one/usr/bin/sections" a.c
gcc -s -O2 -Wl,--build-id=${id}03 -o "$1/one/usr/bin/sections" a.c
gcc -g -O2 -Wl,--build-id=${id}04 -o "$2/one/usr/bin/other" b.c
gcc -s -O2 -Wl,--build-id=${id}05 -o "$1/one/usr/bin/other" a.c
gcc -s -O2 -Wl,--build-id=${id}06 -o "$1/two/usr/bin/extra" a.c
echo text >"$1/one/usr/share/text"
gcc -c -o "$1/one/usr/share/object.o" a.c
`
	cmd := exec.Command("sh", "-ec", script, "sh", stock, twin)
	cmd.Dir = t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	list, err := stockImages(stock)
	if err != nil {
		t.Fatal(err)
	}
	if err := matchTwins(list, twin); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, im := range list {
		got = append(got, im.name()+": "+strings.Join(im.paths, " ")+": "+im.twinIs)
		if (im.twin != "") != (im.twinIs == "build-id" || im.twinIs == "loadable sections") {
			t.Errorf("%s: twin %q", im.name(), im.twin)
		}
	}
	want := []string{
		"other: one/usr/bin/other: not all: differs in .text",
		// its path in package two has the name of that package
		"two: one/usr/bin/same two/usr/bin/copy two/usr/bin/two: build-id",
		"sections: one/usr/bin/sections: loadable sections",
		"extra: two/usr/bin/extra: nothing: the build here makes no such file",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPatchName(t *testing.T) {
	p := &packager{o: PackageOptions{Source: "xz-utils", To: "5:5.4.1-1+deb12u2"}}
	used := map[string]int{}
	names := func() (out []string) {
		for _, path := range []string{"liblzma5/lib/liblzma.so.5.4.1", "b/liblzma.so.5.4.1"} {
			out = append(out, p.patchName(&stockImage{paths: []string{path}}, used))
		}
		return out
	}
	got := names()
	p.fixes = []deb.Fix{{Name: "sub/CVE-2026-1 " + strings.Repeat("x", 200) + ".patch"}}
	got = append(got, names()[0])
	want := []string{
		"xz-utils-5-5.4.1-1+deb12u2-liblzma.so.5.4.1", "xz-utils-5-5.4.1-1+deb12u2-liblzma.so.5.4.1-2",
		"xz-utils-CVE-2026-1-" + strings.Repeat("x", 87) + "-liblzma.so.5.4.1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := len(got[2]); n > 125 {
		t.Errorf("%d bytes leave no room for a number", n)
	}
}

// TestLockWork checks that a second build with the same work directory reports immediately for which process it waits.
func TestLockWork(t *testing.T) {
	dir := t.TempDir()
	unlock, err := atomicfile.LockOrSay(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var said strings.Builder
	if _, err := lockWork(ctx, dir, progress.Reporter{To: &said}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	want := fmt.Sprintf("waiting for the build of process %d, which has %s; --work names another directory\n", os.Getpid(), dir)
	if said.String() != want {
		t.Errorf("it said %q, want %q", said.String(), want)
	}
}

// TestObjectsOf checks the progress of the second build, which is based on the first one.
func TestObjectsOf(t *testing.T) {
	for _, c := range []struct {
		made, before int64
		want         string
	}{{0, 0, "0 objects"}, {1, 0, "1 object"}, {1, 1, "1 of 1 object"}, {2, 30, "2 of 30 objects"}} {
		if got := objectsOf(c.made, c.before); got != c.want {
			t.Errorf("%d, %d: %q, want %q", c.made, c.before, got, c.want)
		}
	}
}

// newShims returns shims for a build in a directory.
func newShims(t *testing.T, dir string) shims {
	t.Helper()
	s := shims{bin: t.TempDir(), objects: t.TempDir(), root: dir, origin: dir, path: os.Getenv("PATH")}
	self, err := os.Executable()
	if err = errors.Join(err, makeShims(s.bin, self, namesIn(filepath.SplitList(s.path)))); err != nil {
		t.Fatal(err)
	}
	return s
}
