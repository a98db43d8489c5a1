// SPDX-License-Identifier: GPL-2.0

package closedworld

import (
	"strings"
	"testing"
)

const mainC = `#include <stdio.h>
#include <string.h>
static int count;
__thread int tv = 3; static __thread int ts;
double k(double x) { return x * 3.5 + (x > 2 ? 1.25 : 7.75); }
static const char *tab[] = {"one", "two", "three"};
int sw(int c) {
	switch (c) {
	case 0: return puts("x");
	case 1: return count++;
	case 2: return 7;
	case 3: return tv++;
	case 4: return ts += 9;
	case 5: return puts("yy");
	case 6: return puts(__func__);
	}
	return 0;
}
static int helper(int a, char **v) { return a > 10 ? puts(v[0]) : a * 3; }
int (*hook)(int, char **) = helper;
int run(int c, char **v) { static int n; n += c; return hook(c, v) + n + (int)strlen(v[0]); }
int main(int c, char **v) { printf("hello %d %s %d\n", sw(c), tab[c % 3], run(c, v)); return (int)k(c); }
`

func edited(text string, edits ...string) string {
	out := strings.NewReplacer(edits...).Replace(text)
	if out == text {
		panic("no edit in " + text)
	}
	return out
}

const (
	oneC  = "int one(int a) { return a + 1; }\n"
	twoC  = "int two(int a) { return a * 7; }\n"
	usesC = "#include <stdio.h>\nint one(int), two(int);\nint main(int c, char **v) { puts(v[0]); return one(c) + two(c); }\n"
	weakC = "__attribute__((weak, noinline)) int one(int a) { return a + 1; }\nint two(int a) { return one(a) * 7; }\n"
	initA = "#include <stdio.h>\n__attribute__((constructor)) static void begin_a(void) { puts(\"a\"); }\n"
	initB = "#include <stdio.h>\n__attribute__((constructor)) static void begin_b(void) { puts(\"b\"); }\n"
	setA  = "static int a = 1; int *pa __attribute__((section(\"my_set\"))) = &a;\n"
	setB  = "static int b = 2; int *pb __attribute__((section(\"my_set\"))) = &b;\n"
	asmS  = ".text\n.globl f\n.type f,@function\nf: call h1\n ret\n.size f,.-f\nh1: mov $1,%eax\n ret\nh2: mov $2,%eax\n ret\n.globl keep\nkeep: call h2\n jmp h1\n.section .note.GNU-stack,\"\"\n"
	layS  = ".text\n.globl f\n.type f,@function\nf: test %edi,%edi\n jz 2f\n.p2align 3\n lea 3f(%rip),%rdx\n movslq (%rdx,%rdi,4),%rax\n add %rdx,%rax\n jmp *%rax\n" +
		"1: mov $1,%eax\n ret\n2: mov $2,%eax\n ret\n.size f,.-f\n.section .rodata\n3: .long 1b-3b, 2b-3b\n.section .note.GNU-stack,\"\"\n"
	layC     = "int f(int);\nint main(int c, char **v) { return f(c & 1); }\n"
	asmC     = "int f(void), keep(void);\nint main(void) { return f() + keep(); }\n"
	layBuild = "gcc " + flags + " -c m.c f.S; gcc m.o f.o " + keep + " -o T"
	compC    = "for f in *.c; do gcc " + flags + " -c $f; done; "
	fpicC    = "for f in *.c; do gcc -fPIC " + flags + " -c $f; done; "
	tableS   = ".section .rodata\n.globl table\ntable: .long 1, 2, 3\n.section my_events,\"a\"\n.long 5\n.section .note.GNU-stack,\"\"\n"
	tableC   = "extern int table[];\nint main(int c, char **v) { return table[c]; }\n"
	arrayC   = "int use(int *p) { return p[20] + p[1]; }\nint main(int c, char **v) { int a[] = {65, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32}; __asm__(\"\" : : \"r\"(a) : \"memory\"); return use(a); }\n"
	absS     = ".globl limit\n.set limit, 4\n.data\n.globl arr, part\narr: .long 1, 2, 3\n.size arr, 12\n.type arr,@object\n.set part, arr + 4\n.section .note.GNU-stack,\"\"\n"
	rowA     = "__attribute__((used)) static const int a = 1; const int row_begin[0] __attribute__((section(\".rodata.row\"))); __attribute__((used, section(\".rodata.row\"))) static const int b = 2;\n"
	rowC     = "const int row_end[0] __attribute__((section(\".rodata.row\")));\n"
	rowMainC = "extern const int row_begin[], row_end[]; int main(void) { int n = 0; for (const int *p = row_begin; p < row_end; p++) n += *p; return n; }\n"
	rowBuild = "for f in *.c; do gcc -O2 -fno-toplevel-reorder -c $f; done; gcc a.o c.o m.o " + keep + " -o T"
	scriptC  = "#define E(n) __attribute__((used, section(\".rodata.row.\" #n))) static const int n = __COUNTER__;\nE(a) E(b)\n"
	script   = "SECTIONS { .rodata.row : { row_begin = .; KEEP(*(.rodata.row.*)) row_end = .; } } INSERT AFTER .rodata;\n"
	plugTwoC = "int plug(int a) { return a; }\nint two(int a) { return plug(a * 9); }\n"
	cxxOwn   = "namespace n { __attribute__((visibility(\"default\"))) inline int state = 1; }\nint *at() { return &n::state; }\nint main() { return *at(); }\n"
	oddH     = "struct P { __attribute__((noipa)) int odd(int a) { return a * K; } };\n"
)

// lib contains the sources of the small program that most cases use.
var lib = map[string]string{"one.c": oneC, "two.c": twoC, "main.c": usesC}

func with(base map[string]string, more ...string) map[string]string {
	out := map[string]string{}
	for name, text := range base {
		out[name] = text
	}
	for i := 0; i < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

var imageCases = []imageCase{
	{name: "a function that the patch has", files: map[string]string{"a.c": mainC}, newFiles: map[string]string{"a.c": edited(mainC, "a > 10", "a > 1000000", "return 7", "return puts(\"a longer one\")")}, carried: "helper sw"},
	{name: "a function that it has not", files: map[string]string{"a.c": mainC}, newFiles: map[string]string{"a.c": edited(mainC, "a > 10", "a > 100")},
		want: []string{"same .text helper a.o: its bytes differ at +0x"}},
	{name: "a string that it has not", files: map[string]string{"a.c": mainC}, newFiles: map[string]string{"a.c": edited(mainC, `"two"`, `"deux"`)},
		want: []string{`same .data.rel.ro tab a.o: its reference at +0x8 leads to "deux", and led to "two"`}},
	{name: "a constant that it has not", files: map[string]string{"a.c": mainC}, newFiles: map[string]string{"a.c": edited(mainC, "7.75", "7.25")}, carried: "main",
		want: []string{"same .text k a.o: its reference at +0x"}},
	{name: "a table that begins like a text", files: map[string]string{"a.c": arrayC}, newFiles: map[string]string{"a.c": edited(arrayC, "20, 21", "20, 777")},
		want: []string{"same .text main a.o: its reference at +0x"}},
	{name: "a value that it has not", files: map[string]string{"a.c": mainC}, newFiles: map[string]string{"a.c": edited(mainC, "tv = 3", "tv = 4")},
		want: []string{"same .tdata tv a.o: its bytes differ at +0x0"}},
	{name: "a zero that is none any more", files: map[string]string{"a.c": mainC}, newFiles: map[string]string{"a.c": edited(mainC, "static int count", "static int count = 5")},
		want: []string{"same .data count a.o: its initial value differs"}},
	{name: "cases of a switch that go elsewhere", files: map[string]string{"a.c": mainC}, newFiles: map[string]string{"a.c": edited(mainC, "case 1: return count++;\n\tcase 2: return 7", "case 2: return count++;\n\tcase 1: return 7")},
		want: []string{"same .text sw a.o: its unwind entry differs"}},
	{name: "code that is filled otherwise, and has a longer jump and a table", files: map[string]string{"f.S": layS, "m.c": layC}, newFiles: map[string]string{"f.S": edited(layS, ".p2align 3", ".rept 150\n nop\n.endr")}, build: layBuild},
	{name: "the same, and another condition", files: map[string]string{"f.S": layS, "m.c": layC}, newFiles: map[string]string{"f.S": edited(layS, ".p2align 3", ".rept 150\n nop\n.endr", " jz", " jnz")}, build: layBuild,
		want: []string{"same .text f f.o: it has"}},
	{name: "the same, and another target", files: map[string]string{"f.S": layS, "m.c": layC}, newFiles: map[string]string{"f.S": edited(layS, ".p2align 3", ".rept 150\n nop\n.endr", "jz 2f", "jz 1f")}, build: layBuild,
		want: []string{"same .text f f.o: it has"}},
	{name: "the same, and another table", files: map[string]string{"f.S": layS, "m.c": layC}, newFiles: map[string]string{"f.S": edited(layS, ".p2align 3", ".rept 150\n nop\n.endr", "1b-3b, 2b", "2b-3b, 1b")}, build: layBuild,
		want: []string{"same .text f f.o: it has"}},
	{name: "numbers of static variables", files: map[string]string{"a.c": "int f(int a) { return a; }\nint g(int a) { static int n; return n += a; }\nint main(int c, char **v) { return f(c) + g(c); }\n"},
		newFiles: map[string]string{"a.c": "int f(int a) { static int n; return n += a * 3; }\nint g(int a) { static int n; return n += a; }\nint main(int c, char **v) { return f(c) + g(c); }\n"}, carried: "f main"},
	{name: "order of objects", files: lib, build: compC + "gcc one.o two.o main.o " + keep + " -o T", newBuild: compC + "gcc main.o two.o one.o " + keep + " -o T"},
	{name: "order of sections by a script", files: with(lib, "order", "two\nmain\none\n"), build: compC + "gcc -fuse-ld=lld *.o " + keep + " -o T", newBuild: compC + "gcc -fuse-ld=lld *.o " + keep + " -Wl,--symbol-ordering-file=order -o T"},
	{name: "--wrap", files: with(lib, "w.c", "int __wrap_two(int a) { return 3; }\n"), build: compC + "gcc *.o " + keep + " -o T", newBuild: compC + "gcc *.o -Wl,--wrap=two " + keep + " -o T",
		want: []string{"same .text main main.o: its reference at +0x1c leads to __wrap_two, and led to two"}},
	{name: "--defsym", files: with(lib, "w.c", "int zwei(int a) { return 3; }\n"), build: compC + "gcc main.o one.o w.o two.o " + keep + " -o T", newBuild: compC + "gcc main.o one.o w.o " + keep + " -Wl,--defsym=two=zwei -o T",
		want: []string{"same .text main main.o: its reference at +0x1c leads to zwei, and led to two"}},
	{name: "another object's inline function", files: map[string]string{"p.h": oddH, "a.cc": "#define K 3\n#include \"p.h\"\nint a(int x) { return P().odd(x); }\n", "b.cc": "#define K 5\n#include \"p.h\"\nint a(int); int main(int c, char **) { return P().odd(c) + a(c); }\n"},
		build: "g++ " + flags + " -c a.cc b.cc; g++ a.o b.o " + keep + " -o T", newBuild: "g++ " + flags + " -c a.cc b.cc; g++ b.o a.o " + keep + " -o T", want: []string{"same .text _ZN1P3oddEi b.o: its bytes differ"}},
	{name: "identical code folding", files: with(lib, "z.c", "int zwei(int a) { return a * 7; }\nint (*z)(int) = zwei;\n"), build: compC + "gcc -fuse-ld=lld *.o " + keep + " -o T", newBuild: compC + "gcc -fuse-ld=lld -Wl,--icf=all *.o " + keep + " -o T",
		want: []string{"same .data z z.o: its reference at +0x0 leads to two, and led to zwei"}},
	{name: "weak definition overridden", files: map[string]string{"a.c": weakC, "main.c": usesC}, newFiles: map[string]string{"one.c": edited(oneC, "a + 1", "a + 2")}, want: []string{"same .text one one.o: its bytes differ"}},
	{name: "version script", files: with(lib, "v", "{ global: one; local: *; };"), build: fpicC + "gcc -shared *.o " + keep + " -o T", newBuild: fpicC + "gcc -shared *.o -Wl,--version-script=v " + keep + " -o T",
		want: []string{"export .dynsym  : main was exported, and is not", "export .dynsym  : two was exported, and is not"}},
	{name: "order of constructors", files: with(lib, "a.c", initA, "b.c", initB), build: compC + "gcc a.o b.o one.o two.o main.o " + keep + " -o T", newBuild: compC + "gcc b.o a.o one.o two.o main.o " + keep + " -o T",
		want: []string{"array .init_array  : its entry 1 leads to begin_b, and led to begin_a", "array .init_array  : its entry 2 leads to begin_a, and led to begin_b"}},
	{name: "constructor of another member of an archive", files: with(lib, "a.c", initA+"int extra(void) { return 1; }\n"), newFiles: map[string]string{"two.c": "int extra(void);\nint two(int a) { return a * extra(); }\n"}, carried: "two",
		build: compC + "ar rc l.a a.o; gcc main.o one.o two.o l.a " + keep + " -o T", want: []string{"array .init_array  : its entry 1 is begin_a, and there was none"}},
	{name: "order of a set", files: with(lib, "a.c", setA, "b.c", setB), build: compC + "gcc a.o b.o one.o two.o main.o " + keep + " -o T", newBuild: compC + "gcc b.o a.o one.o two.o main.o " + keep + " -o T",
		want: []string{"table my_set  : it has pb, and had pa"}},
	{name: "-Bsymbolic", files: lib, build: fpicC + "gcc -shared *.o " + keep + " -o T", newBuild: fpicC + "gcc -shared *.o -Wl,-Bsymbolic " + keep + " -o T",
		want: []string{"same .text main main.o: its reference at +0x13 leads to one, and led to one by the PLT", "dynamic .dynamic  : it says [\"DT_SYMBOLIC 0x0\" \"DT_FLAGS DF_SYMBOLIC\"], and said []"}},
	{name: "call within a section of an assembler", files: map[string]string{"f.S": asmS, "main.c": asmC}, newFiles: map[string]string{"f.S": edited(asmS, "h1: mov $1,%eax\n ret\nh2: mov $2,%eax\n", "h2: mov $2,%eax\n ret\nh1: mov $1,%eax\n", "call h1", "call h2")},
		build: "gcc -c f.S; gcc -O2 -c main.c; gcc f.o main.o " + keep + " -o T", want: []string{"same .text f f.o: its reference at +0x1 leads to h2, and led to h1"}},
	{name: "table and section of an assembler", files: map[string]string{"t.S": tableS, "main.c": tableC}, newFiles: map[string]string{"t.S": edited(tableS, "2, 3", "2, 4", ".long 5", ".long 6")},
		build: "gcc -c t.S; gcc -O2 -c main.c; gcc t.o main.o " + keep + " -o T", want: []string{"same .rodata table t.o: its bytes differ at +0x8", "table my_events  : its bytes differ at +0x0"}},
	{name: "code without a name", files: map[string]string{"main.c": asmC, "f.S": edited(asmS, "h1:", "1: mov $9,%eax\n ret\nh1:")}, newFiles: map[string]string{"f.S": edited(asmS, "h1:", "1: mov $8,%eax\n ret\nh1:")},
		build: "gcc -c f.S; gcc -O2 -c main.c; gcc f.o main.o " + keep + " -o T", want: []string{"gap .text f f.o: in the code behind it that has no name: its bytes differ at +0x1"}},
	{name: "what is needed, and a stack with code", files: lib, build: compC + "gcc *.o " + keep + " -o T", newBuild: compC + "gcc *.o -Wl,--no-as-needed -lm -z execstack " + keep + " -o T",
		want: []string{"dynamic .dynamic  : it says [\"DT_NEEDED libm.so.6\"], and said []", "stack   : its stack is PF_X+PF_W+PF_R, and was PF_W+PF_R"}},
	{name: "entry, and a note", files: with(lib, "e.c", "void begin(void) { __builtin_trap(); }\n", "n.S", ".section .note.mine,\"a\",@note\n.long 4, 4, 1\n.asciz \"abc\"\n.long X\n.section .note.GNU-stack,\"\"\n"), build: compC + "gcc -DX=1 -c n.S; gcc *.o " + keep + " -o T", newBuild: compC + "gcc -DX=2 -c n.S; gcc *.o -Wl,-e,begin " + keep + " -o T",
		want: []string{"note .note.mine  : the section differs", "entry   : it starts at begin, and started at _start"}},
	{name: "how it is unwound", files: with(lib), build: compC + "gcc *.o " + keep + " -o T", newBuild: compC + "gcc " + flags + " -fno-asynchronous-unwind-tables -c one.c; gcc *.o " + keep + " -o T",
		want: []string{"same .text one one.o: it has an unwind entry on one side only"}},
	{name: "what may be written to as the program starts", files: with(lib, "p.c", "int v; int *const p[] = {&v};\n"), build: compC + "gcc *.o -z norelro " + keep + " -o T", newBuild: compC + "gcc *.o -z relro " + keep + " -o T",
		want: []string{"segment .init_array  : its memory is PF_R, and was PF_W+PF_R", "segment .fini_array", "segment .data.rel.ro", "segment .dynamic", "segment .got"}},
	{name: "a table that may be written to", files: with(lib, "p.c", "int v; int *const p[] = {&v};\n"), newFiles: map[string]string{"p.c": "int v; int *p[] = {&v};\n"},
		want: []string{"same .data p p.o: it is in .data, and was in .data.rel.ro, which is protected otherwise"}},
	{name: "alignment of thread-local variables", files: with(lib, "p.c", "__thread int t = 1;\n"), newFiles: map[string]string{"p.c": "__attribute__((aligned(256))) __thread int t = 1;\n"},
		want: []string{"segment   : thread-local variables are aligned to 256 bytes, and were to 4"}},
	{name: "alignment of new thread-local variables", files: with(lib, "p.c", "__thread int t = 1;\n"), newFiles: map[string]string{"p.c": "__attribute__((aligned(256))) __thread int u = 1; __thread int t = 1;\n"}, carried: "u"},
	{name: "libraries that watch", files: lib, build: compC + "gcc *.o " + keep + " -o T", newBuild: compC + "gcc *.o -Wl,--audit=x.so " + keep + " -o T", want: []string{"dynamic .dynamic  : it says [\"DT_AUDIT x.so\"], and said []"}},
	{name: "values and places that are exported", files: with(lib, "a.S", absS), newFiles: map[string]string{"a.S": edited(absS, "limit, 4", "limit, 9", "arr + 4", "arr + 8")},
		build: fpicC + "gcc -c a.S; gcc -shared *.o " + keep + " -o T", want: []string{"export .dynsym  : limit is 0x9, and was 0x4", "export .dynsym  : part is arr+8, and was arr+4"}},
	{name: "an inline variable that is exported no more", files: map[string]string{"a.cc": cxxOwn}, newFiles: map[string]string{"a.cc": edited(cxxOwn, "default", "hidden")},
		build: "g++ -O2 -fno-gnu-unique -c a.cc; g++ -rdynamic a.o " + keep + " -o T", want: []string{"export .dynsym  : _ZN1n5stateE was exported, and is not"}},
	{name: "a table between labels, and what is in front of it", files: map[string]string{"a.c": rowA, "c.c": rowC, "m.c": rowMainC}, newFiles: map[string]string{"a.c": edited(rowA, "int b = 2;", "int b = 2; __attribute__((used, section(\".rodata.row\"))) static const int z = 3;", "int a = 1;", "int a = 1, c = 8;")},
		build: rowBuild, want: []string{"table .rodata  : it has z, and had nothing at that place"}},
	{name: "a table of a linker script", files: map[string]string{"a.c": scriptC, "m.c": rowMainC, "s": script}, newFiles: map[string]string{"a.c": edited(scriptC, "E(b)", "E(b) E(z)")},
		build: "gcc -O2 -fno-toplevel-reorder -c a.c m.c; gcc a.o m.o -Wl,-T,s " + keep + " -o T", want: []string{"table .rodata.row  : it has z, and had nothing at that place"}},
	{name: "a new export that a library refers to", files: with(lib, "l", "extern int plug(int) __attribute__((weak)); int lib(int a) { return plug ? plug(a) : 0; }\n"), newFiles: map[string]string{"two.c": plugTwoC},
		build: "gcc -x c -shared -fPIC l -o l.so; " + compC + "gcc *.o -Wl,--no-as-needed ./l.so " + keep + " -o T", carried: "two plug", want: []string{"export .dynsym  : plug is exported, and was not: a library refers to it"}},
	{name: "a new export, and its name", files: with(lib, "main.c", edited(usesC, "v[0]", "\"plug\"")), newFiles: map[string]string{"two.c": plugTwoC}, build: compC + "gcc -rdynamic *.o " + keep + " -o T", carried: "two plug",
		want: []string{"export .dynsym  : plug is exported, and was not, and its name is there as a text, by which it may be looked up"}},
	{name: "a new export, and another name", files: with(lib, "main.c", edited(usesC, "v[0]", "\"a plug\"")), newFiles: map[string]string{"two.c": plugTwoC}, build: compC + "gcc -rdynamic *.o " + keep + " -o T", carried: "two plug"},
	{name: "what may be written to", files: with(lib, "c.c", "extern const int c[]; const int c[] = {1, 2, 3};\n"), newFiles: map[string]string{"c.c": "int c[] = {1, 2, 3};\n"},
		want: []string{"same .data c c.o: it is in .data, and was in .rodata, which is protected otherwise"}},
}

// TestRules checks that there is a case for each rule.
func TestRules(t *testing.T) {
	found := map[string]bool{}
	for _, c := range imageCases {
		for _, w := range c.want {
			rule, _, _ := strings.Cut(w, " ")
			found[rule] = true
		}
	}
	for _, rule := range []string{"same", "note", "array", "table", "gap", "dynamic", "entry", "stack", "export", "segment"} {
		if !found[rule] {
			t.Errorf("no case for %s", rule)
		}
	}
}
