// SPDX-License-Identifier: GPL-2.0

package build

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

// extraC is a library with symbols that are hard to import. Linked with -Bsymbolic it has no GOT words for its own symbols.
const extraC = `
int extra(int x) { return x + 1; }
int extra_variable = 5;
__thread int extra_thread = 6;
static int twice(int x) { return 2 * x; }
static void *choose(void) { return twice; }
int extra_chosen(int x) __attribute__((ifunc("choose")));
int extra_v1(int x) { return x; }
__asm__(".symver extra_v1, extra_old@V1");
`

// makeLibrary compiles extraC to libextra.so in the project's directory.
func makeLibrary(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "extra.c"), []byte(extraC))
	write(t, filepath.Join(dir, "extra.map"), []byte("V1 { };\nV2 { global: extra*; } V1;\n"))
	project{}.gcc(t, dir, "-O2", "-fPIC", "-shared", "-Wl,-Bsymbolic,-soname,libextra.so.1,--version-script=extra.map", "-o", "libextra.so.1", "extra.c")
	return dir
}

// TestImports uses symbols that the target does not import, and checks the images of the patch, or the refusal.
func TestImports(t *testing.T) {
	filetest.Slow(t)
	extra := makeLibrary(t)
	program := []string{"-pie", "-Wl,--no-as-needed", extra + "/libextra.so.1"}
	shared := []string{"-shared", "-Wl,-soname,libf.so.1,--no-as-needed", extra + "/libextra.so.1"}
	tests := []struct {
		name string
		link []string
		flag string
		lib  libraryChoice
		code string
		want string // images of the patch, or a reason
	}{
		{"function", program, "-fPIE", extraNamed, "int extra(int); int f(int x) { return extra(x); }", "prog libextra.so.1"},
		{"function by a GOT", program, "-fno-plt", extraNamed, "int extra(int); int f(int x) { return extra(x); }", "prog libextra.so.1"},
		{"function's address", program, "-fPIE", extraNamed, "int extra(int); int (*p)(int) = extra; int f(int x) { return p(x); }", "prog libextra.so.1"},
		{"of a directory", program, "-fPIE", extraDirectory, "int extra(int); int f(int x) { return extra(x); }", "prog libextra.so.1"},
		{"of libc", program, "-fPIE", extraNamed, "int rand(void); int f(int x) { return x + rand(); }", "prog libc.so.6"},
		{"of two", program, "-fPIE", extraNamed, "int rand(void); int extra(int); int f(int x) { return extra(x) + rand(); }", "prog libextra.so.1 libc.so.6"},
		{"weak and defined", program, "-fPIE", extraNamed, "int extra(int) __attribute__((weak)); int f(int x) { return extra ? extra(x) : 0; }", "prog libextra.so.1"},
		{"weak and not defined", program, "-fPIE", extraNamed, "int nosuch(int) __attribute__((weak)); int f(int x) { return nosuch ? nosuch(x) : 0; }", "prog"},
		{"weak in a library", shared, "-fPIC", extraNamed, "int nosuch(int) __attribute__((weak)); int f(int x) { return nosuch ? nosuch(x) : 0; }", "import-weak"},
		{"weak in a static program", []string{"-static"}, "-fno-pie", extraNamed, "int nosuch(int) __attribute__((weak)); int f(int x) { return nosuch ? nosuch(x) : 0; }", "prog"},
		{"variable", program, "-fPIC", extraNamed, "extern int extra_variable; int f(int x) { return x + extra_variable; }", "prog libextra.so.1"},
		{"variable without a word", shared, "-fPIC", extraNamed, "extern int extra_variable; int f(int x) { return x + extra_variable; }", "import-data"},
		{"variable with a word", shared, "-fPIC", extraNamed, "extern char **environ; int f(int x) { return x + !environ[0]; }", "libf.so.1 libc.so.6"},
		{"variable without a copy", program, "-fPIE", extraNamed, "extern int extra_variable; int f(int x) { return x + extra_variable; }", "import-data"},
		{"thread-local", program, "-fPIC", extraNamed, "extern __thread int extra_thread; int f(int x) { return x + extra_thread; }", "tls-model"},
		{"chosen at start", program, "-fPIE", extraNamed, "int extra_chosen(int); int f(int x) { return extra_chosen(x); }", "import-ifunc"},
		{"chosen at start, with a word", program, "-fPIE", extraNamed, "unsigned long strspn(const char *, const char *); int f(int x) { char s[2] = { x }; return strspn(s, \"a\"); }", "prog libc.so.6"},
		{"old version", program, "-fPIE", extraNamed, "int extra_old(int); int f(int x) { return extra_old(x); }", "import-not-defined: only old programs may use this symbol (libextra.so.1 V1)"},
		{"old version by name", program, "-fPIE", extraNamed, "int o(int); __asm__(\".symver o, extra_old@V1\"); int f(int x) { return o(x); }", "prog libextra.so.1"},
		{"version that is not there", program, "-fPIE", extraNamed, "int o(int); __asm__(\".symver o, extra@V7\"); int f(int x) { return o(x); }", "import-not-defined: neither"},
		{"nowhere", program, "-fPIE", extraNamed, "int nosuch(int); int f(int x) { return nosuch(x); }", "import-not-defined: neither"},
		{"library not there", program, "-fPIE", extraMissing, "int rand(void); int f(int x) { return x + rand(); }", "import-library-missing: "},
		{"static program", []string{"-static"}, "-fno-pie", extraNamed, "int rand(void); int f(int x) { return x + rand(); }", "import-static: "},
		{"inside a function", program, "-fPIE", extraNamed, "extern char extra[]; int f(int x) { return extra[3] + x; }", "inner-reference: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			old := map[string]string{"main.c": mainC, "f.c": "int f(int x) { return x * 3 + x / 7; }\n"}
			p := newProjectLinked(t, old, map[string]string{"main.c": mainC, "f.c": tt.code + "\n"}, tt.link, tt.flag)
			res, err := FromObjects(Options{Target: p.target, Libraries: tt.lib.paths(extra), Old: []string{p.dir + "/old/objs"}, New: []string{p.dir + "/new/objs"}, Name: "fix", Tool: "test"})
			if got := imagesOf(res, err); !strings.HasPrefix(got, tt.want) || err == nil && got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// libraryChoice tells how the test names libextra.so.1.
type libraryChoice int

const (
	extraNamed libraryChoice = iota
	extraDirectory
	extraMissing
)

func (c libraryChoice) paths(dir string) []string {
	switch c {
	case extraNamed:
		return []string{filepath.Join(dir, "libextra.so.1")}
	case extraDirectory:
		return []string{dir}
	}
	return nil
}

// imagesOf returns the images of a patch, or the reasons of its refusal.
func imagesOf(res *Result, err error) string {
	var names []string
	var refusals Refusals
	if errors.As(err, &refusals) {
		for _, r := range refusals {
			names = append(names, string(r.Code)+": "+r.Text)
		}
		return strings.Join(names, "\n")
	}
	if err != nil {
		return err.Error()
	}
	for _, im := range res.Spec.Images {
		if im.Soname != "" {
			im.Name = im.Soname
		}
		names = append(names, im.Name)
	}
	return strings.Join(names, " ")
}
