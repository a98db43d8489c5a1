// SPDX-License-Identifier: GPL-2.0

package build

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

// proofCase is a program that needs its fix, with objects or a source tree that do not obviously show this.
type proofCase struct {
	name   string
	files  map[string]string // files below old; new is the same after edit
	file   string            // file that the fix changes
	from   string
	to     string
	script string // script creates target T from the old source, and the objects o and n; $F are the flags for objects.
	// want is "functions F G", or the start of a refusal as returned by refusalsOf.
	want string
}

const (
	checkA = "#include <stdio.h>\nint acheck(int a) { if (a > 10) return puts(\"a\"); return a * 3 + 7; }\n"
	checkB = "#include <stdio.h>\nint bcheck(int a) { if (a > 20) return puts(\"b\"); return a * 5 + 9; }\n"
)

// makeObjects compiles all sources of both sides to o/ and n/.
const makeObjects = `for s in old new; do
	to=$([ $s = old ] && echo o || echo n)
	(cd $s; find . -name '*.c' -o -name '*.cc' | sort) | while read -r f; do mkdir -p $to/$(dirname $f); (cd $s; gcc $F -c $f -o ../$to/${f%.*}.o); done
done
`

var proofCases = []proofCase{
	{name: "functions that only others call, in one unit", files: map[string]string{"a.c": checkA, "b.c": checkB}, file: "a.c", from: "a > 10", to: "a > 11",
		script: makeObjects + "cat old/a.c old/b.c >all.c; gcc -O2 -g -fPIC -shared all.c -o T",
		want:   "object-not-found a.o :"},
	{name: "and in an object of another name beside one that is found", files: map[string]string{"a.c": checkA, "b.c": checkB}, file: "b.c a.c", from: "return a", to: "return 2 + a",
		script: makeObjects + "cp old/a.c a_all.c; gcc -O2 -g -fPIC -shared a_all.c old/b.c -o T",
		want:   "object-not-found a.o :"},
	{name: "clone in one unit", files: map[string]string{"a.c": "__attribute__((noinline)) static int half(int a, int b) { if (a > 10) return b; return a / b; }\nint api(int x) { return half(x, 2) + half(x + 1, 2); }\n", "b.c": checkB},
		file: "a.c", from: "a > 10", to: "a > 11", script: makeObjects + "cat old/a.c old/b.c >all.c; gcc -O2 -g -fPIC -shared all.c -o T",
		want: "object-not-found a.o "},
	{name: "inline function of an object that is not given", files: map[string]string{
		"f.h":  "struct P { __attribute__((noinline)) int parse(int a) { if (a > 10) return -1; return a * 3; } };\n",
		"x.cc": "#include \"f.h\"\nint x(int a) { P p; return p.parse(a); }\n"}, file: "f.h", from: "a > 10", to: "a > 11",
		script: makeObjects + "cp old/f.h .; printf '#include \"f.h\"\\nint main(int c, char **) { P p; return p.parse(c); }\\n' >y.cc; g++ -O2 -g y.cc -o T",
		want:   "object-not-found x.o "},
	{name: "two sources of one name, a static function left out", files: map[string]string{
		"x/util.c": "#include <stdio.h>\n__attribute__((noinline)) static int init(int a) { return a * 31 + 5; }\nint xf(int a) { if (a > 10) return puts(\"x\"); return init(a) * 3; }\n",
		"y/util.c": "#include <stdio.h>\n__attribute__((noinline)) static int init(int a) { return a * 77 + 1; }\nint yg(int a) { return init(a) + init(a + 1); }\nint yf(int a) { if (a > 10) return puts(\"y\"); return a * 5; }\n",
		"main.c":   "int xf(int), yf(int);\nint main(int c, char **v) { return xf(c) + yf(c); }\n"}, file: "x/util.c y/util.c", from: "a > 10", to: "a > 11",
		script: makeObjects + "(cd old; gcc -O2 -g -ffunction-sections -Wl,--gc-sections main.c x/util.c y/util.c -o ../T)", want: "functions xf yf"},
	{name: "copy that a helper brought along", files: map[string]string{
		"a.c": "#include <stdio.h>\nint check(int a) { if (a > 10) return puts(\"c\"); return a * 3; }\nstatic int helper(int a) { return check(a) + 1; }\nint run(int a) { return helper(a) * 2; }\n",
		"m.c": "int run(int), check(int);\nint main(int c, char **v) { return run(c) + check(c); }\n"}, file: "a.c", from: "a > 10", to: "a > 11",
		script: strings.ReplaceAll(makeObjects, "$F", "$F -fno-inline") + "gcc -O2 -g old/*.c -o T",
		want:   "target-differs a.o run:it refers to check of a.o, which changes, and it is not in the target as it is in the old object, so the target may have a copy of that in it"},
	{name: "copy in one of two static functions of one name", files: map[string]string{
		"a.c": "#include <stdio.h>\nint check(int a) { if (a > 10) return puts(\"c\"); return a * 3; }\nstatic int run(int a) { return check(a) * 2; }\nint (*ap)(int) = run;\n",
		"b.c": "__attribute__((noinline)) static int run(int a) { return a * 9; }\nint (*bp)(int) = run;\n",
		"m.c": "extern int (*ap)(int), (*bp)(int); int check(int);\nint main(int c, char **v) { return ap(c) + bp(c) + check(c); }\n"}, file: "a.c", from: "a > 10", to: "a > 11",
		script: strings.ReplaceAll(makeObjects, "$F", "$F -fno-inline") + "gcc -O2 -g old/*.c -o T", want: "target-differs a.o run:"},
	{name: "static function and a global one of its name, no names of static ones", files: map[string]string{
		"a.c": "#include <stdio.h>\n__attribute__((noinline)) static int check(int a) { if (a > 10) return puts(\"c\"); return a * 3; }\nint arun(int a) { return check(a) * 2; }\n",
		"b.c": "int check(int a) { return a * 9 + 4; }\n",
		"m.c": "int arun(int), check(int);\nint main(int c, char **v) { return arun(c) + check(c); }\n"}, file: "a.c", from: "a > 10", to: "a > 11",
		script: makeObjects + "gcc -O2 -g -Wl,-x old/*.c -o T",
		want:   "needs-symbols a.o check:T names no static functions in its symbol table (ld or strip -x): name an unstripped build of exactly the target with --symbols"},
	{name: "name that ends another", files: map[string]string{
		"a.c": "#include <stdio.h>\nint check(int a) { if (a > 10) return puts(\"c\"); return a * 3; }\n",
		"b.c": "int check(int);\nint precheck(int a) { return check(a) + check(a + 2) * 7; }\n"}, file: "a.c", from: "a > 10", to: "a > 11",
		script: strings.ReplaceAll(makeObjects, "$F", "-O2 -fPIC -ffunction-sections -fdata-sections") + "cat old/a.c old/b.c >all.c; gcc -O2 -fPIC -shared -Wl,-Bsymbolic -fno-semantic-interposition all.c -o T; strip T",
		want:   "target-differs "},
	{name: "set of pointers, no names of static ones", files: map[string]string{
		"a.c": "#include <stdio.h>\nstatic int handler(int a) { if (a > 10) return puts(\"c\"); return a * 3; }\nstatic int (*p)(int) __attribute__((used, section(\"my_set\"))) = handler;\n",
		"m.c": "extern int (*__start_my_set[])(int), (*__stop_my_set[])(int);\nint main(int c, char **v) { for (int (**p)(int) = __start_my_set; p < __stop_my_set; p++) c += (*p)(c); return c; }\n"},
		file: "a.c", from: "a > 10", to: "a > 11", script: makeObjects + "gcc -O2 -g -Wl,-x old/*.c -o T", want: "object-not-found a.o :"},
	{name: "destructor, no names of static ones", files: map[string]string{
		"a.c": "#include <stdio.h>\n__attribute__((destructor)) static void bye(void) { puts(\"bye 10\"); }\n", "m.c": "int main(int c, char **v) { return c; }\n"},
		file: "a.c", from: "bye 10", to: "bye 11", script: makeObjects + "gcc -O2 -g -Wl,-x old/*.c -o T", want: "object-not-found a.o :"},
	{name: "another configuration", files: map[string]string{"a.c": checkA + "#ifdef FEATURE\nint feature(int a) { return a > 10; }\n#endif\n#ifdef FEATURE\nint more(int a) { return feature(a); }\n#else\nint more(int a) { return a; }\n#endif\n",
		"m.c": "int acheck(int), more(int);\nint main(int c, char **v) { return acheck(c) + more(c); }\n"},
		file: "a.c", from: "return a > 10", to: "return a > 11", script: makeObjects + "gcc -O2 -g -DFEATURE old/*.c -o T", want: "target-differs a.o more:"},
	{name: "another configuration, a static function more", files: map[string]string{
		"a.c": "int (*hook)(int);\n#ifdef FEATURE\nstatic int feature(int a) { return a > 10; }\n__attribute__((constructor)) static void set(void) { hook = feature; }\n#endif\nint acheck(int a) { return hook ? hook(a) : a * 3; }\n",
		"m.c": "int acheck(int);\nint main(int c, char **v) { return acheck(c); }\n"},
		file: "a.c", from: "return a > 10", to: "return a > 11", script: makeObjects + "gcc -O2 -g -DFEATURE old/*.c -o T",
		want: "target-differs a.o feature:T has this function of a.c, and the old object has none; the old objects must be built from the target's source with its compiler and flags"},
	{name: "another program", files: map[string]string{"a.c": checkA}, file: "a.c", from: "#include", to: "#include ", script: makeObjects + "printf 'int main(void) { return 3; }' >x.c; gcc -O2 x.c -o T",
		want: "object-not-found T :old and new do not differ, but none of the old objects was found in it; give the objects that it was linked from, or name an unstripped build of it with --symbols"},
	{name: "strong definition gone, a weak one stays", files: map[string]string{
		"a.c": "__attribute__((weak)) int check(int a) { return a * 3; }\nint run(int a) { return check(a) + 1; }\n",
		"b.c": "int other(int a) { return a * 9; }\nint check(int a) { return a * 7; }\n",
		"m.c": "int run(int), other(int);\nint main(int c, char **v) { return run(c) + other(c); }\n"},
		file: "b.c", from: "int check(int a) { return a * 7; }\n", to: "", script: makeObjects + "gcc -O2 -g old/*.c -o T",
		want: "functions check"},
	{
		name: "constructor beside a change, no names of sources", files: map[string]string{
			"a.c": "#define NEW 0\nint acheck(int a) { return a * 7 + NEW; }\n",
			"b.c": "#define NEW 0\nint bcheck(int a) { return a * 5; }\n#if NEW\n__attribute__((constructor)) static void start(void) { __asm__ volatile(\"nop\"); }\n#endif\n",
			"m.c": "int acheck(int), bcheck(int);\nint main(int c, char **v) { return acheck(c) + bcheck(c); }\n",
		}, file: "a.c b.c", from: "#define NEW 0", to: "#define NEW 1",
		script: makeObjects + "gcc -O2 -g -Wl,-x old/*.c -o T", want: "constructor-changed b.o .init_array:",
	},
	{name: "objects behind symbolic links", files: map[string]string{"a.c": checkA, "m.c": "int acheck(int);\nint main(int c, char **v) { return acheck(c); }\n"}, file: "a.c", from: "a > 10", to: "a > 11",
		script: makeObjects + "gcc -O2 -g old/*.c -o T; for s in o n; do mkdir real-$s; mv $s/a.o real-$s; ln -s ../real-$s/a.o $s/a.o; done", want: "functions acheck"},
	{name: "objects of another ending", files: map[string]string{"a.c": checkA, "m.c": "int acheck(int);\nint main(int c, char **v) { return acheck(c); }\n"}, file: "a.c", from: "a > 10", to: "a > 11",
		script: makeObjects + "gcc -O2 -g old/*.c -o T; for s in o n; do mv $s/a.o $s/a.pico; done", want: "functions acheck"},
	{name: "thin archive", files: map[string]string{"a.c": checkA, "m.c": "int acheck(int);\nint main(int c, char **v) { return acheck(c); }\n"}, file: "a.c", from: "a > 10", to: "a > 11",
		script: makeObjects + "gcc -O2 -g old/*.c -o T; for s in o n; do mkdir k-$s; mv $s/a.o k-$s; (cd $s; ar rcT liba.a ../k-$s/a.o); done", want: "error o/liba.a: a thin archive, which only names its members; give the objects themselves"},
}

// TestProof uses objects that do not show, or only in part, that the target needs the fix. The build must neither report that
// there is nothing to do nor create a patch of a part of the fix.
func TestProof(t *testing.T) {
	for _, c := range proofCases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			filetest.Tree(t, filepath.Join(dir, "old"), c.files)
			fixed := map[string]string{}
			for name, text := range c.files {
				fixed[name] = text
				if slices.Contains(strings.Fields(c.file), name) {
					if fixed[name] = strings.ReplaceAll(text, c.from, c.to); fixed[name] == text {
						t.Fatalf("%s has no %q", name, c.from)
					}
				}
			}
			filetest.Tree(t, filepath.Join(dir, "new"), fixed)
			cmd := exec.Command("sh", "-ec", c.script)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "F=-O2 -g -fPIC -ffunction-sections -fdata-sections")
			if !strings.Contains(c.script, "-fPIC -shared") {
				cmd.Env = append(cmd.Env, "F=-O2 -g -ffunction-sections -fdata-sections")
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			res, err := FromObjects(Options{Target: filepath.Join(dir, "T"), Old: []string{filepath.Join(dir, "o")}, New: []string{filepath.Join(dir, "n")}, Name: "fix", Tool: "test"})
			wantOutcome(t, res, err, filepath.Join(dir, "T"), c.want)
		})
	}
}

// wantOutcome compares the result of a build with "functions F G", "error TEXT" (a substring), or the start of a refusal,
// CODE FILE SYMBOL:TEXT.
func wantOutcome(t *testing.T, res *Result, err error, target, want string) {
	t.Helper()
	if text, ok := strings.CutPrefix(want, "error "); ok {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want an error that says %s", err, text)
		}
		return
	}
	if functions, ok := strings.CutPrefix(want, "functions "); ok {
		var got []string
		if err == nil {
			for _, f := range res.Spec.Functions {
				got = append(got, f.Symbol)
			}
		}
		if slices.Sort(got); strings.Join(got, " ") != functions {
			t.Errorf("a patch of %s (%v), want %s", got, err, functions)
		}
		return
	}
	for key, text := range refusalsOf(err, target) {
		if strings.HasPrefix(key+":"+text, want) {
			return
		}
	}
	patched := ""
	if err == nil {
		patched = short(res, err)
	}
	t.Errorf("a patch of %q, %v; want the refusal %s", patched, err, want)
}

// TestProofOfSource is TestProof for source trees: anything that was not observed must not be considered unchanged.
func TestProofOfSource(t *testing.T) {
	const main = "int acheck(int), bcheck(int);\nint main(int c, char **v) { return acheck(c) + bcheck(c); }\n"
	three := map[string]string{"main.c": main, "a.c": checkA, "b.c": checkB}
	fixes := func(name string) string {
		line := strings.SplitN(three[name+".c"], "\n", 2)[1]
		return "--- a/" + name + ".c\n+++ b/" + name + ".c\n@@ -1,2 +1,2 @@\n #include <stdio.h>\n-" + line + "+" + strings.ReplaceAll(line, "return a", "return 2 + a")
	}
	const unseen = "object-unseen T :no compiler was seen to link a file of this name, with its needed libraries and exports, so it is not known what it is made of; " +
		"have it linked by gcc, g++ or clang that the build itself starts, and give it the name that the build gives it"
	// glue is a linker that is not recognized as one and links the same files as gcc.
	const glue = "gcc -O2 -g -c main.c a.c; gcc -O2 -S b.c; as b.s -o b.o; cp $(readlink -f /usr/bin/ld.bfd) glue; d=/usr/lib/x86_64-linux-gnu; " +
		"./glue -o app -dynamic-linker /lib64/ld-linux-x86-64.so.2 $d/crt1.o $d/crti.o main.o a.o b.o -L$d -lc $d/crtn.o"
	const linkVariant = "gcc -O2 -g -ffunction-sections -c main.c a.c be1.c b.c; gcc -Wl,--gc-sections main.o a.o $BE.o -o app"
	const stands = "object-not-found b.o :it differs, and T has something of its names or code, though the build does not link it into a file of that name; " +
		"have the build make exactly the target, and give the target the name that the build gives it"
	variants := map[string]string{"main.c": main, "a.c": checkA, "b.c": checkB, "be1.c": "int bcheck(int a) { return a * 11 + 3; }\n"}
	for _, tt := range []struct {
		name    string
		files   map[string]string
		patch   string
		command string // builds app, also from the old source
		stock   string // builds the target; with "+" in front it is executed after command
		want    string
	}{
		{"link not seen, what changes not seen", three, fixes("b"), glue, "+:", unseen},
		{"link not seen, half of what changes seen", three, fixes("a") + fixes("b"), glue, "+:", unseen},
		{"link of another program of the same name", three, fixes("b"), "mkdir -p examples; gcc -O2 -g -c main.c a.c b.c; gcc main.o a.o b.o -o big; printf 'int acheck(int); int main(int c, char **v) { for (int i = 0; i < c; i++) c += i * 7 ^ c >> 3; return acheck(c) > 1234 ? c * 31 : c - 12345; }' >x.c; gcc -O2 -g x.c a.o -o examples/app; cp big app",
			"+strip app", "needs-symbols b.o :"},
		{"one of two that stand for each other", variants, fixes("b"), "BE=be1; " + linkVariant, "BE=b; " + linkVariant, stands},
		{"and half of a fix", variants, fixes("a") + fixes("b"), "BE=be1; " + linkVariant, "BE=b; " + linkVariant, stands},
		{"compiled otherwise", variants, fixes("b"), "BE=be1; " + linkVariant, "gcc -O1 -g -c b.c -o o.o; BE=b; " + linkVariant + "; gcc -O2 -g main.c a.c o.o -o app", stands},
		{"data", map[string]string{"main.c": "extern const int tab[4];\nint main(int c, char **v) { return tab[c & 3]; }\n", "be1.c": "const int tab[4] = { 1, 2, 3, 4 };\n", "b.c": "const int tab[4] = { 5, 6, 7, 8 };\n"},
			"--- a/b.c\n+++ b/b.c\n@@ -1 +1 @@\n-const int tab[4] = { 5, 6, 7, 8 };\n+const int tab[4] = { 5, 6, 7, 9 };\n",
			"gcc -O2 -g -c main.c be1.c b.c; gcc main.o be1.o -o app", "gcc -O2 -g -c main.c be1.c b.c; gcc main.o b.o -o app", stands},
		{"stripped", variants, fixes("b"), "BE=be1; " + linkVariant, "BE=b; " + linkVariant + "; strip app", stands},
		{"helper of another machine", map[string]string{"main.c": main, "a.c": checkA, "b.c": checkB, "e.c": "#include \"v.h\"\nint e(void) { return V; }\n", "v.h": "#define V 1\n"},
			fixes("a") + "--- a/v.h\n+++ b/v.h\n@@ -1 +1 @@\n-#define V 1\n+#define V 2\n", "gcc -m32 -O2 -g -c e.c; gcc -O2 -g main.c a.c b.c -o app", "+:", "functions acheck"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, stock := t.TempDir(), tt.stock
			if after, ok := strings.CutPrefix(stock, "+"); ok {
				stock = tt.command + "; " + after
			}
			filetest.Tree(t, filepath.Join(dir, "tree"), tt.files)
			filetest.Tree(t, filepath.Join(dir, "stock"), tt.files)
			runIn(t, filepath.Join(dir, "stock"), []string{"sh", "-ec", stock})
			write(t, filepath.Join(dir, "fix.patch"), []byte(tt.patch))
			target := filepath.Join(dir, "stock/app")
			o := SourceOptions{Target: target, Source: filepath.Join(dir, "tree"), Patch: filepath.Join(dir, "fix.patch"), Command: []string{"sh", "-ec", tt.command}, Name: "fix", Tool: "test"}
			res, err := FromSource(context.Background(), o)
			wantOutcome(t, res, err, target, tt.want)
			list, err := FromSourceEach(context.Background(), o, []string{target})
			if err != nil {
				t.Fatal(err)
			}
			wantOutcome(t, list[0].Result, list[0].Err, target, tt.want)
		})
	}
}

// TestLinkedElsewhereToo checks that an object that is part of another target may also be part of this one, according to the
// link.
func TestLinkedElsewhereToo(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{"u.c": checkA, "one.c": "int acheck(int);\nint main(int c, char **v) { return acheck(c); }\n", "two.c": "int acheck(int);\nint main(int c, char **v) { return acheck(c) * 2; }\n"}
	const command = "gcc ${O:--O2} -g -c u.c one.c two.c; ar rc libu.a u.o; gcc one.o libu.a -o one; gcc two.o libu.a -o two"
	for _, top := range []string{"tree", "stock", "stock1"} {
		filetest.Tree(t, filepath.Join(dir, top), files)
	}
	runIn(t, filepath.Join(dir, "stock"), []string{"sh", "-ec", command})
	runIn(t, filepath.Join(dir, "stock1"), []string{"sh", "-ec", "O=-O1; " + command + "; strip two"})
	line := strings.SplitN(checkA, "\n", 2)[1]
	write(t, filepath.Join(dir, "fix.patch"), []byte("--- a/u.c\n+++ b/u.c\n@@ -1,2 +1,2 @@\n #include <stdio.h>\n-"+line+"+"+strings.ReplaceAll(line, "a > 10", "a > 11")))
	o := SourceOptions{Source: filepath.Join(dir, "tree"), Patch: filepath.Join(dir, "fix.patch"), Command: []string{"sh", "-ec", command}, Name: "fix", Tool: "test"}
	list, err := FromSourceEach(context.Background(), o, []string{filepath.Join(dir, "stock/one"), filepath.Join(dir, "stock1/two")})
	if err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, list[0].Result, list[0].Err, list[0].File, "functions acheck")
	if err := list[1].Err; err == nil || errors.Is(err, ErrNothing) {
		t.Errorf("of the other: %v, want a refusal", err)
	}
}
