// SPDX-License-Identifier: GPL-2.0

package diff

import "testing"

// TestRefusals compares small sources, each with one change that is refused.
func TestRefusals(t *testing.T) {
	const odd = `asm(".section .odd,\"a\"; .globl f; .type f,@function; f: .byte %, 0xc3; .size f,2; .text");`
	const constants = `asm(".section .rodata.a,\"a\"; .balign 4; .globl a, b; .type a,@object; .type b,@object; a: b: .long 1; .size a,4; .size b,4; .text"); extern const int a, b; int f(void) { return a + b; }`
	tests := []struct{ name, cc, old, new, want string }{
		{
			"enumerator with another value", "gcc", "enum e { A, B } v; int f(void) { return v == B; }", "enum e { A, N, B } v; int f(void) { return v == B; }",
			"x.o: e: its enumerator B was 1 and is 2, and variables or structures of the program may hold the old value; put new ones behind the others, or say --layout-ok 'e' if none does [enum-changed]",
		},
		{
			"enumerator gone", "gcc", "enum e { A, B, C } v; int f(void) { return v == B; }", "enum e { A, B } v; int f(void) { return v == B ? 3 : 4; }",
			"x.o: e: its enumerator C is gone, and variables or structures of the program may hold its value; leave it, or say --layout-ok 'e' if none does [enum-changed]",
		},
		{"function in data", "gcc", replaceOne(odd, "0x90"), replaceOne(odd, "0xf8"), "x.o: f: the function is not in a section of code; compile it as ordinary C [no-code]\n" +
			"x.o: f: section .odd of the new object has another entry here than the old one; a table like that is found by where its section starts and ends, and a running program goes on with the one it has: leave its entries as they were, or restart the program [table-changed]"},
		{"new code is none", "gcc", "int f(int x) { return x; }", `int f(int x) { asm(".byte 6"); return x; }`, "x.o: f: the new code does not decode: .text.f+0x2: cannot decode instruction (06 c3): unrecognized instruction; report it, or leave this function out [undecodable-code]"},
		{"old code is none", "gcc", `int f(int x) { asm(".byte 6"); return x; }`, "int f(int x) { return x; }", "x.o: f: the old code does not decode: .text.f+0x2: cannot decode instruction (06 c3): unrecognized instruction; report it, or leave this function out [undecodable-code]"},
		{
			"initialised by code now", "g++", "int f() { static int n = 5; return n++; }", "int g(); int f() { static int n = g(); return n++; }",
			"x.o: _ZZ1fvE1n: the variable is initialised by code when it is reached, and the program has it without a note whether that has been done, so it would be initialised again; leave its initialiser as it was, or give it another name [guard-new]\n" +
				"x.o: _ZZ1fvE1n: the initial value of a variable that the program already has differs; ask for the new value with --data, or set the value in code that runs after the patch, or give the variable another name [data-initialiser-changed]",
		},
		{
			"local class before another", "g++",
			noinline + "int f(int x) { { struct L { NI int m(int y) { return y * 3; } } l; x += l.m(x); } return x; }",
			noinline + "int f(int x) { { struct L { NI int m(int y) { return y * 7; } } l; x += l.m(x); } { struct L { NI int m(int y) { return y * 3; } } l; x += l.m(x); } return x; }",
			"x.o: _ZZ1fiEN1L1mEi.constprop.0: the function has several classes of this name, or without one, and more than one changed, came or went, so which of them the program's objects are of is not known; change one at a time, or give each a name of its own [local-class-renumbered]",
		},
		{
			"constants at one place, at two now", "gcc", constants,
			`extern const int a = 1, b = 2; int f(void) { return *(volatile const int *)&a + b; }`,
			"x.o: b: the program has one place for this variable and for a, which are two in the new source; change both alike, or neither [shared-data]\n" +
				"x.o: b: the initial value of a variable that the program already has differs; ask for the new value with --data, or set the value in code that runs after the patch, or give the variable another name [data-initialiser-changed]",
		},
		{
			"enumerator in a number", "gcc", "enum { A, B }; int v; int f(void) { return v == B; }", "enum { A, N, B }; int v; int f(void) { return v == B; }",
			"x.o: B: the enumerator was 1 and is 2, and the program may keep the old value in a number; put new ones behind the others, or say --layout-ok 'B' if it does not [enum-changed]",
		},
		{"number of enumerators", "gcc", "enum { A, B, N_KINDS }; int f(int x) { return x < N_KINDS; }", "enum { A, B, C, N_KINDS }; int f(int x) { return x < N_KINDS; }", ""},
		{
			"variables at two places, at one now", "gcc", "int a, b; int f(void) { return a; }", `int a; extern int b __attribute__((alias("a"))); int f(void) { return a + 1; }`,
			"x.o: a: the program has a place for this variable and another one for b, which have the same one in the new source; leave both as they were, or give the new one another name [shared-data]",
		},
		{
			"function into a set of code", "gcc", "int f(void) { return 1; }", `__attribute__((section("set"))) int f(void) { return 1; }`,
			"x.o: f: the function is in section set in one version alone, and the program may tell by where that starts and ends what is in it; leave the functions that it has, or restart the program [table-changed]",
		},
		{
			"number with a name", "gcc", `asm(".globl n\n.set n, 1"); int f(void) { return 1; }`, `asm(".globl n\n.set n, 2"); int f(void) { return 1; }`,
			"x.o: n: the name means another place, room or number than in the old object, and the program goes on to have the old one; leave it, or give the new one another name [label-moved]",
		},
		{
			"code on the stack", "gcc", "int f(int x) { return x; }", `int f(int x) { return x; } asm(".section .note.GNU-stack,\"x\"");`,
			"x.o: the new object runs code on the stack, and the old one does not run code on the stack (.note.GNU-stack), and the stacks of the program stay what they are; do without nested functions whose address is taken, or restart the program [stack-changed]",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Compare(compile(t, tt.cc, tt.old), compile(t, tt.cc, tt.new), Options{}).Refusals.Sorted().Error(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
