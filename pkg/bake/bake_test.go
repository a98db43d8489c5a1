// SPDX-License-Identifier: GPL-2.0

package bake

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/build"
	"lpatch/pkg/match"
	"lpatch/pkg/patch"
)

// variant is a way to build the program that is baked.
type variant struct {
	name    string
	cc      string
	flags   []string // of the units
	link    []string
	shared  bool // the units are a shared object
	strip   bool
	imports bool // the new code refers to symbols that the file does not import
}

var variants = []variant{
	{name: "pie", cc: "gcc", flags: []string{"-O2", "-fPIE"}, link: []string{"-pie"}},
	{name: "nopie", cc: "clang-14", flags: []string{"-O2", "-fno-pie"}, link: []string{"-no-pie"}},
	{name: "shared", cc: "gcc", flags: []string{"-O3", "-fPIC"}, shared: true},
	{name: "static", cc: "gcc", flags: []string{"-O2", "-fno-pie"}, link: []string{"-no-pie", "-static"}},
	{name: "static-pie", cc: "clang-14", flags: []string{"-O2", "-fPIE"}, link: []string{"-static-pie"}},
	{name: "stripped", cc: "gcc", flags: []string{"-O2", "-fPIE"}, link: []string{"-pie"}, strip: true},
	{name: "musl", cc: "musl-gcc", flags: []string{"-O2", "-fPIE"}, link: []string{"-pie"}},
	{name: "musl-static", cc: "musl-gcc", flags: []string{"-O2", "-fPIE"}, link: []string{"-static-pie"}},
}

// made is a program, the same program built from the new source, and the patch between them.
type made struct {
	variant
	dir      string
	target   string // file that is baked
	old, new string // programs to execute
	patch    *patch.File
}

const source = "../build/testdata/"

func sh(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// compile builds the program in DIR/SIDE, and its objects with a section for each function.
func (m *made) compile(t *testing.T, side string, defines ...string) (target, program string) {
	t.Helper()
	d := filepath.Join(m.dir, side)
	must(t, os.MkdirAll(d+"/objs", 0o755))
	if !m.imports {
		defines = append(defines, "-DNO_IMPORTS")
	}
	if m.shared {
		defines = append(defines, "-DSHARED")
	}
	for _, unit := range []string{"unit", "other"} {
		args := slices.Concat([]string{"-g", "-c", source + unit + ".c"}, m.flags, defines)
		sh(t, m.cc, append(args, "-o", d+"/"+unit+".o")...)
		sh(t, m.cc, append(args, "-ffunction-sections", "-fdata-sections", "-o", d+"/objs/"+unit+".o")...)
	}
	program = d + "/prog"
	if m.shared {
		target = d + "/libunit.so"
		sh(t, m.cc, "-shared", "-o", target, "-Wl,-soname,libunit.so", d+"/unit.o", d+"/other.o", "-lm")
		sh(t, m.cc, "-o", program, source+"loader.c", target, "-Wl,-rpath,$ORIGIN")
		return target, program
	}
	sh(t, m.cc, slices.Concat([]string{"-O1", "-o", program, source + "loader.c", d + "/unit.o", d + "/other.o", "-Wl,--no-as-needed", "-lm"}, m.flags, m.link)...)
	return program, program
}

func makeUnit(t *testing.T, v variant) *made {
	t.Helper()
	if _, err := exec.LookPath(v.cc); err != nil {
		t.Skipf("%s is not installed", v.cc)
	}
	m := &made{variant: v, dir: t.TempDir()}
	m.target, m.old = m.compile(t, "old")
	_, m.new = m.compile(t, "new", "-DNEW")
	if v.strip {
		sh(t, "strip", m.target)
	}
	m.makePatch(t)
	return m
}

func (m *made) makePatch(t *testing.T) {
	t.Helper()
	res, err := build.FromObjects(build.Options{
		Target: m.target, Old: []string{m.dir + "/old/objs"}, New: []string{m.dir + "/new/objs"}, Name: "test", Tool: "test",
	})
	must(t, err)
	m.patch, err = patch.Read(res.Data)
	must(t, err)
}

// bake bakes the target in place, and returns its old and new content.
func (m *made) bake(t *testing.T) (before, after []byte) {
	t.Helper()
	before, err := os.ReadFile(m.target)
	must(t, err)
	after, err = File(m.target, before, m.patch)
	must(t, err)
	again, err := File(m.target, before, m.patch)
	if err != nil || !bytes.Equal(after, again) {
		t.Errorf("baked twice, the files differ (%v)", err)
	}
	must(t, os.Remove(m.target))
	must(t, os.WriteFile(m.target, after, 0o755))
	return before, after
}

func run(t *testing.T, program string) string {
	t.Helper()
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "FIRST=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", program, err, stderr.String(), out)
	}
	return string(out)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestRun bakes programs and libraries of all kinds. Their output must be that of the program compiled from the new source,
// and tools must not report more problems than before.
func TestRun(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			m := makeUnit(t, v)
			complaints := lint(t, m.target)
			m.bake(t)
			if diff := cmp.Diff(strings.Split(run(t, m.new), "\n"), strings.Split(run(t, m.old), "\n")); diff != "" {
				t.Errorf("the baked program differs from the new one (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(complaints, lint(t, m.target)); diff != "" {
				t.Errorf("the tools complain of other things than before (-before +after):\n%s", diff)
			}
			wantSections(t, m.target, !v.strip)
			im, err := match.Open(m.target, "")
			must(t, err)
			if im.Named == v.strip {
				t.Errorf("the next patch takes the symbol table for a full one: %v", im.Named)
			}
		})
	}
}

// numbers matches the numbers in which similar messages differ.
var numbers = regexp.MustCompile(`\[ *\d+\]|0x[0-9a-f]+|\b\d+\b`)

// lint returns the problems that readelf and eu-elflint report.
func lint(t *testing.T, path string) []string {
	t.Helper()
	var list []string
	var stderr bytes.Buffer
	cmd := exec.Command("readelf", "--wide", "--all", "--debug-dump=frames", path)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("readelf: %v\n%s", err, stderr.String())
	}
	text := stderr.String()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(strings.ToLower(line), "warning") || strings.Contains(line, "<corrupt") {
			text += line
		}
	}
	if cmd := exec.Command("eu-elflint", "--gnu-ld", path); cmd.Err != nil {
		t.Fatalf("eu-elflint is needed (make deps): %v", cmd.Err)
	} else {
		out, _ := cmd.Output() // the exit status is not 0 if there are problems
		text += string(out)
	}
	for line := range strings.Lines(text) {
		list = append(list, numbers.ReplaceAllString(strings.ReplaceAll(line, path, "FILE"), "N"))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// wantSections checks the sections and symbols of the file.
func wantSections(t *testing.T, path string, symbols bool) {
	t.Helper()
	f, err := elf.Open(path)
	must(t, err)
	defer f.Close()
	for _, name := range []string{".eh_frame", ".lpatch.text", ".symtab"} {
		if f.Section(name) == nil {
			t.Errorf("there is no section %s", name)
		}
	}
	list, err := f.Symbols()
	must(t, err)
	named := map[string]int{}
	for _, s := range list {
		named[s.Name]++
	}
	if want := map[bool]int{true: 2, false: 1}[symbols]; named["changed_body"] != want || named["test.lp"] != 1 {
		t.Errorf("changed_body is there %d times, want %d; test.lp %d times", named["changed_body"], want, named["test.lp"])
	}
}

// TestRefuse checks files that cannot be baked, with the error messages.
func TestRefuse(t *testing.T) {
	m := makeUnit(t, variant{name: "imports", cc: "gcc", flags: []string{"-O2", "-fPIE"}, link: []string{"-pie"}, imports: true})
	data, err := os.ReadFile(m.target)
	must(t, err)
	wantRefusal(t, m.target, data, m.patch, "the patch refers to ", " of libc.so.6, which prog does not import, and a file can refer to others only by its imports")

	m = makeUnit(t, variants[0])
	before, after := m.bake(t)
	wantRefusal(t, m.target, after, m.patch, "prog has the patch test in it already")
	other, err := os.ReadFile(m.new)
	must(t, err)
	wantRefusal(t, m.target, other, m.patch, "prog has build-id ", ", the patch test is for build-id ", "; name the file that it was built for")
	wantRefusal(t, m.target, append(slices.Clone(before), "an archive"...), m.patch,
		"prog has 10 bytes behind what its headers describe, which the program may look for at its end")
	site := &m.patch.Spec.Sites[0]
	site.Old[0]++
	wantRefusal(t, m.target, before, m.patch, site.Symbol+" of prog has the bytes ", ", the patch expects ")
}

func wantRefusal(t *testing.T, name string, data []byte, p *patch.File, parts ...string) {
	t.Helper()
	_, err := File(name, data, p)
	var refused *Refused
	if !errors.As(err, &refused) {
		t.Errorf("the error is %v, want a refusal: %s", err, strings.Join(parts, "…"))
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the refusal is %q, want %q in it", err, part)
		}
	}
}

// TestUnwind propagates exceptions through new functions, and lets a debugger unwind through them.
func TestUnwind(t *testing.T) {
	for _, v := range []variant{
		{name: "pie", cc: "g++", flags: []string{"-O2", "-fPIE", "-fomit-frame-pointer"}, link: []string{"-pie"}},
		{name: "nopie", cc: "clang++-14", flags: []string{"-O2", "-fno-pie", "-fomit-frame-pointer"}, link: []string{"-no-pie"}},
		{name: "static", cc: "g++", flags: []string{"-O2", "-fno-pie", "-fomit-frame-pointer"}, link: []string{"-no-pie", "-static"}},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			m := &made{variant: v, dir: t.TempDir()}
			m.target = m.compileThrow(t, "old")
			want := sh(t, m.compileThrow(t, "new", "-DNEW"))
			m.makePatch(t)
			complaints := lint(t, m.target)
			m.bake(t)
			if diff := cmp.Diff(complaints, lint(t, m.target)); diff != "" {
				t.Errorf("the tools complain of other things than before (-before +after):\n%s", diff)
			}
			if got := sh(t, m.target); got != want {
				t.Errorf("the baked program prints\n%s, the new one\n%s", got, want)
			}
			wantBacktrace(t, m.target)
		})
	}
}

func (m *made) compileThrow(t *testing.T, side string, defines ...string) string {
	t.Helper()
	d := filepath.Join(m.dir, side)
	must(t, os.MkdirAll(d+"/objs", 0o755))
	var objects []string
	for _, unit := range []string{"throw", "main"} {
		args := slices.Concat([]string{"-g", "-c", "testdata/" + unit + ".cc"}, m.flags, defines)
		objects = append(objects, d+"/"+unit+".o")
		sh(t, m.cc, append(args, "-o", objects[len(objects)-1])...)
		sh(t, m.cc, append(args, "-ffunction-sections", "-fdata-sections", "-o", d+"/objs/"+unit+".o")...)
	}
	sh(t, m.cc, slices.Concat([]string{"-o", d + "/prog"}, objects, m.flags, m.link)...)
	return d + "/prog"
}

// wantBacktrace stops in a function that a new function calls.
func wantBacktrace(t *testing.T, program string) {
	t.Helper()
	out := sh(t, "gdb", "-batch", "-nx", "-ex", "set debuginfod enabled off", "-ex", "break leaf", "-ex", "run",
		"-ex", "backtrace", "-ex", "up", "-ex", "info symbol $pc", program)
	for _, want := range []string{`#0 .*leaf`, `#1 .*through`, `#2 .*catches`, `#3 .*main`, `through\(int\)( \+ \d+)? in section \.lpatch\.text`} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("gdb does not say %q:\n%s", want, out)
		}
	}
}
