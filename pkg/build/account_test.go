// SPDX-License-Identifier: GPL-2.0

package build

import (
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

// priceOld and priceNew are two versions of a function that compilers inline into others of its file.
const (
	priceOld = "int price(int n) { return n * 7 + n / 3 + (n ^ n >> 5); }\n"
	priceNew = "int price(int n) { return n * 7 + n / 3 + (n ^ n >> 5) + 1000; }\n"
	orderC   = "int price(int); int order(int n) { return price(n) * 2 + n; }\n"
	orderH   = "int order(int); int main(int argc, char **argv) { return order(argc); }\n"
)

// inputsFor describes how old and new objects and a target are compiled. Sources are below dir/old and dir/new.
type inputsFor struct {
	dir, target string
}

func compileFor(t *testing.T, old, new map[string]string, objects, target string, unit bool) inputsFor {
	t.Helper()
	in := inputsFor{dir: t.TempDir()}
	in.target = filepath.Join(in.dir, "prog")
	gcc := func(dir string, args ...string) {
		t.Helper()
		cmd := exec.Command("gcc", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	for side, files := range map[string]map[string]string{"old": old, "new": new} {
		d := filepath.Join(in.dir, side)
		if err := os.MkdirAll(filepath.Join(d, "objs"), 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			write(t, filepath.Join(d, name), []byte(text))
			args := append(strings.Fields(objects), "-ffunction-sections", "-fdata-sections", "-c", name, "-o", "objs/"+strings.TrimSuffix(name, ".c")+".o")
			gcc(d, args...)
		}
	}
	var sources []string
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if name != "unlinked.c" {
			sources = append(sources, name)
		}
	}
	if unit {
		text := ""
		for _, name := range sources {
			text += "#include \"" + name + "\"\n"
		}
		write(t, filepath.Join(in.dir, "old", "unit.c"), []byte(text))
		sources = []string{"unit.c"}
	}
	args := append(strings.Fields(target+" -pie"), sources...)
	gcc(filepath.Join(in.dir, "old"), append(args, "-o", in.target)...)
	return in
}

func (in inputsFor) options() Options {
	return Options{Target: in.target, Old: []string{in.dir + "/old/objs"}, New: []string{in.dir + "/new/objs"}, Name: "fix", Tool: "test"}
}

// refusalsOf returns the texts of refusals, with the path of the target replaced by T.
func refusalsOf(err error, target string) map[string]string {
	var list Refusals
	errors.As(err, &list)
	out := map[string]string{}
	for _, r := range list {
		out[string(r.Code)+" "+strings.ReplaceAll(r.File, target, "T")+" "+r.Symbol] = strings.ReplaceAll(r.Text, target, "T")
	}
	return out
}

// TestNotFound checks that an object that differs and was not found in the target is refused, unless it is proved not to be
// part of it.
func TestNotFound(t *testing.T) {
	filetest.Slow(t)
	files := func(price string, more ...string) map[string]string {
		m := map[string]string{"price.c": price, "order.c": orderC, "main.c": orderH}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	const plain = "-O2 -g -fPIE"
	lost := func(object string) map[string]string {
		return map[string]string{"object-not-found " + object + " ": "it differs, and neither was its old code found in T, nor is it proved to be no part of it; " +
			"a target that was linked with -flto, or built with other flags or from other files, looks like this. Give the objects that it was linked from, " +
			"name an unstripped build of it with --symbols, or say --not-part-of " + object + " if it is none"}
	}
	const ltoTail = ". If the target was linked with -flto, " + ltoAdvice + "; if it was not, give objects that were compiled without, too"
	tests := []struct {
		name            string
		old, new        map[string]string
		objects, target string
		unit            bool
		want            map[string]string // expected refusals
		nothing, built  string
	}{
		{name: "found", old: files(priceOld), new: files(priceNew), objects: plain, target: plain, built: "price"},
		{name: "target linked with -flto, objects without", old: files(priceOld), new: files(priceNew), objects: plain, target: plain + " -flto",
			want: map[string]string{
				"lto T ": "its symbol table or debug information says that it was linked with -flto: " + ltoAdvice,
			}},
		{name: "the same without debug information", old: files(priceOld), new: files(priceNew), objects: plain, target: "-O2 -fPIE -flto", want: lost("price.o")},
		{name: "fat objects", old: files(priceOld), new: files(priceNew), objects: plain + " -flto -ffat-lto-objects", target: plain,
			want: map[string]string{
				"lto main.o ": "it was compiled with -flto, as were 2 other objects" + ltoTail,
			}},
		{name: "slim objects", old: files(priceOld), new: files(priceNew), objects: plain + " -flto", target: plain,
			want: map[string]string{
				"lto main.o ": "it was compiled with -flto, as were 2 other objects" + ltoTail,
			}},
		{name: "one unit", old: files(priceOld), new: files(priceNew), objects: plain, target: plain, unit: true, want: lost("price.o")},
		{name: "stripped, other flags", old: files(priceOld), new: files(priceNew), objects: plain, target: "-O1 -fPIE -s -fno-inline"},
		{name: "no part of it", old: files(priceOld, "unlinked.c", "int u(void) { return 1; }"), new: files(priceOld, "unlinked.c", "int u(void) { return 2; }"),
			objects: plain, target: plain, nothing: "unlinked.o: nothing in the target refers to it"},
		{name: "part of another program", old: files(priceOld, "unlinked.c", "int v(void) { return 1; } int main(void) { return v() + 3; }"),
			new:     files(priceOld, "unlinked.c", "int v(void) { return 2; } int main(void) { return v() + 3; }"),
			objects: plain, target: plain, nothing: "unlinked.o: the target has main of main.o"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := compileFor(t, tt.old, tt.new, tt.objects, tt.target, tt.unit)
			res, err := FromObjects(in.options())
			switch {
			case tt.built != "":
				if err != nil || short(res, err) != tt.built {
					t.Errorf("%s (%v), want %s", short(res, err), err, tt.built)
				}
			case tt.nothing != "":
				if !errors.Is(err, ErrNothing) || !strings.Contains(err.Error(), tt.nothing) {
					t.Errorf("%v, want nothing: %s", err, tt.nothing)
				}
			case tt.want == nil:
				var list Refusals
				if !errors.As(err, &list) {
					t.Errorf("%v, want a refusal", err)
				}
			default:
				if got := refusalsOf(err, in.target); !maps.Equal(got, tt.want) {
					t.Errorf("got\n%v\nwant\n%v\n(%v)", got, tt.want, err)
				}
			}
		})
	}
}

// TestCopiesElsewhere has a target with the old function, and an inlined copy of it in a function that the objects lack.
func TestCopiesElsewhere(t *testing.T) {
	const order = "int order(int n) { return price(n) * 2 + n; }\n" + orderH
	old, new := map[string]string{"shop.c": priceOld + order}, map[string]string{"shop.c": priceNew + order}
	in := compileFor(t, old, new, "-O2 -g -fPIE -fno-inline", "-O2 -g -fPIE", false)
	_, err := FromObjects(in.options())
	const want = "it refers to price of shop.o, which changes, and it is not in the target as it is in the old object, so the target may have a copy of that in it: "
	text := refusalsOf(err, in.target)["target-differs shop.o order"]
	if !strings.HasPrefix(text, want) {
		t.Errorf("got %v, want a refusal that begins with %q", err, want)
	}
}

// TestNotPartOf checks that Options.NotPartOf only applies to objects that were not found.
func TestNotPartOf(t *testing.T) {
	old := map[string]string{"price.c": priceOld, "order.c": orderC, "main.c": orderH}
	new := map[string]string{"price.c": priceNew, "order.c": orderC, "main.c": orderH}
	const plain = "-O2 -g -fPIE"
	lost := compileFor(t, old, new, plain, "-O2 -fPIE -flto", false)
	o := lost.options()
	o.NotPartOf = []string{"price.o"}
	if _, err := FromObjects(o); !errors.Is(err, ErrNothing) || !strings.Contains(err.Error(), "price.o: no part of the target, by --not-part-of") {
		t.Errorf("not found: %v", err)
	}
	o.NotPartOf = []string{"cost.o"}
	const unknown = "--not-part-of cost.o: there is no such object among the old and the new ones; they are named as refusals name them"
	if _, err := FromObjects(o); err == nil || err.Error() != unknown {
		t.Errorf("got %v, want %s", err, unknown)
	}
	found := compileFor(t, old, new, plain, plain, false)
	o = found.options()
	o.NotPartOf = []string{"price.o"}
	_, err := FromObjects(o)
	want := map[string]string{"part-of-target price.o ": "--not-part-of names it, and its old code is in T"}
	if got := refusalsOf(err, found.target); !maps.Equal(got, want) {
		t.Errorf("found: got %v (%v), want %v", got, err, want)
	}
}

// TestOneSided checks that objects of one side only are accounted for.
func TestOneSided(t *testing.T) {
	const plain = "-O2 -g -fPIE"
	base := map[string]string{"price.c": priceOld, "order.c": orderC, "main.c": orderH}
	with := func(more ...string) map[string]string {
		m := maps.Clone(base)
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	const constructor = "int started; __attribute__((constructor)) static void start(void) { started = 1; }\n"
	for name, tt := range map[string]struct {
		old, new map[string]string
		want     string // a key of refusalsOf, with the text
	}{
		"gone": {with("extra.c", "int extra = 4; int more(int x) { return x * 31 + extra; }"), base,
			"object-gone extra.o : there is no new object of this name, so it is not known what became of what it has; give the new one, or say --not-part-of extra.o if it is no part of T"},
		"new": {base, with("extra.c", "int extra = 4; int more(int x) { return x * 31 + extra; }"),
			"object-not-found extra.o : it is new, nothing that changes in T refers to it, and it is not proved that it is no part of that; say --not-part-of extra.o if that is so"},
		"new with a constructor, beside a change": {base, with("price.c", priceNew, "extra.c", constructor),
			"constructor-changed extra.o .init_array: functions that run at start or exit were added or changed; the program has started already: do the work elsewhere"},
	} {
		t.Run(name, func(t *testing.T) {
			in := compileFor(t, tt.old, tt.new, plain, plain, false)
			_, err := FromObjects(in.options())
			key, text, _ := strings.Cut(tt.want, ": ")
			if got := refusalsOf(err, in.target); got[key] != text {
				t.Errorf("got %v (%v)\nwant %s", got, err, tt.want)
			}
		})
	}
}

// twoPrograms is a tree with two programs that share an object from an archive.
const twoPrograms = "CFLAGS = -O2 -g $(MORE)\nall: prog other\nprog: src/main.o libwork.a\n\t$(CC) $(CFLAGS) -o $@ $^\n" +
	"other: src/other.o libwork.a\n\t$(CC) $(CFLAGS) -o $@ $^\nlibwork.a: src/work.o src/spare.o\n\tar rc $@ $^\n"

// TestLinksProve checks that the links of a build determine which objects each program consists of, independent of code
// matching.
func TestLinksProve(t *testing.T) {
	dir, target, _ := sourceTree(t, twoPrograms)
	for name, text := range map[string]string{
		"other.c": "int work(int x); int main(int argc, char **argv) { return work(argc) + 2; }\n",
		"spare.c": "int spare(int x) { return x * 3; }\n",
	} {
		for _, top := range []string{dir, filepath.Dir(target)} {
			write(t, filepath.Join(top, "src", name), []byte(text))
		}
	}
	if out, err := exec.Command("make", "-C", filepath.Dir(target)).CombinedOutput(); err != nil {
		t.Fatalf("make: %v\n%s", err, out)
	}
	if out, err := exec.Command("strip", target).CombinedOutput(); err != nil {
		t.Fatalf("strip: %v\n%s", err, out)
	}
	build := func(file, from, to string, target string, command ...string) (*Result, error) {
		patchFile := filepath.Join(t.TempDir(), "fix.patch")
		write(t, patchFile, []byte("--- a/src/"+file+"\n+++ b/src/"+file+"\n@@ -1 +1 @@\n-"+from+"\n+"+to+"\n"))
		return FromSource(context.Background(), SourceOptions{Target: target, Source: dir, Patch: patchFile, Command: command, Name: "fix", Tool: "test"})
	}
	const spareOld, spareNew = "int spare(int x) { return x * 3; }", "int spare(int x) { return x * 5; }"
	const otherOld = "int work(int x); int main(int argc, char **argv) { return work(argc) + 2; }"
	other := filepath.Join(filepath.Dir(target), "other")
	for _, tt := range []struct {
		name, file, from, to, target, nothing string
	}{
		{"source of the other program", "other.c", otherOld, strings.Replace(otherOld, "2", "3", 1), target, "src/other.o: not linked into it"},
		{"member that nobody needs", "spare.c", spareOld, spareNew, other, "src/spare.o: not linked into it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := build(tt.file, tt.from, tt.to, tt.target, "make")
			if !errors.Is(err, ErrNothing) || !strings.Contains(err.Error(), tt.nothing) {
				t.Errorf("%v, want nothing: %s", err, tt.nothing)
			}
		})
	}
	t.Run("linked with -flto", func(t *testing.T) {
		_, err := build("other.c", otherOld, strings.Replace(otherOld, "2", "3", 1), other, "make", "MORE=-flto -fno-use-linker-plugin -ffat-lto-objects")
		const want = "it is linked with -flto and -fno-use-linker-plugin, so that members of archives may be optimised or not; link it with the plugin"
		if got := refusalsOf(err, other)["lto other "]; got != want {
			t.Errorf("%v, want a refusal for -flto", err)
		}
	})
	t.Run("a link that makes another file", func(t *testing.T) {
		_, err := build("spare.c", spareOld, spareNew, target, "make", "other")
		text := refusalsOf(err, target)["object-not-found src/spare.o "]
		if !strings.Contains(text, "(no link of the build makes this file)") {
			t.Errorf("%v, want object-not-found that says why the links prove nothing", err)
		}
	})
}

// TestElsewhere checks that an object of one target needs no proof that it is not part of the others.
func TestElsewhere(t *testing.T) {
	const plain = "-O2 -g -fPIE"
	old := map[string]string{"price.c": priceOld, "order.c": orderC, "main.c": orderH}
	new := map[string]string{"price.c": priceNew, "order.c": orderC, "main.c": orderH}
	one := compileFor(t, old, new, plain, plain, false)
	two := compileFor(t, map[string]string{"main.c": "int main(void) { return 3; }\n"}, nil, plain, "-O2 -s -fPIE", false)
	list := make([]ImageResult, 2)
	parts := make([]*builder, 2)
	for i, target := range []string{two.target, one.target} {
		o := one.options()
		o.Target = target
		list[i].Paths = []string{filepath.Base(filepath.Dir(target))}
		var err error
		if parts[i], err = prepare(o); err != nil {
			t.Fatal(err)
		}
	}
	if err := finishAll(list, parts); err != nil {
		t.Fatal(err)
	}
	if list[1].Result == nil {
		t.Errorf("the program that has the object: %v", list[1].Err)
	}
	if want := "price.o: part of " + list[1].Paths[0]; !errors.Is(list[0].Err, ErrNothing) || !strings.Contains(list[0].Err.Error(), want) {
		t.Errorf("the other: %v, want nothing: %s", list[0].Err, want)
	}
}

// TestSeenThrough checks that objects made without the shims, and changed links, are not considered unchanged.
func TestSeenThrough(t *testing.T) {
	filetest.Slow(t)
	const fix = "--- a/price.c\n+++ b/price.c\n@@ -1 +1 @@\n-" + priceOld + "+" + priceNew
	const main = "int price(int); int main(int argc, char **argv) { return price(argc); }\n"
	const hook = "int rate = 1; __attribute__((constructor)) static void start(void) { rate = 2; }\n"
	const order = "#include \"rate.h\"\n#ifndef MORE\n#define MORE 1\n#endif\nint order(int n) { return n * RATE + MORE; }\n"
	const threeObjects = "prog: main.o price.o order.o\n\tgcc -o $@ $^\n"
	const noHook = "--- a/Makefile\n+++ b/Makefile\n@@ -1,2 +1,2 @@\n CFLAGS = -O2 -g\n-prog: main.o price.o hook.o\n+prog: main.o price.o\n" + fix
	for _, tt := range []struct{ name, makefile, patch, want string }{
		{"compiler by its path", "CFLAGS = -O2 -g\nprog: main.o price.o\n\tgcc -o $@ $^\nprice.o: price.c\n\t/usr/bin/gcc -O2 -g -c price.c\n", fix, "functions price"},
		{"assembler", "CFLAGS = -O2 -g\nprog: main.o price.o\n\tgcc -o $@ $^\nprice.o: price.c\n\tgcc -O2 -S price.c; as price.s -o price.o\n", fix, "functions price"},
		{"objcopy", "CFLAGS = -O2 -g\nprog: main.o v2/price.o\n\tgcc -o $@ $^\nv2/price.o: price.o\n\tmkdir -p v2; objcopy --redefine-sym nothing=x price.o v2/price.o; objcopy --remove-section .comment v2/price.o\n", fix, "functions price"},
		{"arguments in a file", "CFLAGS = -O2 -g\nprog: main.o price.o\n\tgcc -o $@ $^\nprice.o: price.c\n\techo '-c price.c -o price.o' >r.rsp; gcc -O2 -g @r.rsp\n", fix, "functions price"},
		{"another ending", "CFLAGS = -O2 -g\nprog: main.o price.po\n\tgcc -o $@ $^\nprice.po: price.c\n\tgcc -O2 -g -c price.c -o $@\n", fix, "functions price"},
		{"parentheses", "CFLAGS = -O2 -g\nprog: main.o price.o\n\tgcc -o $@ main.o 'b(x)/price.o'\nprice.o: price.c\n\tmkdir -p 'b(x)'; gcc -O2 -g -c price.c -o 'b(x)/price.o'; touch $@\n", fix, "functions price"},
		{"flags", "CFLAGS = -O2 -g\n" + threeObjects, "--- a/Makefile\n+++ b/Makefile\n@@ -1 +1 @@\n-CFLAGS = -O2 -g\n+CFLAGS = -O2 -g -DMORE=9\n", "functions order"},
		{"header that is no prerequisite", "CFLAGS = -O2 -g\n" + threeObjects, "--- a/rate.h\n+++ b/rate.h\n@@ -1 +1 @@\n-#define RATE 7\n+#define RATE 8\n" + fix, "functions order price"},
		{"changed after the link", "CFLAGS = -O2 -g\nprog: main.o price.o\n\tprintf 'const char config[16] __attribute__((section(\".config\"), used)) = \"none\";' >config.c; gcc -O2 -g -c config.c; gcc -o $@ main.o price.o config.o; " +
			"(head -c 14 rate.h; printf xx) >config.bin; objcopy --update-section .config=config.bin prog\n", "--- a/rate.h\n+++ b/rate.h\n@@ -1 +1 @@\n-#define RATE 7\n+#define RATE 8\n" + fix, "link-changed "},
		{"changed after the link, and alike", "CFLAGS = -O2 -g\nprog: main.o price.o\n\tprintf 'const char config[16] __attribute__((section(\".config\"), used)) = \"none\";' >config.c; gcc -O2 -g -c config.c; gcc -o $@ main.o price.o config.o; " +
			"(head -c 14 rate.h; printf xx) >config.bin; objcopy --update-section .config=config.bin prog; strip -g prog\n", fix, "functions price"},
		{"linked no more", "CFLAGS = -O2 -g\nprog: main.o price.o hook.o\n\tgcc -o $@ $^\n", noHook, "object-gone hook.o "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{"Makefile": tt.makefile, "main.c": main, "price.c": priceOld, "hook.c": hook, "order.c": order, "rate.h": "#define RATE 7\n"} {
				for _, top := range []string{"tree", "stock"} {
					if err := os.MkdirAll(filepath.Join(dir, top), 0o755); err != nil {
						t.Fatal(err)
					}
					write(t, filepath.Join(dir, top, name), []byte(text))
				}
			}
			write(t, filepath.Join(dir, "fix.patch"), []byte(tt.patch))
			if out, err := exec.Command("make", "-C", dir+"/stock", "prog").CombinedOutput(); err != nil {
				t.Fatalf("make: %v\n%s", err, out)
			}
			res, err := FromSource(context.Background(), SourceOptions{
				Target: dir + "/stock/prog", Source: dir + "/tree", Patch: dir + "/fix.patch", Command: []string{"sh", "-c", "make prog"}, Name: "fix", Tool: "test",
			})
			if want, ok := strings.CutPrefix(tt.want, "functions "); ok {
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, f := range res.Spec.Functions {
					got = append(got, f.Symbol)
				}
				if slices.Sort(got); strings.Join(got, " ") != want {
					t.Errorf("a patch of %s, want %s", got, want)
				}
				return
			}
			found := false
			for key := range refusalsOf(err, dir+"/stock/prog") {
				found = found || strings.HasPrefix(key, tt.want)
			}
			if !found {
				t.Errorf("%v, want the refusal %s", err, tt.want)
			}
		})
	}
}
