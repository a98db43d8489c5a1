// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestVersions checks which branches only one version has.
func TestVersions(t *testing.T) {
	const source = `int f(void)
{
#ifdef NEW
	static int n;
#elif 1
	static int n;
#endif
	static int n;
	int a = n;
}`
	lines := strings.Split(source, "\n")
	f := declaration{"f", 1, false}
	n := func(line int) declaration { return declaration{"n", line, true} }
	set := func(list ...declaration) declarations {
		out := declarations{f: true}
		for _, d := range list {
			out[d] = true
		}
		return out
	}
	tests := []struct {
		name     string
		old, new declarations
		want     map[branch]bool // of the new version
		ok       bool
	}{
		{"a branch of its own", set(n(6), n(8)), set(n(4), n(8)), map[branch]bool{{2, 2}: true}, true},
		{"the same", set(n(8)), set(n(8)), map[branch]bool{}, true},
		{"the other has code there", set(n(8), declaration{line: 4}), set(n(4), n(8)), nil, false},
		{"outside of branches", set(n(6)), set(n(8)), nil, false},
		{"a line without the name", set(n(8)), set(n(5), n(8)), nil, false},
		{"beyond the end", set(n(8)), set(n(80)), nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			of := branchesOf(lines)
			got, ok := tt.new.without(tt.old, of, lines)
			if ok != tt.ok || ok && !cmp.Equal(got, tt.want, cmp.AllowUnexported(branch{})) {
				t.Errorf("got %v %v, want %v %v", got, ok, tt.want, tt.ok)
			}
		})
	}
	for _, source := range []string{"#endif", "#if 1", "#else"} {
		if of := branchesOf(strings.Split(source, "\n")); of != nil {
			t.Errorf("%s: %v, want nothing", source, of)
		}
	}
}
