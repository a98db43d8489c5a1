// SPDX-License-Identifier: GPL-2.0

package build

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/deb"
	"lpatch/pkg/testutil/filetest"
)

// linesSource uses line numbers in almost all its code, in ways that are not visible in the code.
const linesSource = `#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include "count.h"

#define CHECK(x) do { if (!(x)) printf("%s:%d\n", __FILE__, __LINE__); } while (0)

static int half(int x)
{
	assert(x % 2 == 0);
	return x / 2;
}

int scaled(int x)
{
#ifdef LARGE
	CHECK(x < 1000);
	return x * 10 * __LINE__;
#else
	CHECK(x < 100);
	return x * __LINE__;
#endif
}

__attribute__((noinline)) int fixed(int x)
{
	CHECK(x > 0);
	return half(x) + 1;
}

int last(int x)
{
	assert(x);
	CHECK(counted(x) &&
		x != 7);
	return x + (__LINE__ << 4);
}

int main(int argc, char **argv)
{
	assert(argv[0]);
	printf("%d %d %d\n", scaled(argc), fixed(argc * 2), last(argc));
	return 0;
}
`

const linesFix = `--- a/count.h
+++ b/count.h
@@ -1,3 +1,5 @@
+// Counts.
+int count(void);
 static inline int counted(int x)
 {
 	return x * __LINE__;
--- a/main.c
+++ b/main.c
@@ -1,6 +1,8 @@
+/* Two more lines. */
 #undef NDEBUG
 #include <assert.h>
 #include <stdio.h>
+#include <string.h>
 #include "count.h"
 
 #define CHECK(x) do { if (!(x)) printf("%s:%d\n", __FILE__, __LINE__); } while (0)
@@ -25,6 +27,11 @@
 __attribute__((noinline)) int fixed(int x)
 {
 	CHECK(x > 0);
+	if (x > 100) {
+		CHECK(x > 200);
+		CHECK(x >
+			300);
+	}
 	return half(x) + 1;
 }
 
`

// TestKeptLines checks that a patch only contains what the fix changes, although it moves all following lines.
func TestKeptLines(t *testing.T) {
	filetest.Slow(t)
	if _, err := exec.LookPath("clang-14"); err != nil {
		t.Skip(err)
	}
	for _, command := range []string{"gcc -O2 -g", "gcc -O0 -g -Wall -Werror -pedantic", "clang-14 -O2 -g -Wall -Werror -DLARGE", "g++ -O2 -g", "clang++-14 -O0 -g"} {
		t.Run(command, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "tree")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			source := "main.c"
			if strings.Contains(command, "++") {
				source = "main.cc"
			}
			write(t, filepath.Join(dir, source), []byte(linesSource))
			write(t, filepath.Join(dir, "count.h"), []byte("static inline int counted(int x)\n{\n\treturn x * __LINE__;\n}\n"))
			fix := dir + ".patch"
			write(t, fix, []byte(strings.ReplaceAll(linesFix, "main.c", source)))
			args := append(strings.Fields(command), "-o", "prog", source)
			cmd := exec.Command(args[0], append(args[1:len(args)-2:len(args)-2], dir+".prog", source)...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
			}
			res, err := FromSource(context.Background(), SourceOptions{Target: dir + ".prog", Source: dir, Patch: fix, Command: args, Name: "fix", Tool: "test"})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range res.Spec.Functions {
				got = append(got, f.Symbol)
			}
			if len(got) != 1 || !strings.Contains(got[0], "fixed") {
				t.Errorf("the patch changes %v, want fixed alone", got)
			}
		})
	}
}

func TestKeepLines(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.c")
	tree, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	write(t, path, []byte("\nint a;\n"))
	then := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := keepLines(tree, "a.c", []byte("int a;\n")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != "\n#line 1\nint a;\n" {
		t.Errorf("text %q, error %v", text, err)
	}
	if st, err := os.Stat(path); err != nil || !st.ModTime().Equal(then) || st.Mode().Perm() != 0o400 {
		t.Errorf("%v, error %v; want the time and mode that it had", st, err)
	}
	if err := keepLines(tree, "gone", nil); err != nil {
		t.Error(err)
	}
}

// TestHostileLines has two untrusted sources, one of which contains a link to a directory of this machine in place of a
// directory of the other. Nothing there may be read or written.
func TestHostileLines(t *testing.T) {
	for _, side := range []string{"older", "newer"} {
		dir, outside := t.TempDir(), t.TempDir()
		filetest.Tree(t, dir, map[string]string{"older/a.h": "int a;\n", "newer/a.h": "int a;\n", "inside/sub/x.h": "int x;\n"})
		write(t, filepath.Join(outside, "x.h"), []byte("\nint x;\n"))
		other := map[string]string{"older": "newer", "newer": "older"}[side]
		if err := errors.Join(os.Symlink(outside, filepath.Join(dir, side, "sub")), os.Rename(filepath.Join(dir, "inside/sub"), filepath.Join(dir, other, "sub"))); err != nil {
			t.Fatal(err)
		}
		if err := keepLinesOf(filepath.Join(dir, "older"), filepath.Join(dir, "newer"), []string{"a.h", "sub/x.h"}); err == nil || !strings.Contains(err.Error(), "path escapes from parent") {
			t.Errorf("the %s one leads out: error %v", side, err)
		}
		if text, err := os.ReadFile(filepath.Join(outside, "x.h")); err != nil || string(text) != "\nint x;\n" {
			t.Errorf("the %s one leads out, and there is now %q, %v", side, text, err)
		}
	}
}

func TestSourcesOfFixes(t *testing.T) {
	var text string
	for _, name := range []string{"a.c", "a.S", "a.inc", "new.c", "../out.c"} {
		text += "--- a/" + name + "\n+++ b/" + name + "\n@@ -1 +1 @@\n-a\n+b\n"
	}
	got, err := sourcesOfFixes([]deb.Fix{{Name: "fix", Text: []byte(text)}, {Name: "again", Text: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a.c", "new.c"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
