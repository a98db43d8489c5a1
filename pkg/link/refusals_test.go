// SPDX-License-Identifier: GPL-2.0

package link

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/match"
	"lpatch/pkg/patch"
)

// fix is a change of function f, with a description of the target.
type fix struct {
	name     string
	lib      string // source of a library that the target is linked with
	versions string // version script of the library
	rest     string // source of another object of the target
	old, new string
	cc       string // if not gcc
	cflags   string // if not -fPIE
	newflags string // of the new object, if different
	ldflags  string // if not -pie
	damage   func(new *diff.Object)
	gone     bool   // the library does not exist when the patch is linked
	broken   bool   // the library named by --lib is damaged
	want     string // expected refusal
}

// noinline precedes the functions of a fix.
const noinline = "#define NI __attribute__((noinline))\n"

// TestRefusals links patches of small changes, each of which is refused for one reason.
func TestRefusals(t *testing.T) {
	const call = noinline + "int f(int x) { return x * 5 + 1; }\n"
	tests := []fix{
		{
			name: "new code that is none", old: call, new: noinline + `NI static int added(int x) { asm(".byte 0x06"); return x * 3; } int f(int x) { return added(x) + 1; }`,
			want: "x.o: added: the new code does not decode: .text.added+0x0: cannot decode instruction (06 8d 04 7f c3): unrecognized instruction; report it, or leave this function out [undecodable-code]",
		},
		{
			name: "thread-local variable of a library, used as another", lib: "__thread int there = 5;", old: call, new: "extern int there; int f(int x) { return x * 5 + there; }",
			want: "x.o: there: libthere.so defines this thread-local variable, and prog does not use it; use what the target uses already [import-tls]",
		},
		{
			name: "two versions of an import", lib: `int one(void) { return 1; } int two(void) { return 2; } asm(".symver one,there@V1"); asm(".symver two,there@@V2");`,
			versions: "V1 {}; V2 {} V1;",
			rest:     `int there(void); int old(void); asm(".symver old,there@V1"); int both(void) { return there() + old(); }`,
			old:      call, new: "int there(void); int f(int x) { return x * 5 + there(); }",
			want: "x.o: there: prog imports versions V1 and V2 of this symbol; the new code does not say which it means [import-ambiguous]",
		},
		{
			name: "address beyond 4 GiB", old: noinline + "NI int g(int x) { return x * 9; } int f(int x) { return g(x) + 1; }", cflags: "-fPIC", ldflags: "-no-pie -nostdlib -Wl,-e,f -Wl,-Ttext-segment=0x200000000",
			new: noinline + "NI int g(int x) { return x * 9; } void *volatile v; int f(int x) { v = g; return g(x) + 2; }", newflags: "-fno-pie",
			want: "x.o: .text.f: the address 0x200001010 does not fit into 32 bits; compile with -fPIE [relocation-overflow]",
		},
		{
			name: "indirect function that nobody uses", old: noinline + "int a(int x) { return x; } void *r(void) { return a; } int g(int) __attribute__((ifunc(\"r\"))); int f(int x) { return x * 5 + 1; }",
			new:  noinline + "int a(int x) { return x; } void *r(void) { return a; } int g(int) __attribute__((ifunc(\"r\"))); int f(int x) { return g(x) * 5 + 1; }",
			want: "x.o: g: prog has no resolved slot for this indirect function, so the new code cannot reach it; use functions that the program uses already [ifunc-reference]",
		},
		{
			name: "exported variable that nobody uses", cflags: "-fPIC", ldflags: "-shared", old: "int there = 3; int f(int x) { return x * 5 + 1; }", new: "int there = 3; int f(int x) { return x * 5 + there; }",
			want: "x.o: there: a program may have a copy of this variable, and prog has no word that says which one counts, because its code does not use it; use a function that returns it [interposed-data]",
		},
		{
			name: "exported variable in a new table", cflags: "-fPIC", ldflags: "-shared", old: "int there[3] = {3}; int f(int x) { return x * 5 + there[0]; }",
			new:  "int there[3] = {3}; static int *const table[] = { there, there + 1, there + 2 }; int f(int x) { return x * 5 + *table[x & 1]; }",
			want: "x.o: there: a program may have a copy of this variable, and a table of the patch cannot hold the address of the one that counts; take its address in code [interposed-data]",
		},
		{
			name: "variable of a library without a copy", lib: "int there = 5;", old: "extern int there; int f(int x) { return x * 5 + there; }", cflags: "-fPIC",
			new: "extern int there; int f(int x) { return x * 7 + there; }", newflags: "-fPIE",
			want: "x.o: there: prog has no copy of this variable of a library, so new code compiled as part of a program cannot reach it; compile it with -fPIC [import-not-in-image]",
		},
		{
			name: "exception table without a word", cflags: "-fPIE -fexceptions", ldflags: "-pie -lgcc_s -Wl,--no-as-needed",
			rest: "int __gcc_personality_v0(); int user(void) { return __gcc_personality_v0(); } void g(void) { user(); }",
			old:  "int f(int x) { return x * 5 + 1; }", new: "void g(void); int v; static void done(int *p) { v = *p; } int f(int x) { int n __attribute__((cleanup(done))) = x; g(); return n * 5; }",
			want: "x.o: __gcc_personality_v0: prog has no word with the address of this symbol, which the exception tables of the new code need; leave the handler or the cleanup out [import-not-in-image]",
		},
		{
			name: "thread-local data without a name", old: call, new: `int f(int x) { int n; asm(".pushsection .tdata.n,\"awT\",@progbits; .long 1; .popsection; mov %%fs:.tdata.n@tpoff, %0" : "=r"(n)); return x * 5 + n; }`,
			want: "x.o: .text.f: the new code uses thread-local data without a name; use ordinary storage [new-tls]",
		},
		{
			name: "code without a name", old: call, new: `int f(int x) { asm(".pushsection .text.n,\"ax\",@progbits; 1: ret; .popsection; call 1b"); return x * 5; }`,
			want: "x.o: .text.f: the new code refers into .text.n, which has no function symbol; compile with -ffunction-sections [inner-reference]",
		},
		{
			name: "relocation behind the end", old: call, new: noinline + "NI static int added(int x) { return x * 3; } int f(int x) { return added(x) + 1; }",
			damage: func(new *diff.Object) {
				s := new.SectionOf(new.Lookup("f"))
				s.Size = 2
			},
			want: "x.o: f: a relocation at 0x1 reaches beyond the section; build the object again [damaged-object]",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.link(t); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// link builds the target and the patch, and returns the refusals.
func (x *fix) link(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cc, cflags := cmp.Or(x.cc, "gcc"), strings.Fields(cmp.Or(x.cflags, "-fPIE"))
	newflags := strings.Fields(cmp.Or(x.newflags, x.cflags, "-fPIE"))
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command(cc, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	for name, text := range map[string]string{"lib.c": x.lib, "lib.map": x.versions, "rest.c": x.rest + "\nint main(void) { return 0; }", "old.c": x.old, "new.c": x.new} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	compile := func(name string, flags []string) {
		run(append(flags, "-O2", "-g", "-ffunction-sections", "-fdata-sections", "-c", name+".c", "-o", name+".o")...)
	}
	compile("rest", cflags)
	compile("old", cflags)
	compile("new", newflags)
	linked := append([]string{"-o", "prog", "rest.o", "old.o"}, strings.Fields(cmp.Or(x.ldflags, "-pie"))...)
	if x.lib != "" {
		made := []string{"-shared", "-fPIC", "-O2", "lib.c", "-o", "libthere.so", "-Wl,-soname,libthere.so"}
		if x.versions != "" {
			made = append(made, "-Wl,--version-script=lib.map")
		}
		run(made...)
		linked = append(linked, "-Wl,--no-as-needed", "./libthere.so", "-Wl,-rpath,$ORIGIN")
	}
	run(linked...)
	if x.gone {
		if err := os.Remove(filepath.Join(dir, "libthere.so")); err != nil {
			t.Fatal(err)
		}
	}
	return x.refusal(t, dir)
}

func (x *fix) refusal(t *testing.T, dir string) string {
	t.Helper()
	object := func(name string) *diff.Object {
		f, err := lpelf.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		o, err := diff.NewObject("x.o", f)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	im, err := match.Open(filepath.Join(dir, "prog"), "")
	if err != nil {
		t.Fatal(err)
	}
	res := diff.Compare(object("old.o"), object("new.o"), diff.Options{})
	if len(res.Changed) == 0 || len(res.Refusals) > 0 {
		t.Fatalf("changed %v, refusals %v", res.Changed, res.Refusals)
	}
	var changed []*lpelf.Symbol
	for _, c := range res.Changed {
		changed = append(changed, c.Old)
	}
	loc, err := match.Locate(im, res.Old, changed)
	if err != nil {
		t.Fatal(err)
	}
	if x.damage != nil {
		x.damage(res.New)
	}
	var opts Options
	if x.broken {
		lib := filepath.Join(dir, "libthere.so")
		if err := os.WriteFile(lib, []byte("\x7fELF"), 0o644); err != nil {
			t.Fatal(err)
		}
		if opts.Scope, err = NewScope(im.Image, []string{lib}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = Link(im, []*Input{{Diff: res, Loc: loc}}, nil, patch.Spec{Format: patch.FormatVersion, Name: "test", Tool: "test"}, opts)
	var refusals diff.Refusals
	if !errors.As(err, &refusals) {
		t.Fatalf("not refused: %v", err)
	}
	return strings.ReplaceAll(refusals.Sorted().Error(), dir+"/", "")
}
