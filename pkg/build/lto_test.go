// SPDX-License-Identifier: GPL-2.0

package build

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"

	"lpatch/pkg/testutil/filetest"
)

// ltoTree is a program with a fix of a static function that shares its name with another one, and of a function inlined into
// main.
var ltoTree = map[string]string{
	"main.c": "int price(int), rest(int);\nstatic int seen;\nstatic __attribute__((noinline)) int add(int n) { seen += n; return seen; }\nint main(int argc, char **argv) { return price(argc) + rest(argc) + add(argc); }\n",
	"b.c":    "int price(int n) { return n * 7; }\n",
	"c.c":    "static int seen;\nstatic __attribute__((noinline)) int add(int n) { seen += n * 3; return seen; }\nint rest(int n) { return add(n) + n; }\n",
}

const ltoFix = "--- a/b.c\n+++ b/b.c\n@@ -1 +1 @@\n-int price(int n) { return n * 7; }\n+int price(int n) { return n * 70; }\n" +
	"--- a/c.c\n+++ b/c.c\n@@ -1,3 +1,3 @@\n static int seen;\n-static __attribute__((noinline)) int add(int n) { seen += n * 3; return seen; }\n" +
	"+static __attribute__((noinline)) int add(int n) { seen += n * 30; return seen; }\n int rest(int n) { return add(n) + n; }\n"

// TestLTO checks that the output of link-time optimisation is compared, or the reason why not is given.
func TestLTO(t *testing.T) {
	filetest.Slow(t)
	const compile = "gcc -O2 -g -flto -c main.c b.c c.c && "
	for _, tt := range []struct{ name, command, refusal string }{
		{"slim", compile + "gcc -O2 -flto main.o b.o c.o -o prog", ""},
		{"one call", "gcc -O2 -g -flto main.c b.c c.c -o prog", ""},
		{"partitions", compile + "gcc -O2 -flto -flto-partition=1to1 main.o b.o c.o -o prog", ""},
		{"linked with -r first", compile + "gcc -O2 -r -flto b.o c.o -o bc.o && gcc -O2 -flto main.o bc.o -o prog", ""},
		{"fat objects, linked without", "gcc -O2 -g -flto -ffat-lto-objects -c main.c b.c c.c && gcc -fno-lto main.o b.o c.o -o prog", ""},
		{"without the plugin", "gcc -O2 -g -flto -ffat-lto-objects -c main.c b.c c.c && gcc -O2 -flto -fno-use-linker-plugin main.o b.o c.o -o prog",
			"it is linked with -flto and -fno-use-linker-plugin, so that members of archives may be optimised or not; link it with the plugin"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			top := t.TempDir()
			filetest.Tree(t, filepath.Join(top, "tree"), ltoTree)
			filetest.Tree(t, filepath.Join(top, "stock"), ltoTree)
			write(t, filepath.Join(top, "fix.patch"), []byte(ltoFix))
			cmd := exec.Command("sh", "-c", tt.command)
			cmd.Dir = filepath.Join(top, "stock")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Skipf("%v\n%s", err, out)
			}
			_, err := FromSource(context.Background(), SourceOptions{Target: filepath.Join(top, "stock", "prog"), Source: filepath.Join(top, "tree"),
				Patch: filepath.Join(top, "fix.patch"), Command: []string{"sh", "-c", tt.command}, Name: "fix", Tool: "test"})
			if got := refusalsOf(err, "no target")["lto prog "]; got != tt.refusal || (err == nil) != (tt.refusal == "") {
				t.Errorf("%v, want %q", err, tt.refusal)
			}
		})
	}
}

// TestLateTwice checks that the link is repeated for the patch if the build gets its own files.
func TestLateTwice(t *testing.T) {
	dir, plain := t.TempDir(), t.TempDir()
	filetest.Tree(t, dir, ltoTree)
	filetest.Tree(t, plain, ltoTree)
	s := newShims(t, dir)
	s.twice = true
	build := func(dir string, env []string) []byte {
		cmd := exec.Command("sh", "-c", "gcc -O2 -g -flto -c main.c && gcc -O2 -g -flto -c b.c && gcc -O2 -g -flto -c c.c && gcc -O2 -flto -MMD -MF prog.d -MT prog -Xlinker -Map -Xlinker m main.o b.o c.o -o prog && strip prog")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		f, err := lpelf.Open(filepath.Join(dir, "prog"))
		if err != nil {
			t.Fatal(err)
		}
		return f.Section(".text").Data
	}
	if string(build(dir, s.env())) != string(build(plain, nil)) {
		t.Error("the build did not get the program as it wants it")
	}
	f, err := lpelf.Open(filepath.Join(s.objects, "prog"+diff.LateSuffix))
	if err != nil {
		t.Fatal(err)
	}
	obj, err := diff.NewObject("prog"+diff.LateSuffix, f)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range obj.Functions() {
		names = append(names, f.Name)
	}
	text := strings.Join(names, " ")
	for _, want := range []string{"add.main_c", "add.c_c", "main"} {
		if fn := obj.Lookup(want); fn == nil || !strings.HasPrefix(obj.SectionOf(fn).Name, ".text.") {
			t.Errorf("no %s in a section of its own, only %s", want, text)
		}
	}
	links, err := readBuildLinks(s.objects)
	if err != nil || len(links.records) != 1 || !links.records[0].LTO || links.records[0].WhyNotLate != "" {
		t.Errorf("%v %+v", err, links.records)
	}
}
