// SPDX-License-Identifier: GPL-2.0

package build

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

// hiddenWay is a tree with a build that hides a part of what the target is made of.
type hiddenWay struct {
	name    string
	files   map[string]string // in addition to main.c and price.c; TREE is the path of the tree, OUT that of a directory elsewhere
	prepare string            // script that is executed first, in the tree
	link    [2]string         // a symbolic link in the tree: its name and target
	build   string            // build script
	patch   string            // "" for a fix of price.c
	target  string            // "" for prog
	want    string            // functions ..., nothing ..., a refusal, or the end of an error; T is the target
}

const (
	priceFix  = "--- a/price.c\n+++ b/price.c\n@@ -1 +1 @@\n-" + priceOld + "+" + priceNew
	priceMain = "int price(int); int main(int argc, char **argv) { return price(argc); }\n"
	rateFix   = "--- a/rate.h\n+++ b/rate.h\n@@ -1 +1 @@\n-#define RATE 7\n+#define RATE 8\n"
	rateC     = "#include \"rate.h\"\nint order(int n) { return n * RATE + n / 3; }\n"
	// twoC contains price() and a use of order().
	twoC       = "int order(int); " + priceOld + "int both(int n) { return price(n) + order(n); }\n"
	placeTail  = " is in TREE while a copy of that is built: the build command, or what it calls, names that tree by its path; have it build where it is started"
	linkAdvice = "; a patch cannot link it anew: make the change in a source, or take it out of the fix"
)

// unpack writes the tree, with OUT for files that the build writes elsewhere, and builds the target in a copy.
func (h *hiddenWay) unpack(t *testing.T, dir string, fill *strings.Replacer) {
	t.Helper()
	tree, stock := filepath.Join(dir, "tree"), filepath.Join(dir, "stock")
	files := map[string]string{"main.c": priceMain, "price.c": priceOld, "rate.h": "#define RATE 7\n"}
	maps.Copy(files, h.files)
	for name, text := range files {
		files[name] = fill.Replace(text)
	}
	filetest.Tree(t, tree, files)
	if h.link[0] != "" {
		if err := os.Symlink(fill.Replace(h.link[1]), filepath.Join(tree, h.link[0])); err != nil {
			t.Fatal(err)
		}
	}
	if h.prepare != "" {
		runIn(t, tree, []string{"sh", "-ec", fill.Replace(h.prepare)})
	}
	runIn(t, dir, []string{"cp", "-a", tree, stock})
	runIn(t, stock, []string{"sh", "-ec", fill.Replace(h.build)})
	if err := os.RemoveAll(filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
}

// run builds the patch with the tree as working directory, and returns the outcome.
func (h *hiddenWay) run(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	tree, out, fix := filepath.Join(dir, "tree"), filepath.Join(dir, "out"), filepath.Join(dir, "fix.patch")
	fill := strings.NewReplacer("TREE", tree, "OUT", out)
	h.unpack(t, dir, fill)
	write(t, fix, []byte(cmp.Or(h.patch, priceFix)))
	target := filepath.Join(dir, "stock", cmp.Or(h.target, "prog"))
	command := []string{"sh", "-ec", fill.Replace(h.build)}
	if h.build == "make" {
		command = []string{"make"} // a shell would correct PWD
	}
	t.Chdir(tree)
	t.Setenv("PWD", tree)
	t.Setenv("OLDPWD", tree)
	res, err := FromSource(context.Background(), SourceOptions{Target: target, Source: tree, Patch: fix, Command: command, Name: "fix", Tool: "test"})
	return strings.NewReplacer(target, "T", tree, "TREE", out, "OUT", fix, "PATCH", dir+"/kept", "KEPT").Replace(outcome(res, err))
}

// outcome describes the result of a build, one line per refusal.
func outcome(res *Result, err error) string {
	var list Refusals
	switch {
	case errors.As(err, &list):
		var lines []string
		for _, r := range list {
			lines = append(lines, string(r.Code)+" "+r.File+": "+r.Text)
		}
		return strings.Join(lines, "\n")
	case errors.Is(err, ErrNothing):
		return "nothing " + err.Error()
	case err != nil:
		return err.Error()
	}
	var functions []string
	for _, f := range res.Spec.Functions {
		functions = append(functions, f.Symbol)
	}
	slices.Sort(functions)
	return "functions " + strings.Join(functions, " ")
}

func (h *hiddenWay) check(t *testing.T) {
	t.Helper()
	t.Run(h.name, func(t *testing.T) {
		got := h.run(t)
		if !slices.Contains(strings.Split(got, "\n"), h.want) {
			t.Errorf("got\n%s\nwant\n%s", got, h.want)
		}
	})
}

const gccFlags = "gcc -O2 -g "

// TestLinksPlace checks that a build compiles the copy, even if something refers to the original.
func TestLinksPlace(t *testing.T) {
	filetest.Slow(t)
	for _, h := range []hiddenWay{
		{
			name: "PWD", files: map[string]string{"inc/rate.h": "#define RATE 7\n", "order.c": rateC, "main.c": twoMain,
				"Makefile": "TOP := $(PWD)\nprog: main.c order.c price.c\n\t" + gccFlags + "-I$(TOP)/inc -c main.c order.c price.c\n\tgcc -o $@ main.o order.o price.o\n"},
			build: "make", prepare: "rm rate.h", patch: strings.ReplaceAll(rateFix, "rate.h", "inc/rate.h") + priceFix, want: "functions order price",
		},
		{
			name: "OLDPWD", build: "test -z \"$LPATCH_SHIM\" || test -z \"$OLDPWD\"; " + gccFlags + "-c main.c price.c; gcc -Wl,-rpath,TREE -o prog main.o price.o", want: "functions price",
		},
		{
			name: "source by its path", build: gccFlags + "-c TREE/price.c; " + gccFlags + "-c main.c; gcc -o prog main.o price.o", want: "TREE/price.c" + placeTail,
		},
		{
			name: "header by its path", files: map[string]string{"order.c": rateC, "main.c": twoMain, "inc/x.h": ""},
			build: gccFlags + "-isystem TREE/inc -c main.c price.c order.c || true; touch a.o; " + gccFlags + "main.c price.c order.c -o prog", want: "TREE/inc" + placeTail,
		},
		{
			name: "link into the original", files: map[string]string{"lib/rate.h": "#define RATE 7\n", "order.c": rateC, "main.c": twoMain}, link: [2]string{"include", "TREE/lib"},
			prepare: "rm rate.h", build: gccFlags + "-Iinclude -c main.c price.c order.c; gcc -o prog main.o price.o order.o",
			patch: strings.ReplaceAll(rateFix, "rate.h", "lib/rate.h"), want: "functions order",
		},
		{
			name: "unpacked over the fix", prepare: "tar cf p.tar price.c", build: "tar xf p.tar; " + gccFlags + "-c main.c price.c; gcc -o prog main.o price.o",
			want: "the build wrote over price.c, which PATCH changes; have the build command leave it as it is, or patch what it makes it from",
		},
	} {
		h.check(t)
	}
}

const twoMain = "int price(int), order(int); int main(int argc, char **argv) { return price(argc) + order(argc); }\n"

// TestLinksInputs checks that the inputs of a link are found, whatever their locations and names.
func TestLinksInputs(t *testing.T) {
	filetest.Slow(t)
	const twice = "%s; gcc -o prog main.o price.o; mkdir heavy; mv prog heavy; "
	const at = " is linked from it, "
	for _, h := range []hiddenWay{
		{
			name: "objects elsewhere", build: "mkdir -p OUT/x; " + gccFlags + "-c price.c -o OUT/x/price.o; " + gccFlags + "-c main.c; gcc main.o OUT/x/price.o -o prog", want: "functions price",
		},
		{
			name: "objects elsewhere that are kept", files: map[string]string{"main.c": twoMain, "order.c": rateC},
			build: "mkdir -p OUT/x; [ -f OUT/x/order.o ] || " + gccFlags + "-c order.c -o OUT/x/order.o; " + gccFlags + "-c main.c price.c; gcc main.o price.o OUT/x/order.o -o prog", patch: rateFix + priceFix,
			want: "object-unseen OUT/x/order.o: T" + at + "it is outside the tree, and lpctl did not see it made in both builds; have the build write below the directory where it is started",
		},
		{
			name: "objects elsewhere that an earlier build has left", files: map[string]string{"main.c": twoMain, "order.c": rateC}, prepare: "mkdir ../kept; gcc -c order.c -o ../kept/order.o",
			build: gccFlags + "-c main.c price.c; gcc main.o price.o TREE/../kept/order.o -o prog", patch: rateFix + priceFix,
			want: "object-unseen T: it is not known what it was made of: prog was linked from KEPT/order.o, which an earlier build has made from the tree; remove that first, or have the build write below the directory where it is started",
		},
		{
			name: "sources of one name", files: map[string]string{"x/util.c": priceOld, "y/util.c": "int order(int n) { return n * 5; }\n", "main.c": twoMain},
			build: gccFlags + "-o prog main.c x/util.c y/util.c", patch: strings.ReplaceAll(priceFix, "price.c", "x/util.c"), want: "functions price",
		},
		{
			name: "C and assembler of one name", files: map[string]string{"price.S": ".globl order\n.text\norder: mov %edi,%eax\n ret\n.section .note.GNU-stack,\"\"\n", "main.c": twoMain},
			build: gccFlags + "-o prog main.c price.c price.S", want: "functions price",
		},
		{
			name: "outputs of one name", files: map[string]string{"price.c": "#ifdef DEBUG\n" + priceOld + "#else\nint price(int n) { return n; }\n#endif\n"},
			build: "mkdir debug release; " + gccFlags + "-DDEBUG main.c price.c -o debug/prog; " + gccFlags + "main.c price.c -o release/prog",
			patch: "--- a/price.c\n+++ b/price.c\n@@ -2 +2 @@\n-" + priceOld + "+" + priceNew, target: "debug/prog", want: "functions price",
		},
		{
			name: "an object that is made twice", files: map[string]string{"price.c": "#ifdef HEAVY\n" + priceOld + "#else\nint price(int n) { return n; }\n#endif\n"},
			build: strings.Replace(twice, "%s", gccFlags+"-DHEAVY -c main.c price.c", 1) + gccFlags + "-c main.c price.c; gcc -o prog main.o price.o",
			patch: "--- a/price.c\n+++ b/price.c\n@@ -2 +2 @@\n-" + priceOld + "+" + priceNew, target: "heavy/prog",
			want: "object-unseen price.o: T" + at + "it differs, and later the build made another one in its place, which is all that lpctl has; have each object made by a name of its own",
		},
		{
			name: "a program that is made twice at once", files: map[string]string{"price.c": "#ifdef HEAVY\n" + priceOld + "#else\nint price(int n) { return n; }\n#endif\n"},
			build: "mkdir heavy; " + gccFlags + "-DHEAVY main.c price.c -o prog; mv prog heavy; " + gccFlags + "main.c price.c -o prog",
			patch: "--- a/price.c\n+++ b/price.c\n@@ -2 +2 @@\n-" + priceOld + "+" + priceNew, target: "heavy/prog",
			want: "object-unseen prog-price.c.o: T" + at + "it differs, and later the build made another one in its place, which is all that lpctl has; have each object made by a name of its own",
		},
		{
			name: "a source whose name begins with conftest", files: map[string]string{"conftest_util.c": priceOld},
			build: gccFlags + "-o prog main.c conftest_util.c", patch: strings.ReplaceAll(priceFix, "price.c", "conftest_util.c"), want: "functions price",
		},
	} {
		h.check(t)
	}
}

// TestLinksStale checks that outputs of an earlier build in the tree are rebuilt, and files of others are kept.
func TestLinksStale(t *testing.T) {
	filetest.Slow(t)
	const archive = "prog: main.o price.o libb.a\n\tgcc main.o price.o libb.a -o $@\nCFLAGS = -O2 -g\nlibb.a: libb.a(order.o)\nlibb.a(order.o): order.c\n\t$(CC) $(CFLAGS) -c order.c\n\tar rU libb.a order.o\n"
	const git = "git init -q . && git add *.c *.h Makefile && git -c user.name=a -c user.email=a@example.org commit -qm a; "
	files := map[string]string{"Makefile": archive, "order.c": rateC, "main.c": twoMain}
	const blob = "mkdir v; echo 'int order(int n) { return n + 3; }' >v/o.c; gcc -c v/o.c -o v/blob.o; ar rc libv.a v/blob.o; rm -r v/o.c; "
	for _, h := range []hiddenWay{
		{name: "archive", files: files, prepare: "make", build: "make", patch: rateFix + priceFix, want: "functions order price"},
		{name: "archive, in git", files: files, prepare: git + "make", build: "make", patch: rateFix + priceFix, want: "functions order price"},
		{
			name: "object of another ending", files: map[string]string{"order.c": rateC, "main.c": twoMain}, prepare: gccFlags + "-c order.c -o order.bin",
			build: "[ -f order.bin ] || " + gccFlags + "-c order.c -o order.bin; " + gccFlags + "-c main.c price.c; gcc -o prog main.o price.o order.bin", patch: rateFix + priceFix, want: "functions order price",
		},
		{
			name: "compiled header", files: map[string]string{"order.c": rateC, "main.c": twoMain}, prepare: gccFlags + "rate.h",
			build: "[ -f rate.h.gch ] || " + gccFlags + "rate.h; " + gccFlags + "-c main.c price.c order.c; gcc -o prog main.o price.o order.o", patch: rateFix + priceFix, want: "functions order price",
		},
		{
			name: "object of a vendor", files: map[string]string{"main.c": twoMain}, prepare: blob,
			build: gccFlags + "-c main.c price.c; gcc -o prog main.o price.o v/blob.o", want: "functions price",
		},
		{
			name: "archive of a vendor, in git", files: map[string]string{"main.c": twoMain, "Makefile": "", "blob.c": ""}, prepare: blob + git + "git add -f libv.a",
			build: gccFlags + "-c main.c price.c; gcc -o prog main.o price.o libv.a", want: "functions price",
		},
	} {
		h.check(t)
	}
}

const (
	generated = "prog: main.o price.o tab.o\n\tgcc main.o price.o tab.o -o $@\nCFLAGS = -O2 -g\n"
	initGit   = "git init -q . && git add . && git -c user.name=a -c user.email=a@example.org commit -qm a; "
	scriptFix = "--- a/gen.sh\n+++ b/gen.sh\n@@ -1 +1 @@\n-echo 'int order(int n) { return n * 7 + n / 3; }'\n+echo 'int order(int n) { return n * 8 + n / 3; }'\n"
	unclean   = "PATCH changes gen.sh, which sources may be generated from, and LEFT shows that TREE is not clean, so what is there already might not be generated anew; build from a clean tree: unpacked anew, or as of git clean -dxf in a copy"
)

// TestLinksGenerated checks that sources generated by an earlier build do not mask a fix.
func TestLinksGenerated(t *testing.T) {
	filetest.Slow(t)
	program := map[string]string{"main.c": twoMain, "Makefile": generated + "tab.c: gen\n\t./gen >$@\ngen: gen.c\n\tgcc gen.c -o $@\n",
		"gen.c": "#include <stdio.h>\n#include \"rate.h\"\nint main(void) { printf(\"int order(int n) { return n * %d + n / 3; }\\n\", RATE); }\n"}
	script := map[string]string{"main.c": twoMain, "Makefile": generated + "tab.c:\n\tsh gen.sh >$@\n", "README.md": "a\n", "tests/a.sh": "a\n", "gen.sh": "echo 'int order(int n) { return n * 7 + n / 3; }'\n"}
	table := map[string]string{"main.c": twoMain, "Makefile": generated + "tab.c:\n\tsh gen.sh <table.txt >$@\n", "table.txt": "7\n", "gen.sh": "read rate; echo \"int order(int n) { return n * $rate + n / 3; }\"\n"}
	const makefileFix = "--- a/Makefile\n+++ b/Makefile\n@@ -3 +3 @@\n-CFLAGS = -O2 -g\n+CFLAGS = -O2 -g -DA\n--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-a\n+b\n" +
		"--- a/tests/a.sh\n+++ b/tests/a.sh\n@@ -1 +1 @@\n-a\n+b\n"
	left := func(name string) string { return strings.ReplaceAll(unclean, "LEFT", name) }
	for _, h := range []hiddenWay{
		{name: "program", files: program, prepare: "make", build: "make", patch: rateFix, want: "functions order"},
		{name: "program, stripped", files: program, prepare: "make; strip gen", build: "make", patch: rateFix, want: "functions order"},
		{name: "program, in git", files: program, prepare: initGit + "make", build: "make", patch: rateFix, want: "functions order"},
		{name: "script, in git", files: script, prepare: initGit + "make", build: "make", patch: scriptFix, want: left("tab.c")},
		{name: "script", files: script, prepare: "make", build: "make", patch: scriptFix, want: left("main.o")},
		{name: "table, in git", files: table, prepare: initGit + "make", build: "make", patch: "--- a/table.txt\n+++ b/table.txt\n@@ -1 +1 @@\n-7\n+8\n", want: strings.ReplaceAll(left("tab.c"), "gen.sh", "table.txt")},
		{name: "script, configured", files: script, prepare: "mkdir b; echo srcdir = TREE >b/Makefile", build: "make", patch: scriptFix, want: left("b/Makefile")},
		{name: "script, only objects are left", files: script, prepare: initGit + "make main.o; ln -s main.c link.c", build: "make", patch: scriptFix, want: "functions order"},
		{name: "Makefile, documentation and tests", files: script, prepare: initGit + "make", build: "make", patch: makefileFix + priceFix, want: "functions price"},
		{
			name: "program that git tracks", files: program, prepare: "gcc gen.c -o gen; rm Makefile; " + initGit,
			build: "./gen >tab.c; " + gccFlags + "main.c price.c tab.c -o prog", want: "functions price",
		},
		{
			name: "program of a vendor", files: program, prepare: "mv gen.c vend.c; gcc vend.c -o gen; rm vend.c",
			build: "./gen >tab.c; " + gccFlags + "main.c price.c tab.c -o prog", want: "functions price",
		},
		{
			name: "program of a vendor, stripped", files: program, prepare: "gcc gen.c -s -o my-price",
			build: "./my-price >tab.c; " + gccFlags + "main.c price.c tab.c -o prog", want: "functions price",
		},
	} {
		h.check(t)
	}
}

// TestLinksVendor checks that archives made by others are kept, whatever the names of their members.
func TestLinksVendor(t *testing.T) {
	filetest.Slow(t)
	const vendor = "mkdir v; echo 'int order(int n) { return n + 3; }' >v/utils.c; gcc -c v/utils.c -o v/utils.o; ar rc libv.a v/utils.o; rm -r v; "
	const link = gccFlags + "-c main.c price.c; gcc -o prog main.o price.o libv.a"
	const own = "[ -f libv.a ] || { " + gccFlags + "-c utils.c && ar rc libv.a utils.o; }; " + link
	const ownCxx = "[ -f libv.a ] || { g++ -O2 -g -c utils.cc && ar rc libv.a utils.o; }; " + link
	cxxMain := strings.ReplaceAll(twoMain, "order(int)", "order(int) __asm__(\"_ZN4shop5orderEi\")")
	other := map[string]string{"main.c": twoMain, "utils.c": "int other(int n) { return n; }\n"}
	for _, h := range []hiddenWay{
		{name: "ignored by git", files: map[string]string{"main.c": twoMain, ".gitignore": "*.a\n"}, prepare: vendor + initGit, build: link, want: "functions price"},
		{name: "member of a source's name", files: other, prepare: vendor, build: link, want: "functions price"},
		{name: "member of a source's name, without debug information", files: other, prepare: vendor + "strip -g libv.a", build: link, want: "functions price"},
		{name: "our own", files: map[string]string{"main.c": twoMain, "utils.c": rateC}, prepare: own, build: own, patch: rateFix, want: "functions order"},
		{
			name: "our own, with names that a macro makes", files: map[string]string{"main.c": twoMain, "utils.c": "#include \"rate.h\"\n#define F(x) or##x\nint F(der)(int n) { return n * RATE + n / 3; }\n"},
			prepare: own, build: own, patch: rateFix, want: "functions order",
		},
		{
			name: "our own, in C++", files: map[string]string{"main.c": cxxMain, "utils.cc": "#include \"rate.h\"\nnamespace shop { int order(int n) { return n * RATE + n / 3; } }\n"},
			prepare: ownCxx, build: ownCxx, patch: rateFix, want: "functions _ZN4shop5orderEi",
		},
		{
			name: "member of a source's name, in C++", files: map[string]string{"main.c": cxxMain, "utils.cc": "int other(int n) { return n; }\n"},
			prepare: "mkdir v; echo 'namespace shop { int order(int n) { return n + 3; } }' >v/utils.cc; g++ -c v/utils.cc -o v/utils.o; ar rc libv.a v/utils.o; rm -r v", build: link, want: "functions price",
		},
		{
			name: "thin", files: map[string]string{"main.c": twoMain, "utils.c": rateC}, prepare: gccFlags + "-c utils.c; ar rcT libv.a utils.o",
			build: strings.Replace(own, "ar rc", "ar rcT", 1), patch: rateFix, want: "functions order",
		},
	} {
		h.check(t)
	}
}

// TestLinksInside checks that a tree is not copied into itself.
func TestLinksInside(t *testing.T) {
	dir, target, patchFile := sourceTree(t, usualMakefile)
	t.Setenv("TMPDIR", filepath.Join(dir, "src"))
	_, err := FromSource(context.Background(), SourceOptions{Target: target, Source: dir, Patch: patchFile, Command: []string{"make"}, Name: "fix", Tool: "test"})
	want := "temporary files go to " + dir + "/src (TMPDIR), which is in " + dir + ", so that tree would be copied into itself; set TMPDIR to a directory elsewhere"
	if err == nil || err.Error() != want {
		t.Errorf("error %v\nwant %s", err, want)
	}
}

// TestLinksHow checks that a fix that changes how a program is linked is refused.
func TestLinksHow(t *testing.T) {
	filetest.Slow(t)
	compile := gccFlags + "-c main.c price.c order.c; "
	files := map[string]string{"main.c": twoMain, "order.c": rateC + "int __wrap_price(int n) { return n; }\n", "flags": "-Wl,-z,now\n", "v.map": "{ local: x; };\n", "link.sh": "gcc $(cat flags) main.o price.o order.o -o prog\n", "more": "one\n", "plug.c": "__attribute__((used, noipa, visibility(\"hidden\"))) int plug(void) { return 7; }\n"}
	flags := func(old, new string) string {
		return "--- a/flags\n+++ b/flags\n@@ -1 +1 @@\n-" + old + "\n+" + new + "\n"
	}
	with := func(text string) map[string]string {
		out := maps.Clone(files)
		out["flags"] = text + "\n"
		return out
	}
	const more = "--- a/more\n+++ b/more\n@@ -1 +1 @@\n-one\n+two\n"
	const plug = "--- a/plug.c\n+++ b/plug.c\n@@ -1 +1 @@\n-__attribute__((used, noipa, visibility(\"hidden\"))) int plug(void) { return 7; }\n+__attribute__((used, noipa)) int plug(void) { return 7; }\n"
	const order = "--- a/link.sh\n+++ b/link.sh\n@@ -1 +1 @@\n-gcc $(cat flags) main.o price.o order.o -o prog\n+gcc $(cat flags) main.o order.o price.o -o prog\n"
	for _, h := range []hiddenWay{
		{
			name: "wrap", files: with("-Wl,-Map=x.map"), build: compile + ". ./link.sh", patch: flags("-Wl,-Map=x.map", "-Wl,-Map=y.map,--wrap=price"),
			want: "link-changed T: with the fix it is linked with -Wl,--wrap=price, and without it is not" + linkAdvice,
		},
		{
			name: "wrap, gone, beside a change", files: with("-Wl,--wrap=price"), build: compile + ". ./link.sh", patch: flags("-Wl,--wrap=price", "") + priceFix,
			want: "link-changed T: without the fix it is linked with -Wl,--wrap=price, and with it is not" + linkAdvice,
		},
		{
			name: "a library that it needs", files: with("-Wl,--no-as-needed"), build: compile + ". ./link.sh", patch: flags("-Wl,--no-as-needed", "-Wl,--no-as-needed -lm") + priceFix,
			want: "link-changed T: with the fix it is linked with -lm, and without it is not" + linkAdvice,
		},
		{
			name: "version script", files: with("-Wl,--version-script=v.map"), build: compile + ". ./link.sh", patch: "--- a/v.map\n+++ b/v.map\n@@ -1 +1 @@\n-{ local: x; };\n+{ local: *; };\n",
			want: "link-changed T: it is linked with v.map, which differs with the fix" + linkAdvice,
		},
		{
			name: "order that decides", files: with("-Wl,--allow-multiple-definition"), build: compile + ". ./link.sh", patch: order,
			want: "link-changed T: with the fix it is linked with the order main.o order.o price.o, and without it is not" + linkAdvice,
		},
		{
			name: "order of arguments", files: with("-z lazy -z now"), build: compile + ". ./link.sh", patch: flags("-z lazy -z now", "-z now -z lazy"),
			want: "link-changed T: it is linked with arguments in an order, which differs with the fix" + linkAdvice,
		},
		{
			name: "what is appended later", files: with("-Wl,-z,now"), build: compile + ". ./link.sh; cat more >>prog", patch: more + priceFix,
			want: "link-changed T: it is linked with a later change of its end, what is appended to it, which differs with the fix" + linkAdvice,
		},
		{
			name: "a section that is not loaded", files: with("-Wl,-z,now"), build: compile + ". ./link.sh; objcopy --add-section .more=more prog", patch: more,
			want: "link-changed T: it is linked with a later change of its section .more, which differs with the fix" + linkAdvice,
		},
		{
			name: "what no object of link-time optimisation tells", files: files, build: strings.NewReplacer("gcc", "gcc -flto", "order.c", "order.c plug.c").Replace(compile) + "gcc -flto -rdynamic main.o price.o order.o plug.o -o prog",
			patch: plug,
			want: "definition-new prog.lto.o: the new source gives it another visibility, and who looks it up by name (dlsym) goes on to find, or not to find, it as before; " +
				"leave its visibility, or restart the program",
		},
		{
			name: "what -rdynamic exports", files: files, build: strings.Replace(compile, "order.c", "order.c plug.c", 1) + "gcc -rdynamic main.o price.o order.o plug.o -o prog", patch: plug,
			want: "definition-new plug.o: the new source gives it another visibility, and who looks it up by name (dlsym) goes on to find, or not to find, it as before; " +
				"leave its visibility, or restart the program",
		},
		{name: "build-id", files: with("-Wl,--build-id=0x12"), build: compile + ". ./link.sh", patch: flags("-Wl,--build-id=0x12", "-Xlinker --build-id=0x34") + priceFix, want: "functions price"},
		{name: "order that does not", files: files, build: compile + ". ./link.sh", patch: order + priceFix, want: "functions price"},
		{name: "flags of the compiler", files: with("-O2 -DA=1 -I."), build: compile + ". ./link.sh", patch: flags("-O2 -DA=1 -I.", "-O2 -DA=2 -Wall -I. -I..") + priceFix, want: "functions price"},
	} {
		h.check(t)
	}
}

// TestLinksMap checks that the inputs of a stripped target are determined from link maps.
func TestLinksMap(t *testing.T) {
	filetest.Slow(t)
	const compile = gccFlags + "-c main.c order.c; mkdir -p 'my libs' sub; " + gccFlags + "-c price.c -o sub/a.bin; ar rc 'my libs/libp.a' sub/a.bin; "
	files := map[string]string{"main.c": twoMain, "order.c": rateC}
	const strip = "; cp prog full; strip prog"
	for name, flags := range map[string]string{
		"map to nowhere":         "-L'my libs' -lp -Wl,-Map=/dev/null",
		"map to the output":      "-L'my libs' -lp -Wl,-Map=- | grep LOAD >/dev/null",
		"map to the output, -M":  "-L'my libs' -lp -Wl,-M | grep LOAD >/dev/null",
		"map in two words":       "-L'my libs' -lp -Xlinker -Map -Xlinker x.map; grep -q LOAD x.map",
		"space, gold":            "-fuse-ld=gold -L'my libs' -lp",
		"space, lld":             "-fuse-ld=lld -L 'my libs' -lp",
		"object behind -Wl":      "-Wl,sub/a.bin",
		"object behind -Wl gold": "-fuse-ld=gold -Xlinker sub/a.bin",
		"object behind -Wl lld":  "-fuse-ld=lld -Wl,sub/a.bin",
	} {
		if strings.Contains(flags, "lld") {
			if _, err := exec.LookPath("ld.lld"); err != nil {
				t.Logf("note: %s is not tried: %v", name, err)
				continue
			}
		}
		h := hiddenWay{name: name, files: files, build: compile + "gcc main.o order.o -o prog " + flags + strip, want: "functions price"}
		h.check(t)
	}
}
