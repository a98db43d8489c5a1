// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/lpelf"
)

// compile compiles C source, always under the same file name.
func compile(t *testing.T, cc, source string, flags ...string) *Object {
	t.Helper()
	if _, err := exec.LookPath(cc); err != nil {
		t.Skipf("%s is not installed", cc)
	}
	return compileIn(t, t.TempDir(), cc, source, flags...)
}

// compileIn compiles in a given directory, for a file that contains both versions.
func compileIn(t *testing.T, dir, cc, source string, flags ...string) *Object {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "x.c"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-g", "-O2", "-fPIE", "-ffunction-sections", "-fdata-sections"}, flags...)
	args = append(args, "-c", "x.c", "-o", "x.o")
	cmd := exec.Command(cc, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cc, err, out)
	}
	f, err := lpelf.Open(filepath.Join(dir, "x.o"))
	if err != nil {
		t.Fatal(err)
	}
	o, err := NewObject("x.o", f)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// summary is the result of a comparison in a form that tests can compare.
type summary struct {
	Changed, Added, Codes []string
}

func summarize(r *Result) summary {
	var s summary
	for _, c := range r.Changed {
		s.Changed = append(s.Changed, c.New.Name)
	}
	for _, x := range r.Refusals {
		s.Codes = append(s.Codes, string(x.Code))
	}
	s.Added = r.Added
	return s
}

const noinline = "#define NI __attribute__((noinline))\n"

func TestCompare(t *testing.T) {
	tests := []struct {
		name     string
		old, new string
		want     summary
	}{
		{"equal", "int f(int x) { return x; }", "int f(int y) { return y; }", summary{}},
		{"body", "int f(int x) { return x; } int g(void) { return 1; }", "int f(int x) { return x+1; } int g(void) { return 1; }",
			summary{Changed: []string{"f"}}},
		{"string", `const char *f(void) { return "a"; }`, `const char *f(void) { return "b"; }`, summary{Changed: []string{"f"}}},
		{"string renumbered", `int puts(const char *); void f(void) { puts("a"); }`,
			`int puts(const char *); void g(void) { puts("new"); } void f(void) { puts("a"); }`, summary{Added: []string{"g"}}},
		{"constant", "double f(double x) { return x * 1.5; }", "double f(double x) { return x * 2.5; }", summary{Changed: []string{"f"}}},
		{"static local renumbered",
			noinline + "int f(void) { static int n; return ++n; } int g(void) { static int n = 2; return ++n; }",
			noinline + "int a(void) { static int n = 3; return ++n; } int f(void) { static int n; return ++n; } int g(void) { static int n = 2; return ++n; }",
			summary{Added: []string{"a"}}},
		{"ifunc resolver", "static int a(void) { return 1; } static int b(void) { return 2; } static void *r(void) { return a; } int f(void) __attribute__((ifunc(\"r\"))); void *k[] = {a,b};",
			"static int a(void) { return 1; } static int b(void) { return 2; } static void *r(void) { return b; } int f(void) __attribute__((ifunc(\"r\"))); void *k[] = {a,b};",
			summary{Changed: []string{"r"}, Codes: []string{"ifunc-changed"}}},
		{"initialiser", "int v = 1; int f(void) { return v; }", "int v = 2; int f(void) { return v; }", summary{Codes: []string{"data-initialiser-changed"}}},
		{"from bss to data", "int v; int f(void) { return v; }", "int v = 2; int f(void) { return v; }", summary{Codes: []string{"data-initialiser-changed"}}},
		{"size", "char v[4] = \"a\"; int f(void) { return v[0]; }", "char v[8] = \"a\"; int f(void) { return v[0]; }", summary{Codes: []string{"data-size-changed"}}},
		{"alignment", "int pad[3] = {1}; int v[8] = {1}; int f(void) { return pad[0]; }", "int pad[3] = {1}; __attribute__((aligned(64))) int v[8] = {1}; int f(void) { return pad[0]; }", summary{Codes: []string{"data-alignment-changed"}}},
		{"alignment of a common", "int v __attribute__((common)); int f(void) { return 1; }", "int v __attribute__((common, aligned(64))); int f(void) { return 1; }", summary{Codes: []string{"data-alignment-changed"}}},
		{"alignment of a new variable", "int v = 1; int f(void) { return v; }", "int v = 1; __attribute__((aligned(64))) int n = 2; int f(void) { return v + n; }", summary{Changed: []string{"f"}}},
		{"const", "int v[2] = {1,2}; int f(int i) { return v[i]; }", "const int v[2] = {1,2}; int f(int i) { return v[i]; }", summary{Codes: []string{"data-section-changed"}}},
		{"table of strings", `const char *const v[] = {"a","b"}; const char *f(int i) { return v[i]; }`,
			`const char *const v[] = {"a","c"}; const char *f(int i) { return v[i]; }`, summary{Codes: []string{"data-pointer-changed"}}},
		{"new tls", "int f(void) { return 1; }", "__thread int t; int f(void) { return t; }", summary{Changed: []string{"f"}, Codes: []string{"new-tls"}}},
		{"tls changed", "int t; int f(void) { return t; }", "__thread int t; int f(void) { return t; }", summary{Changed: []string{"f"}, Codes: []string{"tls-changed"}}},
		{"constructor", "void f(void) { }", "void f(void) { } int *p; __attribute__((constructor)) void c(void) { *p = 1; }",
			summary{Added: []string{"c"}, Codes: []string{"constructor-changed"}}},
		{"ifunc", "static int a(void) { return 1; } static void *r(void) { return a; } int f(void) __attribute__((ifunc(\"r\")));",
			"static int a(void) { return 2; } static void *r(void) { return a; } int f(void) __attribute__((ifunc(\"r\")));", summary{Changed: []string{"a"}}},
		{"structure", "struct s { int a; int b; }; int f(struct s *p) { return p->b; }", "struct s { int a; int n; int b; }; int f(struct s *p) { return p->b; }",
			summary{Changed: []string{"f"}, Codes: []string{"struct-layout-changed"}}},
		{"line number", "void log_at(int, const char *); void f(int x) { if (x) log_at(__LINE__, \"m\"); }",
			"\n\n\nvoid log_at(int, const char *); void f(int x) { if (x) log_at(__LINE__, \"m\"); }", summary{Changed: []string{"f"}}},
		{"argument", "void log_at(int, const char *); void f(int x) { if (x) log_at(4096, \"m\"); }",
			"void log_at(int, const char *); void f(int x) { if (x) log_at(8192, \"m\"); }", summary{Changed: []string{"f"}}},
		{"jump table", "int f(int x) { switch (x) { case 0: return 7; case 1: return x*3; case 2: return x-9; case 3: return x/7; case 4: return x^99; case 5: return x<<3; } return 0; }",
			"int f(int x) { switch (x) { case 1: return 7; case 0: return x*3; case 2: return x-9; case 3: return x/7; case 4: return x^99; case 5: return x<<3; } return 0; }",
			summary{Changed: []string{"f"}}},
		{"function name", `void g(const char *); void f(void) { g(__func__); } void h(void) { g(__func__); }`,
			`void g(const char *); void h(void) { g(__func__); } void f(void) { g(__func__); }`, summary{}},
	}
	for _, cc := range []string{"gcc", "clang-14"} {
		for _, tt := range tests {
			t.Run(cc+"/"+tt.name, func(t *testing.T) {
				got := summarize(Compare(compile(t, cc, tt.old), compile(t, cc, tt.new), Options{}))
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		}
	}
}

// TestColdPart checks that a change in the .cold part alone counts as a change of its function.
func TestColdPart(t *testing.T) {
	const source = noinline + "void rare(const char *, int) __attribute__((cold)); int f(int x) { if (__builtin_expect(x == 9, 0)) { rare(\"r\", %); rare(\"s\", x); } return x; }"
	text := func(s string) string { return source[:len(noinline)] + replaceOne(source[len(noinline):], s) }
	r := Compare(compile(t, "gcc", text("1")), compile(t, "gcc", text("2")), Options{})
	if len(r.Changed) != 1 || r.Changed[0].New.Name != "f" {
		t.Errorf("changed %v, want f", r.Changed)
	}
}

func replaceOne(s, with string) string {
	for i := range s {
		if s[i] == '%' {
			return s[:i] + with + s[i+1:]
		}
	}
	return s
}

// TestAmbiguousStatics checks numbered static locals whose functions, which would distinguish them, were inlined.
func TestAmbiguousStatics(t *testing.T) {
	r := Compare(compile(t, "gcc", "int f(void) { static int n = 1; return ++n; } int g(void) { static int n = 1; return ++n; }"),
		compile(t, "gcc", "int h(void) { static int n = 1; return ++n; } int k(void) { static int n = 1; return ++n; }"), Options{})
	if diff := cmp.Diff(summary{Added: []string{"h", "k"}, Codes: []string{"static-ambiguous"}}, summarize(r)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestSharedSections checks that a changed function of an object without -ffunction-sections is refused.
func TestSharedSections(t *testing.T) {
	const flag = "-fno-function-sections"
	r := Compare(compile(t, "gcc", "int f(void) { return 1; } int g(void) { return 2; }", flag), compile(t, "gcc", "int f(void) { return 1; } int g(void) { return 3; }", flag), Options{})
	if diff := cmp.Diff(summary{Codes: []string{"not-function-sections"}}, summarize(r)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestValues checks changes of initial values, with those that a patch can make.
func TestValues(t *testing.T) {
	const f = "; int f(int i) { return v[i]; }"
	tests := []struct {
		name, old, new string
		flags          []string
		want           string // bytes of the variable, pointers as dots; or reason codes
	}{
		{name: "array", old: "int v[2] = {1, 2}" + f, new: "int v[2] = {1, 3}" + f, want: "0100000002000000 0100000003000000"},
		{name: "constant", old: "const char v[4] = \"abc\"" + f, new: "const char v[4] = \"abd\"" + f, want: "61626300 61626400"},
		{name: "from nothing", old: "int v[1]" + f, new: "int v[1] = {7}" + f, want: "00000000 07000000"},
		{name: "to nothing", old: "int v[1] = {7}" + f, new: "int v[1] = {0}" + f, want: "07000000 00000000"},
		{name: "from common", old: "int v[1]" + f, new: "int v[1] = {7}" + f, flags: []string{"-fcommon"}, want: "00000000 07000000"},
		{name: "static", old: "static int v[2] = {1, 2}; int f(int i) { return ++v[i]; }", new: "static int v[2] = {1, 3}; int f(int i) { return ++v[i]; }",
			want: "0100000002000000 0100000003000000"},
		{name: "same pointer", old: "struct { const char *p; int n; } v[1] = {{\"a\", 1}}; int f(void) { return v->n; }",
			new: "struct { const char *p; int n; } v[1] = {{\"a\", 2}}; int f(void) { return v->n; }", want: "................0100000000000000 ................0200000000000000"},
		{name: "pointer", old: "const char *v[1] = {\"a\"}; int f(void) { return v[0][0]; }",
			new: "const char *v[1] = {\"b\"}; int f(void) { return v[0][0]; }", want: "data-pointer-changed"},
		{name: "pointer and number", old: "struct { const char *p; int n; } v[1] = {{\"a\", 1}}; int f(void) { return v->n; }",
			new: "struct { const char *p; int n; } v[1] = {{\"b\", 2}}; int f(void) { return v->n; }", want: "data-pointer-changed"},
		{name: "pointer in place of none", old: "int w; int *v[1]; int *f(void) { return v[0]; }",
			new: "int w; int *v[1] = {&w}; int *f(void) { return v[0]; }", want: "data-pointer-changed"},
		{name: "thread-local", old: "__thread int v[1] = {1}" + f, new: "__thread int v[1] = {2}" + f, want: "data-initialiser-changed"},
		{name: "mergeable", old: `extern const int v[1]; __asm__(".section .rodata.cst4,\"aM\",@progbits,4; .globl v; .type v,@object; .size v,4; v: .long 1; .previous")` + f,
			new: `extern const int v[1]; __asm__(".section .rodata.cst4,\"aM\",@progbits,4; .globl v; .type v,@object; .size v,4; v: .long 2; .previous")` + f, want: "data-merged"},
		{name: "layout", old: "struct s { short a; short b; int c; } v[1] = {{1, 2, 3}}; int f(void) { return v->c; }",
			new: "struct s { int b; int c; } v[1] = {{2, 3}}; int g(void) { return 0; } int f(void) { return v->c; }", want: "struct-layout-changed"},
	}
	for _, cc := range []string{"gcc", "clang-14"} {
		for _, tt := range tests {
			t.Run(cc+"/"+tt.name, func(t *testing.T) {
				r := Compare(compile(t, cc, tt.old, tt.flags...), compile(t, cc, tt.new, tt.flags...), Options{Data: true})
				words := summarize(r).Codes
				for _, v := range r.Values {
					words = append(words, dotted(v.From, v.Linked), dotted(v.To, v.Linked))
				}
				if len(r.Refusals) > 0 {
					words = words[:len(r.Refusals)]
				}
				if got := strings.Join(words, " "); got != tt.want {
					t.Errorf("%s, want %s (%v)", got, tt.want, r.Refusals)
				}
			})
		}
	}
}

// dotted formats bytes in hexadecimal, with dots for bytes that the linker fills in.
func dotted(b []byte, linked []bool) string {
	var out strings.Builder
	for i := range b {
		if linked[i] {
			out.WriteString("..")
		} else {
			fmt.Fprintf(&out, "%02x", b[i])
		}
	}
	return out.String()
}

// TestSymbolBeyondSection checks that the size of a symbol is not trusted.
func TestSymbolBeyondSection(t *testing.T) {
	o := compile(t, "gcc", "int v = 1;")
	o.Lookup("v").Size = 1 << 60
	if _, err := NewObject("x.o", o.File); err == nil || !strings.Contains(err.Error(), "symbol v reaches beyond its section .data.v") {
		t.Errorf("the error is %v", err)
	}
}

// TestRegisters checks interprocedural register allocation: gcc lets a caller rely on registers that a function of the same
// file does not clobber (-fipa-ra). If the new body uses them, the code of the caller differs, too, and is replaced as well.
func TestRegisters(t *testing.T) {
	source := func(body string) string {
		return noinline + "NI static int f(int x) { return " + body + "; } int g(int a, int b) { return f(a) + b * f(b); }"
	}
	r := Compare(compile(t, "gcc", source("x * 3")), compile(t, "gcc", source("x * 3 + x / 7")), Options{})
	if diff := cmp.Diff([]string{"f", "g"}, summarize(r).Changed); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
}
