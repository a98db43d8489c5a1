// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"strings"
	"testing"
)

// TestAccount changes content that no symbol of a function or variable covers.
func TestAccount(t *testing.T) {
	const (
		table = "; a table like that is found by where its section starts and ends, and a running program goes on with the one it has: leave its entries as they were, or restart the program [table-changed]"
		left  = ", which no function and no variable covers, differ between old and new, so what they are to the program is not known; " +
			"give them a symbol with a type and a size in a section of its own (-ffunction-sections -fdata-sections), or leave them as they were [unexplained-section]"
		probe  = `int f(int *p) { int r; asm volatile("1: movl (%%rdi), %%eax\n movl %%eax, %0\n2:\n.pushsection ext,\"a\"\n.quad 1b, 2b\n.popsection" : "=r"(r)); return r`
		member = `static long a __attribute__((section("set"), used)) = 1; `
		dotted = `static long a __attribute__((section(".my.set"), used)) = 1; `
	)
	tests := []struct{ name, old, new, want string }{
		{"a member more", member, member + `static long b __attribute__((section("set"), used)) = 1;`, "x.o: b: section set of the new object has this entry more than the old one" + table},
		{"a member gone", member + `static long b __attribute__((section("set"), used)) = 1;`, member, "x.o: b: section set of the new object lacks this entry" + table},
		{"no C identifier", dotted, dotted + `static long b __attribute__((section(".my.set"), used)) = 1;`, "x.o: b: section .my.set of the new object has this entry more than the old one" + table},
		{"unnamed content", `asm(".pushsection set,\"a\"\n.long 1\n.popsection");`, `asm(".pushsection set,\"a\"\n.long 2\n.popsection");`,
			"x.o: set: section set of the new object has another entry here than the old one" + table},
		{"collected by a script", `int g(void) { return 1; } asm(".pushsection .data.tab,\"aw\"\n.quad g\n.popsection");`, `int g(void) { return 1; } asm(".pushsection .data.tab,\"aw\"\n.quad g, g\n.popsection");`,
			"x.o: .data.tab: section .data.tab of the new object has another entry here than the old one" + table},
		{"labels", probe + "; }", probe + " + 1; }",
			"x.o: f: the function changed, and section ext has addresses of places within it, of which the program goes on to use its own; leave the function as it was, or restart the program [labels-in-table]"},
		{"a symbol inside", `int f(int i) { asm volatile("nop\n.globl at\nat:"); return i; }`, `int f(int i) { asm volatile("nop\n.globl at\nat:"); return i + 1; }`,
			"x.o: f: the function changed, and the program knows the address of at within it, which stays that of the old one; leave the function as it was, or restart the program [labels-in-table]"},
		{"code without a type", `asm(".text\n.globl h\nh: mov $1, %eax\nret");`, `asm(".text\n.globl h\nh: mov $2, %eax\nret");`, "x.o: h: bytes of section .text here" + left},
		{"data without a type", `asm(".data\n.globl h\nh: .long 1\n.text");`, `asm(".data\n.globl h\nh: .long 2\n.text");`, "x.o: h: bytes of section .data here" + left},
		{".ctors", "void f(void) {}", `void f(void) {} asm(".pushsection .ctors,\"aw\"\n.quad f\n.popsection");`,
			"x.o: .ctors: functions that run at start or exit were added or changed; the program has started already: do the work elsewhere [constructor-changed]"},
		{"a destructor gone", "int n; __attribute__((destructor)) void f(void) { n++; }", "int n; void f(void) { n++; }",
			"x.o: .fini_array: functions that run at start or exit are gone, and the program has run them, or will as it ends; leave them there, and change what they call [constructor-changed]"},
		{"the same set", member + "int f(void) { return 1; }", member + "int f(void) { return 2; }", ""},
		{"a variable in a section of its own", "int f(void) { return 1; }", `static long a __attribute__((section(".data.hot"))) = 1; int f(void) { return *(volatile long *)&a; }`, ""},
		{"a switch", "int g(int); int f(int i) { switch (i) { case 0: return g(4); case 1: return g(9); case 2: return 7; case 3: return g(1); case 4: return g(77); case 5: return g(12); } return 0; }",
			"int g(int); int f(int i) { switch (i) { case 0: return g(4); case 1: return g(9); case 2: return 7; case 3: return g(1); case 4: return g(78); case 5: return g(12); case 6: return g(3); } return 0; }", ""},
		{"literals", `int f(int i) { int v[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}; return v[i]; }`, `int f(int i) { int v[] = {1, 2, 3, 4, 5, 6, 7, 8, 8}; return v[i]; }`, ""},
	}
	for _, cc := range []string{"gcc", "clang-19"} {
		for _, tt := range tests {
			t.Run(cc+" "+tt.name, func(t *testing.T) {
				r := Compare(compile(t, cc, tt.old), compile(t, cc, tt.new), Options{})
				// gcc chooses the order of variables, so that the new one may come first
				got := strings.ReplaceAll(r.Refusals.Error(), "has another entry here", "has this entry more")
				if want := strings.ReplaceAll(tt.want, "has another entry here", "has this entry more"); got != want {
					t.Errorf("got  %s\nwant %s", r.Refusals.Error(), tt.want)
				}
			})
		}
	}
}

// TestSubsection checks that code after the end of a function, in the same section, is part of it.
func TestSubsection(t *testing.T) {
	const f = `int f(void) { int r; asm volatile("jmp 2f\n1:\n.subsection 1\n2: movl $N, %0\n jmp 1b\n.previous" : "=r"(r)); return r; }`
	r := Compare(compile(t, "gcc", strings.Replace(f, "N", "1", 1)), compile(t, "gcc", strings.Replace(f, "N", "2", 1)), Options{})
	if len(r.Changed) != 1 || len(r.Refusals) > 0 {
		t.Errorf("changed %v, refused %v", r.Changed, r.Refusals)
	}
}

// TestDivide separates constants that share a location in the old object, and checks that references to the new one change.
func TestDivide(t *testing.T) {
	const code = "static const int b[8] = {1,2,3,4,5,6,7,8};\n" + noinline + "NI int f(int i) { return a[i & 7] * 3; } NI int g(int i) { return b[i & 7] * 5; } int h(int i) { return f(i) + g(i); }"
	r := Compare(compile(t, "gcc", "static const int a[8] = {1,2,3,4,5,6,7,8};"+code), compile(t, "gcc", "static const int a[8] = {1,2,3,4,5,6,7,9};"+code), Options{})
	if got := summarize(r); len(got.Codes) > 0 || len(got.Changed) == 0 || len(r.Values) > 0 {
		t.Errorf("%+v", got)
	}
}

// TestRelies checks which functions changed code depends on: direct and indirect callees, and inlined functions.
func TestRelies(t *testing.T) {
	const rest = noinline + "NI static int leaf(int x) { return x * 3; } NI static int step(int x) { return leaf(x) + 1; } int in(int x) { return x ^ 5; } NI int other(int x) { return x / 7; } "
	r := Compare(compile(t, "gcc", rest+"int f(int x) { return step(in(x)); }"), compile(t, "gcc", rest+"int f(int x) { return step(in(x)) + 2; }"), Options{})
	var got []string
	for _, s := range r.Relies() {
		got = append(got, s.Name)
	}
	if want := "f step in leaf"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
