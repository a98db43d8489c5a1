// SPDX-License-Identifier: GPL-2.0

package build

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

// project consists of C sources (file name to text) of both sides, compiled with the given flags; the old ones are linked to
// a program.
type project struct {
	dir    string
	target string
}

func newProject(t *testing.T, old, new map[string]string, flags ...string) project {
	t.Helper()
	return newProjectLinked(t, old, new, []string{"-pie"}, flags...)
}

// newProjectLinked is like newProject with options for the link of the old objects.
func newProjectLinked(t *testing.T, old, new map[string]string, link []string, flags ...string) project {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed")
	}
	p := project{dir: t.TempDir()}
	p.target = filepath.Join(p.dir, "prog")
	var stock []string
	for side, files := range map[string]map[string]string{"old": old, "new": new} {
		for name, text := range files {
			d := filepath.Join(p.dir, side)
			if err := os.MkdirAll(filepath.Join(d, "objs"), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(d, name), []byte(text))
			base := strings.TrimSuffix(name, ".c")
			common := append([]string{"-g", "-O2", "-fPIE", "-c", name}, flags...)
			p.gcc(t, d, append(common, "-ffunction-sections", "-fdata-sections", "-o", "objs/"+base+".o")...)
			if side == "old" && name != "unlinked.c" {
				p.gcc(t, d, append(common, "-o", base+".o")...)
				stock = append(stock, filepath.Join(d, base+".o"))
			}
		}
	}
	slices.Sort(stock)
	p.gcc(t, p.dir, slices.Concat([]string{"-o", p.target}, stock, link)...)
	return p
}

func (p project) gcc(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("gcc", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

func (p project) options(target, symbols string) Options {
	return Options{Target: target, Symbols: symbols, Old: []string{p.dir + "/old/objs"}, New: []string{p.dir + "/new/objs"}, Name: "fix", Tool: "test"}
}

func (p project) build(target, symbols string) (*Result, error) {
	return FromObjects(p.options(target, symbols))
}

const mainC = "int f(int); int main(int argc, char **argv) { return f(argc); }\n"

// TestVerdicts builds small projects and expects a patch of certain functions, nothing, or certain reasons.
func TestVerdicts(t *testing.T) {
	filetest.Slow(t)
	base := map[string]string{"main.c": mainC, "f.c": "#include <string.h>\n__attribute__((noinline)) int f(int x) { return x * 3 + x / 7; }\n"}
	with := func(files ...string) map[string]string {
		m := map[string]string{}
		for k, v := range base {
			m[k] = v
		}
		for i := 0; i < len(files); i += 2 {
			m[files[i]] = files[i+1]
		}
		return m
	}
	tests := []struct {
		name     string
		old, new map[string]string
		want     string // functions, "nothing", or reason codes
	}{
		{"changed", base, with("f.c", "int f(int x) { return x * 4; }"), "f"},
		{"same", base, base, "nothing"},
		{"only a comment", base, with("f.c", "/* */ \n#include <string.h>\n__attribute__((noinline)) int f(int x) { return x * 3 + x / 7; }\n"), "nothing"},
		{"not linked", with("unlinked.c", "int u(void) { return 1; }"), with("unlinked.c", "int u(void) { return 2; }"), "nothing"},
		{"new file", base, with("f.c", "int g(int); int f(int x) { return g(x); }", "g.c", "static int n = 3; int g(int x) { return x + n++; }"), "f"},
		{"new function in another object", with("h.c", "static int k = 2; int h(void) { return k; }"),
			with("h.c", "static int k = 2; int h(void) { return k; } int h2(void) { return ++k; }", "f.c", "int h2(void); int f(int x) { return x + h2(); }"), "f h"},
		{"import that the target has not", base, with("f.c", "#include <stdlib.h>\nint f(int x) { return x + rand(); }"), "f"},
		{"function moved", with("h.c", "int h(int x) { return x * 5 + x / 3; }"),
			with("h.c", "int other;", "f.c", "int h(int x) { return x + 1; } int f(int x) { return h(x); }"), "f h"},
		{"several reasons", with("h.c", "int v = 1; int h(void) { return v; }"),
			with("h.c", "int v = 2; __thread int t; int h(void) { return v + t; }"), "data-initialiser-changed new-tls"},
		{"room in the padding", with("s.c", "void s(void) { } int s2(int x) { return x * 9; }"), with("s.c", "int z; void s(void) { z = 1; } int s2(int x) { return x * 9; }"), "s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProject(t, tt.old, tt.new)
			res, err := p.build(p.target, "")
			if got := short(res, err); got != tt.want {
				t.Errorf("%s, want %s (%v)", got, tt.want, err)
			}
		})
	}
}

// TestTooShort checks a short function that is not followed by padding.
func TestTooShort(t *testing.T) {
	old := map[string]string{"main.c": mainC, "f.c": "int f(int x) { return x; } int g(int x) { return x * 9; }\n"}
	new := map[string]string{"main.c": mainC, "f.c": "int f(int x) { return x + 1; } int g(int x) { return x * 9; }\n"}
	p := newProject(t, old, new, "-falign-functions=1")
	res, err := p.build(p.target, "")
	if got := short(res, err); got != "function-too-short" {
		t.Errorf("%s, want function-too-short (%v)", got, err)
	}
}

func short(res *Result, err error) string {
	var refusals Refusals
	var words []string
	switch {
	case errors.As(err, &refusals):
		for _, r := range refusals {
			words = append(words, string(r.Code))
		}
	case errors.Is(err, ErrNothing):
		return "nothing"
	case err != nil:
		return err.Error()
	default:
		for _, f := range res.Spec.Functions {
			words = append(words, f.Symbol)
		}
	}
	slices.Sort(words)
	return strings.Join(slices.Compact(words), " ")
}

// TestTargets checks the requirements on the target: a stripped one needs symbols, the twin must be the same program, and the
// old objects must match.
func TestTargets(t *testing.T) {
	old := map[string]string{"main.c": mainC, "f.c": "static __attribute__((noinline)) int s(int x) { return x * 3; } int f(int x) { return s(x) + s(x+1); }\n"}
	new := map[string]string{"main.c": mainC, "f.c": "static __attribute__((noinline)) int s(int x) { return x * 5; } int f(int x) { return s(x) + s(x+1); }\n"}
	p := newProject(t, old, new)
	stripped := filepath.Join(p.dir, "stripped")
	if out, err := exec.Command("strip", "-o", stripped, p.target).CombinedOutput(); err != nil {
		t.Skipf("strip: %v\n%s", err, out)
	}
	other := newProject(t, map[string]string{"main.c": mainC, "f.c": "static __attribute__((noinline)) int s(int x) { return x * 7; } int f(int x) { return s(x) + s(x+1); }\n"}, new)
	tests := []struct{ name, target, symbols, want string }{
		{"with symbols", p.target, "", "s"},
		{"stripped", stripped, "", "needs-symbols"},
		{"stripped with twin", stripped, p.target, "s"},
		{"another program's twin", stripped, other.target, "not the same program"},
		{"other code", other.target, "", "target-differs"},
		{"twin without symbols", stripped, stripped, "no symbol table either"},
		{"not a program", filepath.Join(p.dir, "old", "f.c"), "", "not an ELF file"},
		{"an object", filepath.Join(p.dir, "old", "f.o"), "", "not a program"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, err := p.build(tt.target, tt.symbols)
			if got := short(res, err); !strings.Contains(got, tt.want) {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// TestDebugFile strips a target and finds its symbols in a separate debug file.
func TestDebugFile(t *testing.T) {
	old := map[string]string{"main.c": mainC, "f.c": "static __attribute__((noinline)) int s(int x) { return x * 3; } int f(int x) { return s(x) + s(x+1); }\n"}
	new := map[string]string{"main.c": mainC, "f.c": "static __attribute__((noinline)) int s(int x) { return x * 5; } int f(int x) { return s(x) + s(x+1); }\n"}
	const id = "abcdef0123456789"
	tests := []struct {
		name   string
		linked string // build-id of the program
		put    string // location of the debug file: in the directory of debug files, or next to the program
		damage bool   // a byte of it is modified
		want   string
	}{
		{"build-id", "0x" + id, "dbg/.build-id/ab/" + id[2:] + ".debug", false, "s"},
		{"build-id of another", "0x" + id, "dbg/.build-id/ab/" + id[4:] + ".debug", false, "needs-symbols"},
		{"debug link", "none", "prog.debug", false, "s"},
		{"debug link in .debug", "none", ".debug/prog.debug", false, "s"},
		{"debug link of a directory", "0x" + id, "dbg/DIR/prog.debug", false, "s"},
		{"debug link with a wrong checksum", "none", "prog.debug", true, "needs-symbols"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProjectLinked(t, old, new, []string{"-pie", "-Wl,--build-id=" + tt.linked})
			put := filepath.Join(p.dir, strings.ReplaceAll(tt.put, "DIR", p.dir))
			if err := os.MkdirAll(filepath.Dir(put), 0o755); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{
				{"--only-keep-debug", p.target, put},
				{"--strip-all", "--add-gnu-debuglink=" + put, p.target},
			} {
				if out, err := exec.Command("objcopy", args...).CombinedOutput(); err != nil {
					t.Fatalf("objcopy %v: %v\n%s", args, err, out)
				}
			}
			if tt.damage {
				data, err := os.ReadFile(put)
				if err != nil {
					t.Fatal(err)
				}
				write(t, put, append(data, 0))
			}
			res, err := FromObjects(Options{Target: p.target, DebugDirs: []string{p.dir + "/dbg"}, Old: []string{p.dir + "/old/objs"}, New: []string{p.dir + "/new/objs"}, Name: "fix", Tool: "test"})
			if got := short(res, err); got != tt.want {
				t.Errorf("%s, want %s (%v)", got, tt.want, err)
			}
		})
	}
}
