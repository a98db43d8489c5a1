// SPDX-License-Identifier: GPL-2.0

package build

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/deb"
	"lpatch/pkg/testutil/filetest"
)

// madePackage builds an artificial package with a program and a library twice like packager.build, the second time with a
// fix, and creates patches for the output of the first build. flags are compiler flags.
func madePackage(t *testing.T, files map[string]string, flags string, fix func(tree string)) []ImageResult {
	t.Helper()
	p := &packager{o: PackageOptions{Source: "made", To: "fix"}, dir: t.TempDir(), old: &deb.Source{Name: "made"}, res: &PackageResult{}}
	tree := p.path("tree")
	for _, build := range []string{"old", "new"} {
		_ = os.RemoveAll(tree)
		filetest.Tree(t, tree, files)
		if build == "new" {
			fix(tree)
		}
		s := newShims(t, tree)
		s.twice, s.objects = true, p.path(build)
		if err := os.Mkdir(s.objects, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("make", "CFLAGS="+flags)
		cmd.Dir, cmd.Env = tree, append(os.Environ(), s.env()...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if build == "new" {
			break
		}
		runIn(t, p.dir, []string{"sh", "-ec", "cp -a tree/debian twin; cp -a twin stock; strip stock/made/bin/* stock/made/lib/*"})
	}
	if err := p.makePatches(); err != nil {
		t.Fatal(err)
	}
	return p.res.Images
}

// madeFiles returns a package with a program, and a library that is linked again when it is installed.
func madeFiles(begin string) map[string]string {
	files := map[string]string{
		"Makefile": "all: prog libmade.so\n\tmkdir -p debian/made/bin debian/made/lib\n\tcp prog debian/made/bin\n\tcp libmade.so debian/made/lib\n" +
			"prog: a.o b.o m.o\n\t$(CC) -o $@ $^\nlibmade.so: lib.o\n\t$(CC) -shared -Wl,-soname,$@ -o $@ $^\nlib.o: lib.c\n\t$(CC) $(CFLAGS) -fPIC -c $<\n",
		"m.c": "#include <stdio.h>\nint a(int), b(int);\nstatic int limit = 9;\nint main(int c, char **v) { printf(\"%d %s\\n\", a(c) + b(c) + limit, v[0]); return 0; }\n",
		// .data ends at an address where GNU ld moves .bss if it keeps relocations
		"lib.c": "char odd[9] = \"odd\";\nint late;\nint made(int x) { return x * 5 + 1; }\nint again(int x) { late++; return made(x) / 3; }\n",
	}
	for _, name := range []string{"a", "b"} {
		files[name+".c"] = strings.ReplaceAll(begin, "%", name) + "static int calls_" + name + ";\nint " + name + "(int x) { switch (x) { case 1: return 7; case 2: return 70; case 3: return 4; case 4: return 5; case 5: return 3; } calls_" + name + "++; return x * 3; }\n"
	}
	return files
}

// replaceIn returns a function that replaces a text in a file of a tree.
func replaceIn(t *testing.T, file, old, new string) func(tree string) {
	return func(tree string) {
		t.Helper()
		path := filepath.Join(tree, file)
		data, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(data), old) {
			t.Fatalf("%s has no %q (%v)", file, old, err)
		}
		write(t, path, []byte(strings.ReplaceAll(string(data), old, new)))
	}
}

// TestPackageImages checks that the linked images of a package are compared: changes that objects do not show are refused,
// and there are no warnings for a fix that is patched. Without -g in flags, sources are compiled again.
func TestPackageImages(t *testing.T) {
	const start = "#include <stdio.h>\n__attribute__((constructor)) static void begin_%(void) { puts(\"%\"); }\n"
	order := func(t *testing.T) func(string) { return replaceIn(t, "Makefile", "a.o b.o", "b.o a.o") }
	constant := func(t *testing.T) func(string) { return replaceIn(t, "a.c", "return 70;", "return 71;") }
	for name, c := range map[string]struct {
		begin, flags string
		fix          func(*testing.T) func(string)
		prog, lib    string
	}{
		"order of constructors":                {start, "-g -O2", order, "unexplained prog: as the build links it with the fix, .init_array: its entry 1 leads to begin_b, and led to begin_a; no object shows that, and the patch does not have it: make the fix without it, or restart the program", "nothing"},
		"order of objects":                     {"", "-g -O2", order, "nothing", "nothing"},
		"a constant":                           {start, "-g -O2", constant, "patched a", "nothing"},
		"a constant without debug information": {start, "-O2", constant, "patched a", "nothing"},
		"in the library":                       {start, "-g -O2", func(t *testing.T) func(string) { return replaceIn(t, "lib.c", "* 5", "* 6") }, "nothing", "patched made"},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]string{}
			for _, im := range madePackage(t, madeFiles(c.begin), c.flags, c.fix(t)) {
				got[filepath.Base(im.File)] = outcomeOf(im)
			}
			if got["prog"] != c.prog || got["libmade.so"] != c.lib {
				t.Errorf("got  %q\nwant %q, %q", got, c.prog, c.lib)
			}
		})
	}
}

// outcomeOf describes the result for an image.
func outcomeOf(im ImageResult) string {
	var refusals Refusals
	switch {
	case errors.As(im.Err, &refusals):
		return string(refusals[0].Code) + " " + filepath.Base(refusals[0].File) + refusals[0].Symbol + ": " + refusals[0].Text
	case errors.Is(im.Err, ErrNothing):
		_, unproved, _ := strings.Cut(im.Err.Error(), "; ")
		return "nothing" + unproved
	case im.Err != nil:
		return im.Err.Error()
	}
	var names []string
	for _, f := range im.Result.Spec.Functions {
		names = append(names, f.Symbol)
	}
	return strings.Join(append([]string{"patched " + strings.Join(names, " ")}, im.Result.Warnings...), "; ")
}
