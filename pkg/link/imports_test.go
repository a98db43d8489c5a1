// SPDX-License-Identifier: GPL-2.0

package link

import "testing"

// TestImportRefusals links new code with references to other files, or to other parts of the target, that cannot be resolved.
func TestImportRefusals(t *testing.T) {
	const call = noinline + "int f(int x) { return x * 5 + 1; }\n"
	const calls = "int there(void); int f(int x) { return x * 5 + there(); }"
	const library = "int there(void) { return 5; }"
	tests := []fix{
		{
			name: "static program", old: call, new: calls, cflags: "-fno-pie", ldflags: "-static",
			want: "x.o: there: prog is statically linked and does not contain this symbol; use functions that it contains [import-static]",
		},
		{
			name: "library gone", lib: library, old: call, new: calls, gone: true,
			want: "x.o: there: prog does not import this symbol, and some libraries that may define it were not found: libthere.so, which prog needs; name them with --lib, as the target maps them [import-library-missing]",
		},
		{
			name: "library broken", lib: library, old: call, new: calls, broken: true,
			want: "x.o: there: the target does not import this symbol, and its libraries cannot be read: libthere.so: truncated: 4 bytes do not hold an ELF header; get the file again [import-library-missing]",
		},
		{
			name: "weak function", old: call, new: "int there(void) __attribute__((weak)); int f(int x) { return there ? there() : x * 7; }", cflags: "-fPIC", ldflags: "-shared",
			want: "x.o: there: prog does not import this weak symbol, so whether the program defines it is not known; avoid it [import-weak]",
		},
		{
			name: "function of old programs", lib: `int one(void) { return 1; } asm(".symver one,there@V1");`, versions: "V1 {};", old: call, new: calls,
			want: "x.o: there: only old programs may use this symbol (libthere.so V1); use its successor [import-not-defined]",
		},
		{
			name: "version that nobody has", lib: library, old: call, new: calls + ` asm(".symver there,there@V9");`,
			want: "x.o: there: neither prog nor a library that it needs defines version V9 of this symbol; name the library that does, if the target has it mapped, with --lib [import-not-defined]",
		},
		{
			name: "function that nobody has", lib: library, old: call, new: "int nowhere(void); int f(int x) { return nowhere(); }",
			want: "x.o: nowhere: neither prog nor a library that it needs defines this symbol; name the library that does, if the target has it mapped, with --lib [import-not-defined]",
		},
		{
			name: "variable that the program has no copy of", lib: "int there = 5;", old: call, new: "extern int there; int f(int x) { return x * 5 + there; }",
			want: "x.o: there: prog has no copy of this variable of libthere.so, so new code compiled as part of a program cannot reach it; compile it with -fPIC [import-data]",
		},
		{
			name: "variable that a program may have a copy of", lib: "int there = 5;", old: call, new: "extern int there; int f(int x) { return x * 5 + there; }", cflags: "-fPIC", ldflags: "-shared",
			want: "x.o: there: a program that uses prog may have a copy of this variable of libthere.so, and which one counts is not known; use a function that returns it [import-data]",
		},
		{
			name: "middle of a function of a library", lib: library, old: call, new: `int f(int x) { void *p; asm("lea there+4(%%rip), %0" : "=r"(p)); return x * 5 + (p != 0); }`,
			want: "x.o: there: .text.f refers into the middle of this function of libthere.so; leave it out of the patch [inner-reference]",
		},
		{
			name: "middle of a function", old: noinline + "NI int g(int x) { return x * 9; } int f(int x) { return g(x) + 1; }",
			new:  noinline + `NI int g(int x) { return x * 9; } int f(int x) { void *p; asm("lea g+2(%%rip), %0" : "=r"(p)); return g(x) + (p != 0); }`,
			want: "x.o: g: .text.f refers into the middle of this function; leave it out of the patch [inner-reference]",
		},
		{
			name: "size that is not known", lib: library, old: call, new: `int there(void); int f(int x) { long n; asm("mov $there@size, %0" : "=r"(n)); return x * 5 + n; }`,
			want: "x.o: there: the new code needs the size of this symbol (R_X86_64_SIZE64), which is not known; do without it [unsupported-relocation]",
		},
		{
			name: "relocation of eight bits", old: call, new: `int v; int f(int x) { asm(".byte 0xeb, v - .; nop"); return x * 5; }`,
			want: "x.o: .text.f: the new code needs relocation R_X86_64_PC8, which is not supported; compile with -fPIE or -fPIC and the default code model [unsupported-relocation]",
		},
		{
			name: "absolute place", old: call, new: `int f(int x) { asm("call 0x1000"); return x * 5; }`,
			want: "x.o: the new code refers PC-relative to an absolute address; refer to a symbol instead [unsupported-relocation]",
		},
		{
			name: "medium model", old: call, new: `int f(int x) { long p; asm("movabs $_GLOBAL_OFFSET_TABLE_, %0" : "=r"(p)); return x * 5 + p; }`,
			want: "x.o: _GLOBAL_OFFSET_TABLE_: code of the medium or large model cannot be patched; compile with the default code model [unsupported-relocation]",
		},
		{
			name: "place of the image in 64 bits", old: noinline + "NI int g(int x) { return x * 9; } int f(int x) { return g(x) + 1; }",
			new:  noinline + `NI int g(int x) { return x * 9; } int f(int x) { asm(".pushsection .rodata.far,\"a\"; .type far,@object; far: .quad g - .; .size far,8; .popsection; lea far(%%rip), %%rax" ::: "rax"); return g(x) + 2; }`,
			want: "x.o: .rodata.far: the new code has a 64-bit PC-relative reference out of the patch; compile with the default code model [unsupported-relocation]",
		},
		{
			name: "absolute code", old: call, new: "int v; int f(int x) { asm(\"movl $v, %%eax\" ::: \"rax\"); return x * 5; }",
			want: "x.o: .text.f: the new object has absolute 32-bit addresses, but prog is position independent; compile with its flags (-fPIE or -fPIC) [absolute-code]",
		},
		{
			name: "library that uses it as a program does", cflags: "-fPIC", ldflags: "-shared", old: "__thread int v; int f(int x) { return x * 5 + v; }",
			new: "__thread int v; int f(int x) { return x * 7 + v; }", newflags: "-fPIE",
			want: "x.o: v: code of a program cannot use a thread-local variable of the shared object prog; compile with -fPIC [tls-model]",
		},
		{
			name: "thread-local variable that the target has as another", old: "int f(int x) { return x * 5; }", rest: "int there;", new: "extern __thread int there; int f(int x) { return x * 7 + there; }",
			want: "x.o: there: the variable is not thread-local in prog; give it another name [tls-changed]",
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
