// SPDX-License-Identifier: GPL-2.0

package build

import (
	"strings"
	"testing"
)

// TestInstrumented checks that code added by sanitizers and coverage counters is not reported as a change of the source.
func TestInstrumented(t *testing.T) {
	old := map[string]string{"main.c": mainC, "f.c": "int a[10]; int f(int x) { return a[x] / x; }\n"}
	new := map[string]string{"main.c": mainC, "f.c": "int a[10]; int f(int x) { if (x == 7) return a[x + 1] << x; return a[x] / x; }\n"}
	plain := newProject(t, old, new)
	const both = "f.o: old and new are compiled with %, and what that adds beside the code cannot be changed in a program that runs; " +
		"compile both without it, and build the target without it, too"
	const more = "; the same is true of 1 other object" // the stamp of main.o
	const counters = "--coverage or -fprofile-generate"
	for _, tt := range []struct{ flag, option, more string }{
		{"-fsanitize=undefined", "-fsanitize=undefined", ""}, {"--coverage", counters, more}, {"-fprofile-generate", counters, more},
	} {
		p := newProjectLinked(t, old, new, []string{"-pie", tt.flag}, tt.flag)
		check := func(what string, o Options, want string) {
			o.Name, o.Tool = "fix", "test"
			if _, err := FromObjects(o); err == nil || !strings.HasSuffix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s, %s:\n got %v\nwant %s", tt.flag, what, err, want)
			}
		}
		oldObjects, newObjects := []string{p.dir + "/old/objs"}, []string{p.dir + "/new/objs"}
		check("all", Options{Target: p.target, Old: oldObjects, New: newObjects}, strings.ReplaceAll(both, "%", tt.option)+tt.more+" [instrumented]")
		check("all but the target", Options{Target: plain.target, Old: oldObjects, New: newObjects}, "the old objects must be built from the target's source with its compiler and flags, "+
			"but they are compiled with "+tt.option+": leave that out if the target was built without it [target-differs]")
		check("the new objects", Options{Target: plain.target, Old: []string{plain.dir + "/old/objs/f.o"}, New: []string{p.dir + "/new/objs/f.o"}},
			"f.o: the new object is compiled with "+tt.option+" and the old one is not; compile both as the target was built [instrumented]")
	}
}

// TestLayoutOnce checks that a structure in a header is reported once, independent of the number of objects that include it.
func TestLayoutOnce(t *testing.T) {
	files := func(member, change string) map[string]string {
		out := map[string]string{"main.c": "struct s *p; int main(void) { return 0; }\n"}
		for _, name := range []string{"f", "g", "h"} {
			out[name+".c"] = "#line 1 \"head.h\"\nstruct s { int a; " + member + "}; extern struct s *p;\n" +
				"#line 1 \"" + name + ".c\"\nint " + name + "(void) { return p->a" + change + "; }\n"
		}
		return out
	}
	p := newProjectLinked(t, files("", ""), files("int b; ", "+ p->b"), []string{"-pie"})
	const want = "f.o: s: the structure at head.h:1 changed (4 bytes before, 8 now): the member b at head.h:1 is new, and the program has objects of the old layout; " +
		"keep it as it was and store what is new elsewhere, or say --layout-ok 's' if no old one is seen by new code; the same is true of 2 other objects [struct-layout-changed]"
	if _, err := p.build(p.target, ""); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}
