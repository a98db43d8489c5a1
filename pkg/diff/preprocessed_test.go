// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"strings"
	"testing"
)

const noneIsTold = "x.o: n: 2 old and 2 new static variables of this name in f cannot be matched to each other; give the new ones names of their own [static-ambiguous]"

// TestOneFile compares two versions in one file, selected by -DNEW.
func TestOneFile(t *testing.T) {
	const block = "\n{ static int n; return ++n; }\n"
	const more = "#ifdef NEW\nif (c == 3) { static long m; return ++m; }\n#endif\n"
	choice := func(name, a, b string) string {
		return "#ifdef NEW\n" + name + a + "\n#else\n" + name + b + "\n#endif\n"
	}
	in := func(body string) string { return "int f(int c)\n{\nswitch (c) {\n" + body + "}\nreturn 0;\n}\n" }
	labels := in(choice("", "case 2:", "case 1:") + block + choice("", "case 1:", "case 2:") + block)
	names := choice("#define P ", "2", "1") + choice("#define Q ", "1", "2")
	uses := "case P: { static int n; return ++n; }\ncase Q: { static int n; return ++n; }\n"
	tests := []struct{ name, source, want string }{
		{"labels", strings.Replace(labels, "return 0;", more+"return 0;", 1), ""},
		{"labels alone", labels, noneIsTold},
		{"macros", names + strings.Replace(in(uses), "return 0;", more+"return 0;", 1), ""},
		{"macros alone", names + in(uses), noneIsTold},
		{"macro by macro", names + "#define A P\n#define B Q\n" + in(strings.NewReplacer("P:", "A:", "Q:", "B:").Replace(uses)), noneIsTold},
		{"enumerators", choice("enum { ", "p = 2, q = 1 };", "p = 1, q = 2 };") + in(strings.NewReplacer("P:", "p:", "Q:", "q:").Replace(uses)), noneIsTold},
		{"macros of the command line", strings.NewReplacer("P:", "KEY:", "Q:", "3 - KEY:").Replace(in(uses)), noneIsTold},
	}
	for _, cc := range []string{"gcc", "clang-14"} {
		for _, tt := range tests {
			t.Run(cc+"/"+tt.name, func(t *testing.T) {
				dir, got := t.TempDir(), ""
				o, n := compileIn(t, dir, cc, tt.source, "-DKEY=1"), compileIn(t, dir, cc, tt.source, "-DNEW", "-UKEY", "-DKEY=2")
				if r := Compare(o, n, Options{LayoutOK: []string{"p", "q"}}); len(r.Refusals) > 0 { // enumerators of one case, which are not looked at here
					got = r.Refusals.Error()
				}
				if got != tt.want {
					t.Errorf("%s\nwant %s", got, tt.want)
				}
			})
		}
	}
}

// TestChoose checks which branches are considered taken.
func TestChoose(t *testing.T) {
	lines := strings.Split("#ifdef A\na\n#endif\n#ifndef A\nb\n#elif B\nc\n#else\nd\n#endif", "\n")
	all := chunksOf(lines)
	got := choose(lines, all, nil, map[branch]bool{{0, 0}: true})
	if taken, ok := got[branch{3, 3}]; !ok || !taken || got[branch{3, 7}] || got[branch{0, 0}] {
		t.Errorf("got %v, want what #ifndef A has", got)
	}
	got = choose(lines, all, map[branch]bool{{0, 0}: true}, nil)
	if taken, ok := got[branch{3, 3}]; !ok || taken {
		t.Errorf("got %v, want not what #ifndef A has", got)
	}
	if _, ok := got[branch{3, 7}]; ok {
		t.Errorf("got %v, want nothing of #else", got)
	}
}
