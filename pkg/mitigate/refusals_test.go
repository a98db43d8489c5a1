// SPDX-License-Identifier: GPL-2.0

package mitigate

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lpatch/pkg/build"
	"lpatch/pkg/debuginfo"
	"lpatch/pkg/image"
	"lpatch/pkg/lpelf"
)

// refusalOf returns a refusal as printed by lpctl, without the path, or the error.
func refusalOf(err error) string {
	var list build.Refusals
	if errors.As(err, &list) {
		return fmt.Sprintf("%s: [%s] %s", list[0].Symbol, list[0].Code, list[0].Text)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// assemble assembles a shared object.
func assemble(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/a.s", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "gcc", "-o", dir+"/a.so", dir+"/a.s", "-shared", "-nostdlib")
	return dir + "/a.so"
}

// assembly returns the source of a function with an FDE.
func assembly(name, body string) string {
	return fmt.Sprintf(".text\n.p2align 4\n.globl %s\n.type %[1]s,@function\n%[1]s:\n.cfi_startproc\n%s\n.cfi_endproc\n.size %[1]s,.-%[1]s\n", name, body)
}

var address = regexp.MustCompile(`0x[0-9a-f]+`)

// TestCannotMove checks functions whose first instructions cannot be moved, or may be branch targets.
func TestCannotMove(t *testing.T) {
	const end = "; use --return or --trap"
	for _, c := range []struct{ name, body, want string }{
		{"loop", "1: nop\nloop 1b\nret; nop; nop", "the instruction at ADDR cannot be moved: its jump reaches 128 bytes only" + end},
		{"narrow", ".byte 0x66, 0xe9, 0, 0\nret; nop", "the instruction at ADDR cannot be moved: its jump is of 16 bits on some processors" + end},
		{"computed", "mov 8(%eip), %eax\nret", "the instruction at ADDR cannot be moved: it computes its address in 32 bits" + end},
		{"register", "call *%rax\nret; nop; nop; nop; nop", "the instruction at ADDR cannot be moved: it calls through a register, or memory that one points to" + end},
		{"unknown", ".byte 0x06\nret; nop; nop; nop; nop", "the instruction at ADDR is not understood" + end},
		{"unknown_later", "sub $0x1000, %rsp\n.byte 0x06\nret", "the instruction at ADDR is not understood, so it is not known where it leads" + end},
		{"into", "push %rbx\n1: push %rbp\nnop; nop; nop\njmp 1b", "the instruction at ADDR jumps to the bytes that are overwritten" + end},
		{"ambiguous", "nop\nmov %rdi, %rax\nnop\njmp *%rax", "the instruction at ADDR jumps to an address that is computed, and nothing proves that " +
			"this is not one of the bytes that are overwritten" + end},
		{"pushes", "push %rbx\n.cfi_adjust_cfa_offset 8\npush %rbp\n.cfi_adjust_cfa_offset 8\npush %r12\n.cfi_adjust_cfa_offset 8\nsub $8, %rsp\n.cfi_adjust_cfa_offset 8\njmp *%rax", ""},
		{"pushes_again", "push %rbx\n.cfi_adjust_cfa_offset 8\nnop\npush %r12\n.cfi_adjust_cfa_offset 8\nnop; nop\npop %r12\n.cfi_adjust_cfa_offset -8\njmp *%rax",
			"the instruction at ADDR jumps to an address that is computed, and nothing proves that this is not one of the bytes that are overwritten" + end},
		{"returns_into", "call *foo@GOTPCREL(%rip)\nret", ""},
		{"one", "mov $1, %eax\njmp *%rax", ""},
		{"loops", "1: mov foo@GOTPCREL(%rip), %rax\ndec %edi\njnz 1b\nret", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			lib := assemble(t, assembly(c.name, c.body)+assembly("foo", "mov $0, %eax\nret"))
			_, err := Make(Options{Target: lib, Function: c.name, Log: true, Name: "m", Tool: "t"})
			want := c.name + ": [cannot-move] " + c.want
			if c.want == "" {
				want = ""
			}
			if got := address.ReplaceAllString(refusalOf(err), "ADDR"); got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
		})
	}
}

// TestElsewhere checks other functions, pointers, and properties of the file that prevent a mitigation.
func TestElsewhere(t *testing.T) {
	const victim = "push %rbx\npush %rbp\nnop; nop; nop; nop\nret"
	call := assembly("f", "sub $8, %rsp\ncall foo\nadd $8, %rsp\nret") + assembly("foo", "mov $0, %eax\nret")
	const property = "\n.section .note.gnu.property,\"a\"\n.p2align 3\n.long 4, 16, 5\n.asciz \"GNU\"\n.long 0xc0000002, 4, 3, 0\n"
	for _, c := range []struct{ name, text, want string }{
		{"jumped to", assembly("f", victim) + ".hidden f\n" + assembly("g", "mov $0, %eax\njmp f+1"), "g at ADDR leads to the bytes that are overwritten; choose one that calls it"},
		{"pointed to", assembly("f", victim) + ".hidden f\n.data\n.quad f+1\n", "the pointer at ADDR leads to the bytes that are overwritten; choose one that calls it"},
		{"shadow stack", call + property, "the call at ADDR cannot be moved, for the file is marked to run with a shadow stack (-fcf-protection); use --return or --trap"},
		{"no shadow stack", strings.ReplaceAll(call+property, ", 3, 0", ", 1, 0"), ""},
		{"named", assembly("f", "push %rbx\nalso: push %rbp\nnop; nop; nop; nop\nret"), "also begins in the bytes that are overwritten; choose one that calls it"},
		{"exported", assembly("f", "push %rbx\nalso: push %rbp\nnop; nop; nop; nop\nret") + ".globl also\n.type also,@function\n", "also begins in the bytes that are overwritten; choose one that calls it"},
		{"cold part", assembly("f", "nop\nmov %rdi, %rax\nnop\njz f.cold\nret") + assembly("foo", "mov $0, %eax\nret") + assembly("f.cold", "jmp *%rax"),
			"the instruction at ADDR jumps to an address that is computed, and nothing proves that this is not one of the bytes that are overwritten; use --return or --trap"},
		{"cold part of a cold part", assembly("f", "nop\nmov %rdi, %rax\nnop\njz f.cold\nret") + assembly("f.cold", "jmp f.cold.1") + assembly("f.cold.1", ".byte 0x06"),
			"the instruction at ADDR is not understood, so it is not known where it leads; use --return or --trap"},
		{"no table", assembly("f", "nop\nmov %rdi, %rax\nnop\njz 1f\nret") + ".p2align 4\n1: jmp *%rax\n",
			"the instruction at ADDR jumps to an address that is computed, and nothing proves that this is not one of the bytes that are overwritten; use --return or --trap"},
		{"other function", assembly("f", "nop\nmov %rdi, %rax\nnop\njz foo\nret") + ".hidden foo\n" + assembly("foo", "jmp *%rax"), ""},
		{"call returns", assembly("f", "call *8(%rip)\nret; nop"), ""},
	} {
		_, err := Make(Options{Target: assemble(t, c.text), Function: "f", Log: true, Name: "m", Tool: "t"})
		want := "f: [cannot-move] " + c.want
		if c.want == "" {
			want = ""
		}
		if got := address.ReplaceAllString(refusalOf(err), "ADDR"); got != want {
			t.Errorf("%s: %s\nwant %s", c.name, got, want)
		}
	}
	// these prevent every action
	for _, text := range []string{assembly("f", victim) + ".hidden f\n" + assembly("g", "mov $0, %eax\njmp f+1"), assembly("f", "push %rbx\nalso: push %rbp\nnop; nop; nop; nop\nret")} {
		for _, o := range []Options{{Return: "0", Returns: "int"}, {Trap: true}} {
			o.Target, o.Function, o.Name, o.Tool = assemble(t, text), "f", "m", "t"
			if _, err := Make(o); !strings.Contains(refusalOf(err), "in the bytes that are overwritten; choose one that calls it") && !strings.Contains(refusalOf(err), "to the bytes that are overwritten; choose one that calls it") {
				t.Errorf("%s%v: %v", o.Return, o.Trap, err)
			}
		}
	}
	noTable := strings.NewReplacer(".cfi_startproc", "", ".cfi_endproc", "").Replace(assembly("f", victim))
	_, err := Make(Options{Target: assemble(t, noTable), Function: "f", Log: true, Name: "m", Tool: "t"})
	if got, want := refusalOf(err), "f: [no-unwind-table] "+noUnwind; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	own := strings.ReplaceAll(assembly("f", victim), ".cfi_startproc", ".cfi_startproc simple\n.cfi_def_cfa %rsp, 16")
	_, err = Make(Options{Target: assemble(t, own), Function: "f", Log: true, Name: "m", Tool: "t"})
	if got, want := refusalOf(err), "f: [no-unwind-table] its unwind table is not understood: its frames begin in a way of their own; use --return or --trap"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestTypes checks constants that do not match the return type of a function.
func TestTypes(t *testing.T) {
	prog := compile(t, "gcc", "-g -O2", "calls.c")
	other := func(what string) string {
		return "[returns-otherwise] debug information says that it returns " + what + ", which is not passed as a number is; use --log or --trap"
	}
	for _, c := range []struct{ name, value, returns, want string }{
		{"floating", "0", "", other("double")},
		{"single", "0", "", other("float")},
		{"wide", "0", "int", other("long double")},
		{"very_wide", "0", "", other("__int128")},
		{"small", "0", "", other("a structure (small)")},
		{"big", "0", "", other("a structure (big)")},
		{"either", "0", "", other("a union (both)")},
		{"fatal", "void", "", "[never-returns] it is declared never to return, and there need not be code behind its calls; use --log or --trap"},
		{"truth", "2", "", "[constant-impossible] it returns a truth value; say --return 0 or --return 1"},
		{"byte", "256", "", "[constant-impossible] it returns an integer of 1 bytes, which cannot be 256"},
		{"byte", "-129", "", "[constant-impossible] it returns an integer of 1 bytes, which cannot be -129"},
		{"leaf", "0x100000000", "", "[constant-impossible] it returns an integer of 4 bytes, which cannot be 0x100000000"},
		{"leaf", "void", "", "[constant-impossible] it returns an integer; say which with --return N"},
		{"does", "0", "", "[constant-impossible] it returns nothing; say --return void"},
		{"leaf", "0", "pointer", "[returns-otherwise] --returns pointer, but debug information says that it returns an integer; leave --returns out"},
		{"leaf", "0", "int", ""},
	} {
		_, err := Make(Options{Target: prog, Function: c.name, Return: c.value, Returns: c.returns, Name: "m", Tool: "t"})
		want := c.name + ": " + c.want
		if c.want == "" {
			want = ""
		}
		if got := refusalOf(err); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// TestOptions checks invalid options.
func TestOptions(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Log: true}, "say which function, by --function NAME or by --offset ADDRESS"},
		{Options{Function: "f", Address: "1", Log: true}, "say which function, by --function NAME or by --offset ADDRESS"},
		{Options{Function: "f"}, "say what it is to do: one of --return, --log and --trap"},
		{Options{Function: "f", Log: true, Trap: true}, "say what it is to do: one of --return, --log and --trap"},
		{Options{Function: "f", Log: true, Returns: "int"}, "--returns goes with --return only"},
		{Options{Function: "f", Return: "0", Returns: "double"}, `--returns "double": say one of int, bool, pointer, void`},
		{Options{Function: "f", Return: "x"}, `--return "x": is neither a number of 64 bits nor "void"`},
		{Options{Function: "f", Return: "18446744073709551616"}, `--return "18446744073709551616": is neither a number of 64 bits nor "void"`},
	} {
		if _, err := Make(c.o); err == nil || err.Error() != c.want {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
}

const library = `
#include <string.h>
int shown = 1;
int old_way(int x) { return x + 1; }
int new_way(int x) { return x + 2; }
__asm__(".symver old_way,way@ONE\n.symver new_way,way@@TWO");
static int twin(int x) { return x * 5; }
int uses_twin(int x) { return twin(x); }
static int fast(void) { return 1; }
static void *choose(void) { return (void *)fast; }
int chosen(void) __attribute__((ifunc("choose")));
int uses(char *p) { return chosen() + strlen(p); }
int also(int x) __attribute__((alias("uses_twin")));
extern void abort(void);
__attribute__((noinline)) int with_cold(int x) { if (__builtin_expect(x == 77, 0)) { shown = x; abort(); } return x * 3; }
`

// TestNames finds functions by name, and checks the error for ambiguous names.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.c": library, "b.c": "static int twin(int x) { return x * 7; }\nint uses_other(int x) { return twin(x); }\n",
		"map": "ONE { global: *; };\nTWO {} ONE;\n"} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lib := dir + "/lib.so"
	run(t, "gcc", "-shared", "-fPIC", "-O2", "-g", "-fno-inline", "-Wl,--version-script="+dir+"/map", "-o", lib, dir+"/a.c", dir+"/b.c")
	stripped := dir + "/stripped.so"
	run(t, "strip", "-o", stripped, lib)
	run(t, "objcopy", "--only-keep-debug", lib, dir+"/lib.debug")
	for _, c := range []struct{ target, symbols, function, want string }{
		{lib, "", "uses", ""},
		{lib, "", "way@ONE", ""},
		{lib, "", "way@@TWO", ""},
		{lib, "", "way", "way: [function-ambiguous] the target has 2 functions of this name; say which one: way@ONE, way@TWO"},
		{lib, "", "twin", "twin: [function-ambiguous] the target has 2 functions of this name; say which one: a.c:twin, b.c:twin"},
		{lib, "", "a.c:twin", ""},
		{lib, "", "c.c:twin", `c.c:twin: [no-such-function] the target has no function of this name; "nm" lists them, and one that was put into all its callers is not among them`},
		{lib, "", "chosen", "chosen: [indirect-function] at its symbol is the code that chooses one of several implementations when the program starts; name the one that is used"},
		{lib, "", "strlen", "strlen: [import] the target has it from another file; name the library that defines it with --target"},
		{lib, "", "shown", "shown: [not-a-function] this is no function"},
		{lib, "", "with_cold", ""},
		{lib, "", "with_cold.cold", "with_cold.cold: [cold-part] it is a part of with_cold that is not called by itself; name that"},
		{stripped, "", "a.c:twin", "a.c:twin: [needs-symbols] the target is stripped and does not export it; name an unstripped build of exactly the target, " +
			"or its debug file, with --symbols, or say where the function begins with --offset"},
		{stripped, "", "uses", ""},
		{stripped, lib, "a.c:twin", ""},
		{stripped, dir + "/lib.debug", "b.c:twin", ""},
	} {
		_, err := Make(Options{Target: c.target, Symbols: c.symbols, Function: c.function, Trap: true, Name: "m", Tool: "t"})
		if got := refusalOf(err); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
	res, err := Make(Options{Target: lib, Function: "uses_twin", Return: "0", Name: "m", Tool: "t"})
	if err != nil || len(res.Warnings) != 1 || res.Warnings[0] != "uses_twin: it is also called also, which changes with it" {
		t.Errorf("%q, %v", res.Warnings, err)
	}
	if res, err = Make(Options{Target: stripped, Symbols: dir + "/lib.debug", Function: "b.c:twin", Return: "0", Name: "m", Tool: "t"}); err != nil {
		t.Errorf("the debug file tells the type: %v, %v", res, err)
	}
	testAddresses(t, lib, stripped)
}

// testAddresses checks the starts of functions in files without names.
func testAddresses(t *testing.T, lib, stripped string) {
	f, err := lpelf.Open(lib)
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]uint64{}
	for _, s := range f.Symbols {
		at[s.Name] = s.Value
	}
	for _, s := range f.Sections {
		at[s.Name] = s.Addr
	}
	for _, c := range []struct {
		address uint64
		want    string
	}{
		{at["uses_twin"], ""},
		{at["fast"], ""},
		{at["uses_twin"] + 1, "[not-a-function] it is in the middle of what begins at " + fmt.Sprintf("%#x", at["uses_twin"]) + "; name the start"},
		{at["shown"], "[not-a-function] there is no code of the file at this address"},
		{at["_init"], "[not-a-function] no unwind table of the file begins at this address, so it is not known to be the start of a function; name the symbol"},
		{at["with_cold.cold"], "[cold-part] "},
		{at[".plt"], "[import] it is in .plt, which the linker has made for calls of other files; name the library that has the function with --target"},
	} {
		_, err := Make(Options{Target: stripped, Address: fmt.Sprintf("%#x", c.address), Trap: true, Name: "m", Tool: "t"})
		got := refusalOf(err)
		want := fmt.Sprintf("%#x: %s", c.address, c.want)
		if c.want == "" && got != "" || !strings.HasPrefix(got, want) && c.want != "" {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	_, err = Make(Options{Target: stripped, Address: "uses", Trap: true, Name: "m", Tool: "t"})
	if got, want := refusalOf(err), `--offset "uses": is no number`; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestPartByAddress checks that an FDE which starts with a stack frame is part of a function, even without visible
// references.
func TestPartByAddress(t *testing.T) {
	part := ".p2align 4\npart:\n.cfi_startproc\n.cfi_def_cfa_offset 16\nmov $1, %eax\nadd $8, %rsp\n.cfi_def_cfa_offset 8\nret\n.cfi_endproc\n"
	lib := assemble(t, assembly("f", "mov $2, %eax\nret")+part)
	f, err := lpelf.Open(lib)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(f.Symbols, func(s *lpelf.Symbol) bool { return s.Name == "part" })
	at := fmt.Sprintf("%#x", f.Symbols[i].Value)
	_, err = Make(Options{Target: lib, Address: at, Trap: true, Name: "m", Tool: "t"})
	if got, want := refusalOf(err), at+": [cold-part] what begins there has a frame already, so it is a part of another function; name the start of that"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestByAddress patches a stripped program.
func TestByAddress(t *testing.T) {
	prog := compile(t, "gcc", "-O2", "calls.c")
	f, err := lpelf.Open(prog)
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	for n, s := range f.Symbols {
		if s.Name == "eight" {
			i = n
		}
	}
	if out, err := exec.Command("strip", prog).CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	o := Options{Target: prog, Address: strconv.FormatUint(f.Symbols[i].Value, 10), Return: "5", Name: "m", Tool: "t"}
	_, err = Make(o)
	if got, want := refusalOf(err), fmt.Sprintf("%#x: [type-unknown] neither debug information nor its symbol tells what it returns; "+
		"say --returns int|bool|pointer|void if you know", f.Symbols[i].Value); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	o.Returns = "int"
	res, err := Make(o)
	if err != nil {
		t.Fatal(err)
	}
	if got := mitigated(t, prog, res.Data); strings.Count(got, "eight(i) 5\n") != 3 || !strings.Contains(got, "hits 3\n") {
		t.Errorf("%s", got)
	}
}

// TestCopies checks the warnings about code that is not changed.
func TestCopies(t *testing.T) {
	dir := t.TempDir()
	const text = "static inline int copied(int x) { return x ^ 0x55; }\nint (*volatile too)(int) = copied;\n" +
		"int one(int x) { return copied(x); }\nint main(int c, char **v) { return one(c) + copied(c) + too(c); }\n"
	if err := os.WriteFile(dir+"/a.c", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "gcc", "-O2", "-fno-ipa-icf", "-g", "-o", dir+"/a", dir+"/a.c")
	res, err := Make(Options{Target: dir + "/a", Function: "copied", Return: "0", Name: "m", Tool: "t"})
	if err != nil || len(res.Warnings) != 1 || !strings.HasPrefix(res.Warnings[0], "copied: its callers have ") ||
		!strings.HasSuffix(res.Warnings[0], " copies of it (inlined), which are not changed: in main, one") {
		t.Errorf("%v, %v", res, err)
	}
	run(t, "strip", "-g", dir+"/a")
	res, err = Make(Options{Target: dir + "/a", Function: "copied", Return: "0", Returns: "int", Name: "m", Tool: "t"})
	if err != nil || len(res.Warnings) != 1 || res.Warnings[0] != "copied: no debug information tells whether compilers have put copies of it into its callers, which would not be changed" {
		t.Errorf("%v, %v", res, err)
	}
}

// TestCopiesElsewhere checks that inlined subroutines of unknown origin may be copies of the function.
func TestCopiesElsewhere(t *testing.T) {
	for _, c := range []struct {
		debug debuginfo.Linked
		want  string
	}{
		{debuginfo.Linked{InlinedUnknown: true}, "f: no debug information tells whether compilers have put copies of it into its callers, which would not be changed"},
		{debuginfo.Linked{InlinedUnknown: true, Inlined: 2, In: []string{"g", "h"}}, "f: its callers have 2 copies of it (inlined) or more, which are not changed: in g, h"},
	} {
		m := &maker{im: &image.Image{}, fn: function{name: "f"}, debug: &c.debug}
		m.warnCopies()
		if len(m.warnings) != 1 || m.warnings[0] != c.want {
			t.Errorf("%q\nwant %s", m.warnings, c.want)
		}
	}
}

// TestClones checks functions that the compiler has cloned for some callers.
func TestClones(t *testing.T) {
	clone := strings.ReplaceAll(assembly("f_isra", "mov $1, %eax\nret"), "f_isra", `"f.isra.0"`)
	lib := assemble(t, assembly("f", "mov $2, %eax\nret")+clone)
	_, err := Make(Options{Target: lib, Function: "f.isra.0", Return: "0", Returns: "int", Name: "m", Tool: "t"})
	if got, want := refusalOf(err), "f.isra.0: [compiler-clone] the compiler made it of another function and may have changed what it takes and returns; use --log or --trap"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	res, err := Make(Options{Target: lib, Function: "f", Return: "0", Returns: "int", Name: "m", Tool: "t"})
	const want = "f: callers may use f.isra.0, which the compiler made of it and which is not changed; make a patch of each"
	if err != nil || res.Warnings[len(res.Warnings)-1] != want {
		t.Errorf("%v, %v", res, err)
	}
}

const endings = `
#include <stdio.h>
#include <stdlib.h>
static __attribute__((noinline)) void die(char *s) { fprintf(stderr, "%s\n", s); exit(3); }
static __attribute__((noinline)) void die_by(int n)
{
	switch (n) {
	case 0: puts("a"); exit(7);
	case 1: perror("b"); exit(9);
	case 2: putchar('c'); exit(2);
	case 3: fflush(stdin); exit(4);
	case 4: fclose(stdin); exit(5);
	case 5: srand(n); exit(6);
	default: abort();
	}
}
static __attribute__((noinline)) void die_cold(int n) { if (__builtin_expect(n == 3, 0)) { puts("cold"); puts("d"); exit(1); } for (;;) getchar(); }
__attribute__((noipa)) int lives_cold(int n) { if (__builtin_expect(n == 3, 0)) { puts("cold"); puts("d"); abort(); } return n ^ rand(); }
static __attribute__((noinline)) void tail(int n) { if (n) puts("x"); srand(n); }
static __attribute__((noinline)) void by_pointer(void (**f)(int)) { rand(); (*f)(3); }
void (*pointers[])(int) = { die_by, die_cold, tail };
int main(int c, char **v)
{
	tail(c);
	by_pointer(pointers + c);
	lives_cold(c);
	if (c > 2)
		die_by(c);
	if (c > 1)
		die_cold(c);
	die(v[0]);
}
`

// TestNeverReturns checks functions whose code cannot return, even without a declaration or debug information.
func TestNeverReturns(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/a.c", []byte(endings), 0o644); err != nil {
		t.Fatal(err)
	}
	const want = ": [never-returns] neither its code nor what it jumps to has an instruction that returns, and there need not be code behind its calls; use --log or --trap"
	// without unwind tables, an indirect jump may leave the function
	for _, flags := range []string{"-g -O2", "-g -O0", "-O2 -fno-jump-tables -fno-asynchronous-unwind-tables -fno-pie -no-pie"} {
		run(t, "gcc", append(strings.Fields(flags), "-w", "-o", dir+"/a", dir+"/a.c")...)
		for name, returns := range map[string]bool{"die": false, "die_by": false, "die_cold": false, "lives_cold": true, "tail": true, "by_pointer": true} {
			o := Options{Target: dir + "/a", Function: name, Return: "void", Returns: "void", Name: "m", Tool: "t"}
			if name == "lives_cold" {
				o.Return, o.Returns = "0", "int"
			}
			_, err := Make(o)
			if got := refusalOf(err); returns && err != nil || !returns && got != name+want {
				t.Errorf("%s: %s: %s", flags, name, got)
			}
			o.Return, o.Returns, o.Trap = "", "", true
			if _, err = Make(o); err != nil {
				t.Errorf("%s: %v", flags, err)
			}
		}
	}
}
