// SPDX-License-Identifier: GPL-2.0

package build

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

// TestBeside: who builds a patch for a library alone is told that a program which uses it changes, too, and not of one that does not change.
func TestBeside(t *testing.T) {
	filetest.Slow(t)
	dir := t.TempDir()
	tree, stock, patchFile := filepath.Join(dir, "tree"), filepath.Join(dir, "stock"), filepath.Join(dir, "fix.patch")
	const main = "#include \"m.h\"\nint token(int); int main(int c, char **v) { return token(c) != MAGIC; }\n"
	files := map[string]string{
		"m.h": "#define MAGIC 1\n", "l.c": "#include \"m.h\"\nint token(int a) { return a / 3 + a * 5 + MAGIC; }\n", "p.c": main, "q.c": strings.Replace(main, "MAGIC", "7", 1),
		"build.sh": "for f in l p q; do gcc -O2 -g -fPIC -c $f.c; done\ngcc -shared -o l.so l.o\nfor f in p q; do gcc -o $f $f.o ./l.so; done\n",
	}
	filetest.Tree(t, tree, files)
	filetest.Tree(t, stock, files)
	write(t, patchFile, []byte("--- a/m.h\n+++ b/m.h\n@@ -1 +1 @@\n-#define MAGIC 1\n+#define MAGIC 2\n"))
	cmd := exec.Command("sh", "-e", "build.sh")
	cmd.Dir = stock
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	target := filepath.Join(stock, "l.so")
	res, err := FromSource(context.Background(), SourceOptions{Target: target, Source: tree, Patch: patchFile, Command: []string{"sh", "-e", "build.sh"}, Name: "fix", Tool: "test"})
	if err != nil {
		t.Fatal(err)
	}
	got := slices.DeleteFunc(res.Warnings, func(w string) bool { return !strings.Contains(w, "--target for each") })
	want := "p: the fix changes it too, it is used together with " + target + ", and this patch is not for it; if one relies on the other, build for both at once, with --target for each"
	if !slices.Equal(got, []string{want}) {
		t.Errorf("got %q, want %q", got, want)
	}
}
