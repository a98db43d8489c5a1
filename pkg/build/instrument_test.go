package build

import (
	"strings"
	"testing"
)

// TestInstrumented: what sanitizers and counters add to an object is not spoken of as if it were in the source.
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
