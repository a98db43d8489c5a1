// SPDX-License-Identifier: GPL-2.0

package build

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

// TestImages checks that a fix which only changes the order of linked objects, and thereby that of constructors, is not
// reported as "nothing to do". Without constructors it is.
func TestImages(t *testing.T) {
	const start = "#include <stdio.h>\n__attribute__((constructor)) static void begin_%(void) { puts(\"%\"); }\n"
	for begin, want := range map[string]string{
		start: "unexplained prog :as the build links it with the fix, .init_array: its entry 1 leads to begin_b, and led to begin_a; no object shows that, and the patch does not have it: make the fix without it, or restart the program",
		"":    "nothing",
	} {
		dir := t.TempDir()
		tree, patchFile := filepath.Join(dir, "tree"), filepath.Join(dir, "fix.patch")
		files := map[string]string{"Makefile": "CFLAGS = -O2 -g\nprog: a.o b.o m.o\n\tgcc -s -o $@ $^\n", "m.c": "int a(int), b(int);\nint main(int c, char **v) { return a(c) + b(c); }\n"}
		for _, name := range []string{"a", "b"} {
			files[name+".c"] = strings.ReplaceAll(begin, "%", name) + "int " + name + "(int x) { return x * 3; }\n"
		}
		filetest.Tree(t, tree, files)
		write(t, patchFile, []byte("--- a/Makefile\n+++ b/Makefile\n@@ -1,3 +1,3 @@\n CFLAGS = -O2 -g\n-prog: a.o b.o m.o\n+prog: b.o a.o m.o\n \tgcc -s -o $@ $^\n"))
		runIn(t, dir, []string{"cp", "-a", tree, "stock"})
		if out, err := exec.Command("make", "-C", filepath.Join(dir, "stock")).CombinedOutput(); err != nil {
			t.Skipf("make: %v\n%s", err, out)
		}
		_, err := FromSource(context.Background(), SourceOptions{Target: filepath.Join(dir, "stock/prog"), Source: tree, Patch: patchFile, Command: []string{"make"}, Name: "fix", Tool: "test"})
		got := ""
		var refusals Refusals
		if errors.As(err, &refusals) {
			got = string(refusals[0].Code) + " " + filepath.Base(refusals[0].File) + " " + refusals[0].Symbol + ":" + refusals[0].Text
		} else if errors.Is(err, ErrNothing) {
			got = "nothing"
		}
		if got != want {
			t.Errorf("%q: %v\ngot  %s\nwant %s", begin, err, got, want)
		}
	}
}

func TestWithoutStripping(t *testing.T) {
	got := withoutStripping(strings.Fields("-O2 -s a.o -Wl,-s -Wl,-O1,--strip-all,-x -Xlinker -s -Wl,-z,now -o s"))
	if want := strings.Fields("-O2 a.o -Wl,-O1 -Wl,-z,now -o s"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
