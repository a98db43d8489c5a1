// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/progress"
)

// TestMain makes the test binary act as a compiler shim, like lpctl.
func TestMain(m *testing.M) {
	if IsShim(os.Args[0]) {
		os.Exit(ShimMain(os.Args))
	}
	os.Exit(m.Run())
}

// sourceTree creates a small project with a Makefile and a patch for it, and the stock program built from it.
func sourceTree(t *testing.T, makefile string) (dir, target, patchFile string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "tree")
	for name, text := range map[string]string{
		"Makefile":   makefile,
		"src/main.c": "#include <stdio.h>\nint work(int x);\nint main(int argc, char **argv) { printf(\"%s %d\\n\", argv[0], work(argc)); return 0; }\n",
		"src/work.c": "#include <assert.h>\n#include <stdio.h>\nstatic int state = 4;\nint work(int x)\n{\n\tassert(x > 0);\n\tstate += x;\n\tprintf(\"%s\\n\", __FILE__);\n\treturn state;\n}\n",
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), []byte(text))
	}
	patchFile = filepath.Join(filepath.Dir(dir), "fix.patch")
	write(t, patchFile, []byte("--- a/src/work.c\n+++ b/src/work.c\n@@ -4,5 +4,7 @@\n int work(int x)\n {\n \tassert(x > 0);\n+\tif (x > 100)\n+\t\treturn -1;\n \tstate += x;\n \tprintf(\"%s\\n\", __FILE__);\n"))
	stock := filepath.Join(filepath.Dir(dir), "stock")
	if out, err := exec.Command("cp", "-a", dir, stock).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	cmd := exec.Command("make", "-C", stock)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("make: %v\n%s", err, out)
	}
	return dir, filepath.Join(stock, "prog"), patchFile
}

const usualMakefile = "CFLAGS = -O2 -g\nprog: src/main.o src/work.o\n\t$(CC) -o $@ $^\n"

func TestFromSource(t *testing.T) {
	for name, makefile := range map[string]string{
		"objects": usualMakefile,
		"at once": "prog: src/main.c src/work.c\n\tgcc -O2 -g -o $@ $^\n",
		"archive": "CFLAGS = -O2 -g\nprog: src/main.o libwork.a\n\t$(CC) -o $@ $^\nlibwork.a: src/work.o\n\tar rc $@ $^\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir, target, patchFile := sourceTree(t, makefile)
			before := listing(t, dir)
			var said bytes.Buffer
			o := SourceOptions{Target: target, Source: dir, Patch: patchFile, Command: []string{"make"}, Name: "fix", Tool: "test", Progress: progress.Reporter{To: &said}}
			res, err := FromSource(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			if len(res.Spec.Functions) != 1 || res.Spec.Functions[0].Symbol != "work" {
				t.Errorf("functions %+v, want work alone", res.Spec.Functions)
			}
			if after := listing(t, dir); after != before {
				t.Errorf("the source tree was written to:\n%s\nbefore:\n%s", after, before)
			}
			if !strings.Contains(said.String(), "building the new source") {
				t.Errorf("progress: %q", said.String())
			}
			again, err := FromSource(context.Background(), o)
			if err != nil || !bytes.Equal(again.Data, res.Data) {
				t.Errorf("the second build gives another file (%v)", err)
			}
		})
	}
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command("find", dir, "-printf", "%p %s %T@\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestFromSourceErrors(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // logs of failed builds are kept
	dir, target, patchFile := sourceTree(t, usualMakefile)
	empty := filepath.Join(t.TempDir(), "empty.patch")
	write(t, empty, []byte("--- a/src/work.c\n+++ b/src/work.c\n@@ -1 +1,2 @@\n+/* nothing */\n #include <assert.h>\n"))
	tests := []struct {
		name   string
		change func(*SourceOptions)
		want   string
		is     error
	}{
		{"no command", func(o *SourceOptions) { o.Command = nil }, "no build command", nil},
		{"no directory", func(o *SourceOptions) { o.Source = patchFile }, "not a directory; DIR is the top of the source tree", nil},
		{"directory of patches", func(o *SourceOptions) { o.Patch = dir }, dir + ": a directory; --patch names a file, for patch -p1", nil},
		{"bad name", func(o *SourceOptions) { o.Name = "a/b" }, "letters, digits", nil},
		{"build fails", func(o *SourceOptions) { o.Command = []string{"sh", "-c", "echo broken tool; exit 3"} }, "broken tool", nil},
		{"no compiler", func(o *SourceOptions) { o.Command = []string{"true"} }, "made no object", nil},
		{"other patch", func(o *SourceOptions) { o.Patch = target }, "does not apply", nil},
		{"comment only", func(o *SourceOptions) { o.Patch = empty }, ErrNothing.Error(), ErrNothing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := SourceOptions{Target: target, Source: dir, Patch: patchFile, Command: []string{"make"}, Name: "fix", Tool: "test"}
			tt.change(&o)
			_, err := FromSource(context.Background(), o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Fatalf("error %v, want one that says %q", err, tt.want)
			}
			if _, log, ok := strings.Cut(err.Error(), "all of its output: "); ok {
				if data, err := os.ReadFile(log); err != nil || !strings.Contains(string(data), tt.want) {
					t.Errorf("the log that is named has %q (%v)", data, err)
				}
			} else if tt.name == "build fails" {
				t.Error("the error does not say where the log is")
			}
		})
	}
}
