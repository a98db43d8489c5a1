// SPDX-License-Identifier: GPL-2.0

package build

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/patch"
)

// values lists the values that a patch sets, as NAME: OLD -> NEW.
func values(spec *patch.Spec) string {
	var out []string
	for _, s := range spec.Sites {
		if s.Kind == patch.SiteBytes {
			out = append(out, fmt.Sprintf("%s: %x -> %x", s.Symbol, []byte(s.Old), []byte(s.New)))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// TestData builds patches of changed initialisers.
func TestData(t *testing.T) {
	const code = "__attribute__((noinline)) int f(int x) { return x + %s; }\n"
	file := func(data, use string) map[string]string {
		return map[string]string{"main.c": mainC, "f.c": data + "\n" + fmt.Sprintf(code, use)}
	}
	with := func(files map[string]string, name, text string) map[string]string {
		files[name] = text
		return files
	}
	const table = "struct row { const char *name; int limit, unit; }; struct row rows[] = {{\"a\", %d, 1}, {\"b\", 2, %d}};"
	tests := []struct {
		name            string
		old, new        map[string]string
		functions, want string // values, or reason codes
	}{
		{"scalar", file("int n = 1;", "n"), file("int n = 2;", "n"), "", "n: 01000000 -> 02000000"},
		{"static", file("static int n = 1;", "++n"), file("static int n = 2;", "++n"), "", "n: 01000000 -> 02000000"},
		{"with its function", file("int n = 1;", "n"), file("int n = 2;", "n * 3"), "f", "n: 01000000 -> 02000000"},
		{"from .bss", file("int n;", "n"), file("int n = 2;", "n"), "", "n: 00000000 -> 02000000"},
		{"constant", file("const int n[] = {1, 5};", "n[x & 1]"), file("const int n[] = {1, 6};", "n[x & 1]"), "", "n: 0100000005000000 -> 0100000006000000"},
		{"beside pointers", file(fmt.Sprintf(table, 3, 4), "rows[x].limit"), file(fmt.Sprintf(table, 3, 9), "rows[x].limit"), "",
			"rows: 0200000004000000 -> 0200000009000000"},
		{"no code in the object", with(file("extern int n;", "n"), "d.c", "int n = 1;"), with(file("extern int n;", "n"), "d.c", "int n = 2;"), "", "n: 01000000 -> 02000000"},
		{"two of one name", with(file("static int n = 1;", "++n"), "g.c", "static int n = 7; int g(void) { return ++n; }"),
			with(file("static int n = 2;", "++n"), "g.c", "static int n = 8; int g(void) { return ++n; }"), "",
			"f.c:n: 01000000 -> 02000000; g.c:n: 07000000 -> 08000000"},
		{"pointer", file("const char *n = \"a\";", "n[0]"), file("const char *n = \"b\";", "n[0]"), "", "data-pointer-changed"},
		{"too much", file("char n[70000] = {1};", "n[x]"), file("char n[70000] = {[0 ... 69999] = 2};", "n[x]"), "", "too-many-sites"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProject(t, tt.old, tt.new)
			o := p.options(p.target, "")
			res, err := FromObjects(o)
			if got := short(res, err); !strings.HasPrefix(got, "data-") {
				t.Errorf("without --data: %s, want a refusal (%v)", got, err)
			}
			o.Data = true
			res, err = FromObjects(o)
			got := short(res, err)
			if err == nil {
				if got != tt.functions {
					t.Errorf("functions %q, want %q", got, tt.functions)
				}
				got = values(res.Spec)
			}
			if got != tt.want {
				t.Errorf("%s, want %s (%v)", got, tt.want, err)
			}
		})
	}
}

// TestDataTarget builds a patch of a value for programs that do not match the old objects.
func TestDataTarget(t *testing.T) {
	text := func(n, d int) map[string]string {
		return map[string]string{"main.c": mainC, "d.c": fmt.Sprintf("int d[2] = {%d, 2};", d),
			"f.c": fmt.Sprintf("static int n = %d; static __attribute__((noinline)) int s(int x) { return x + ++n; } int f(int x) { return s(x) + s(x + 1); }", n)}
	}
	p := newProject(t, text(1, 1), text(2, 2))
	otherN, otherD := newProject(t, text(3, 1), nil), newProject(t, text(1, 3), nil)
	stripped := filepath.Join(p.dir, "stripped")
	if out, err := exec.Command("strip", "-o", stripped, p.target).CombinedOutput(); err != nil {
		t.Fatalf("strip: %v\n%s", err, out)
	}
	for _, tt := range []struct{ name, target, symbols, want string }{
		{"fits", p.target, "", ""},
		{"another value beside the same code", otherN.target, "", "target-differs"},
		{"another value in an object without code", otherD.target, "", "target-differs"},
		{"stripped", stripped, "", "needs-symbols"},
		{"stripped with twin", stripped, p.target, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := p.options(tt.target, tt.symbols)
			o.Data = true
			res, err := FromObjects(o)
			if got := short(res, err); got != tt.want {
				t.Errorf("%q, want %q (%v)", got, tt.want, err)
			}
		})
	}
}

// TestDataSources has two objects with the same source name and no code, which static variables distinguish.
func TestDataSources(t *testing.T) {
	dir := t.TempDir()
	p := project{dir: dir, target: dir + "/prog"}
	for side, text := range map[string][2]string{
		"old": {"static int n[2] = {1, 2}; int *a = n;", "static int n[2] = {5, 6}; int *b = n;"},
		"new": {"static int n[2] = {1, 2}; int *a = n;", "static int n[2] = {5, 7}; int *b = n;"},
		"one": {"int a = 1;", "int b = 2;"}, "two": {"int a = 3;", "int b = 4;"},
	} {
		for i, sub := range []string{"a", "b"} {
			d := filepath.Join(dir, side, sub)
			if err := os.MkdirAll(d, 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, d+"/d.c", []byte(text[i]))
			write(t, d+"/main.c", []byte("extern int a, b; int main(void) { return a + b; }"))
			p.gcc(t, d, "-c", "-g", "-fPIE", "-fdata-sections", "d.c")
		}
		p.gcc(t, filepath.Join(dir, side), "-pie", "-o", dir+"/prog-"+side, "a/main.c", "a/d.o", "b/d.o")
	}
	for _, tt := range []struct{ old, new, want string }{
		{"old", "new", "n: 0500000006000000 -> 0500000007000000"},
		{"one", "two", "a: 01000000 -> 03000000; b: 02000000 -> 04000000"},
	} {
		res, err := FromObjects(Options{Target: dir + "/prog-" + tt.old, Old: []string{filepath.Join(dir, tt.old)}, New: []string{filepath.Join(dir, tt.new)},
			Data: true, Name: "fix", Tool: "test"})
		if err != nil {
			t.Errorf("%s: %v", tt.old, err)
		} else if got := values(res.Spec); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
}

// TestSet sets variables by name.
func TestSet(t *testing.T) {
	p := newProject(t, map[string]string{"main.c": "int f(int); int main(int argc, char **argv) { (void)argv; return f(argc); }\n",
		"f.c": `#include <stdio.h>
int n = 1; long zero; char big[40] = "0123456789abcdefghijklmnopqrstuvwxyz";
static int twin = 3; extern int alias __attribute__((alias("n"))); const int c[2] = {1, 2}; const char *p = "x"; __thread int t = 5;
static const char *const table[] = {"a", "b"};
int g(void); int f(int x) { static int count; return x + n + zero + big[x] + ++twin + c[x & 1] + *p + t + ++count + *table[x & 1] + g() + (stderr == 0); }`,
		"g.c": "static int twin = 4; int g(void) { return ++twin; }\n"}, nil)
	exe := filepath.Join(p.dir, "copies")
	p.gcc(t, filepath.Join(p.dir, "old"), "-O2", "-fno-pie", "-no-pie", "-o", exe, "main.c", "f.c", "g.c")
	set := func(name, data string) Set {
		file := filepath.Join(t.TempDir(), "value")
		write(t, file, []byte(data))
		return Set{Variable: name, File: file}
	}
	tests := []struct {
		name string
		sets []Set
		want string
	}{
		{"int", []Set{set("n", "\x09\x00\x00\x00")}, "n: 01000000 -> 09000000"},
		{"from .bss", []Set{set("zero", "\x09\x00\x00\x00\x00\x00\x00\x01")}, "zero: 0000000000000000 -> 0900000000000001"},
		{"static", []Set{set("g.c:twin", "\x05\x00\x00\x00")}, "twin: 04000000 -> 05000000"},
		{"both", []Set{set("g.c:twin", "\x05\x00\x00\x00"), set("f.c:twin", "\x06\x00\x00\x00")}, "f.c:twin: 03000000 -> 06000000; g.c:twin: 04000000 -> 05000000"},
		{"nothing", []Set{set("n", "\x01\x00\x00\x00")}, "nothing"},
		{"ambiguous", []Set{set("twin", "\x05\x00\x00\x00")}, "variable-ambiguous: the target has 2 variables of this name; say which one, if their sources tell: f.c:twin, g.c:twin"},
		{"unknown", []Set{set("m", "\x05")}, "no-such-variable"},
		{"unknown source", []Set{set("h.c:twin", "\x05\x00\x00\x00")}, "no-such-variable"},
		{"size", []Set{set("n", "\x05")}, "size-differs: the variable has 4 bytes, the file has 1"},
		{"function", []Set{set("f", "\x05")}, "not-a-variable"},
		{"thread-local", []Set{set("t", "\x05\x00\x00\x00")}, "thread-local"},
		{"constant", []Set{set("c", "\x05\x00\x00\x00\x00\x00\x00\x00")}, "variable-constant"},
		{"twice", []Set{set("n", "\x05\x00\x00\x00"), set("alias", "\x06\x00\x00\x00")}, "variable-set-twice"},
		{"two reasons", []Set{set("f", "\x05"), set("m", "\x05")}, "no-such-variable not-a-variable"},
		{"no file", []Set{{"n", "/no/such/file"}}, "open /no/such/file: no such file or directory"},
	}
	check := func(t *testing.T, target string, sets []Set, want string) {
		t.Helper()
		res, err := FromObjects(Options{Target: target, Set: sets, Name: "fix", Tool: "test"})
		code, text, _ := strings.Cut(want, ": ")
		got := short(res, err)
		if err == nil {
			got, code = values(res.Spec), want
		} else if strings.HasPrefix(want, "open ") {
			code, text = want, ""
		}
		if got != code || err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%s, want %s (%v)", got, want, err)
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { check(t, p.target, tt.sets, tt.want) })
	}
	t.Run("copied", func(t *testing.T) { check(t, exe, []Set{set("stderr", "12345678")}, "variable-copied") })
	t.Run("pointer of PIE", func(t *testing.T) { check(t, p.target, []Set{set("p", "12345678")}, "variable-has-pointers") })
	t.Run("pointer without PIE", func(t *testing.T) {
		res, err := FromObjects(Options{Target: exe, Set: []Set{set("p", "12345678")}, Name: "fix", Tool: "test"})
		if err != nil || !strings.HasSuffix(values(res.Spec), " -> 3132333435363738") {
			t.Errorf("not built: %v", err)
		}
	})
	t.Run("no code", func(t *testing.T) {
		res, err := FromObjects(Options{Target: p.target, Set: []Set{set("big", strings.Repeat("x", 40))}, Name: "fix", Tool: "test"})
		if err != nil {
			t.Fatal(err)
		}
		f, err := patch.Read(res.Data)
		if err != nil || len(f.Segments()) != 1 || len(f.Spec.Functions) != 0 || len(f.Spec.Sites) < 3 {
			t.Errorf("%+v (%v)", f, err)
		}
	})
}

// TestSetExported checks the warning that a program may not use the variable of the library.
func TestSetExported(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/l.c", []byte("int shown = 1; __attribute__((visibility(\"hidden\"))) int hidden = 1; int get(void) { return shown + hidden; }\n"))
	write(t, dir+"/value", []byte{2, 0, 0, 0})
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-Wl,-soname,l.so", "-o", dir+"/l.so", dir+"/l.c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, want := range map[string]int{"shown": 1, "hidden": 0} {
		res, err := FromObjects(Options{Target: dir + "/l.so", Set: []Set{{name, dir + "/value"}}, Name: "fix", Tool: "test"})
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Warnings) != want || want > 0 && !strings.Contains(res.Warnings[0], "a program that defines it too") {
			t.Errorf("%s: warnings %q, want %d", name, res.Warnings, want)
		}
	}
}
