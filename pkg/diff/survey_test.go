// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSurvey changes types that the object with the changed function does not describe.
func TestSurvey(t *testing.T) {
	const (
		end   = ", and the program has objects of the old layout; keep it as it was and store what is new elsewhere, or say --layout-ok 'S' if no old one is seen by new code"
		class = "struct S { FIRST int used; virtual ~S(); virtual int kind(); };\n"
		novt  = "struct S { int v; VIRTUAL __attribute__((noinline)) int get() { return v; } };\n"
		list  = "struct S { FIRST int x; };\n"
	)
	type object struct{ old, new string }
	define := func(name, value, source string) object {
		return object{"#define " + name + "\n" + source, "#define " + name + " " + value + "\n" + source}
	}
	tests := []struct {
		name, cc, lang string
		flags          []string
		changed        object
		others         []object
		want           []string
	}{
		{"described where its table is", "g++", "c++", nil, define("FIRST", "long l;", class+"int use(S *s) { return ++s->used; }"),
			[]object{define("FIRST", "long l;", class+"S::~S() {} int S::kind() { return 7; }")},
			[]string{"S: the structure changed" + end}},
		{"the same with clang", "clang++-14", "c++", nil, define("FIRST", "long l;", class+"int use(S *s) { return ++s->used; }"),
			[]object{define("FIRST", "long l;", class+"S::~S() {} int S::kind() { return 7; }")},
			[]string{"S: the structure changed" + end}},
		{"the table is new, and nowhere", "g++", "c++", nil, define("VIRTUAL", "virtual", novt+"int use(S *s) { asm volatile(\"\" : \"+r\"(s)); return s->get(); }"), nil,
			[]string{"S: the structure is described by the old objects and by none of the new ones, so whether its layout changed is not known; " + describeAll + ", or say --layout-ok 'S' if no old one is seen by new code"}},
		{"another changed, and nobody here knows it", "g++", "c++", nil,
			object{"struct F; int use(F *f) { return f != nullptr; }", "struct F; int use(F *f) { return f == nullptr; }"},
			[]object{define("FIRST", "long l;", class+"S::~S() {} int S::kind() { return 7; }")}, nil},
		{"through a function", "clang-14", "c", []string{"-O0"}, define("FIRST", "long l;", list+"struct S *make(void); int use(void) { return make()->x; }"),
			[]object{define("FIRST", "long l;", list+"static struct S s; struct S *make(void) { return &s; }")},
			[]string{"S: the structure changed" + end}},
		{"through a variable", "clang-14", "c", []string{"-O0"}, define("FIRST", "long l;", list+"extern struct S *all; int use(void) { return all->x; }"),
			[]object{define("FIRST", "long l;", list+"struct S *all;")},
			[]string{"S: the structure changed" + end}},
		{"another one of its name, in C", "gcc", "c", nil, object{"struct S { int x; }; int use(struct S *s) { return s->x; }", "struct S { int x; }; int use(struct S *s) { return s->x + 1; }"},
			[]object{define("FIRST", "long l;", list+"int other(struct S *s) { return s->x; }")}, nil},
		{"a variable elsewhere", "clang-14", "c", nil, object{"extern int v; int use(void) { return v; }", "extern float v; int use(void) { return v; }"},
			[]object{{"int v;", "float v;"}},
			[]string{"v: the variable is of type int in the program and of type float in the new source; give the new one another name, or say --layout-ok 'v' if what it holds means the same"}},
		{"an enumeration elsewhere", "clang-14", "c", []string{"-O0"},
			object{"enum E { A, B }; extern int get(void); int use(void) { return get() == B; }", "enum E { N, A, B }; extern int get(void); int use(void) { return get() == B; }"},
			[]object{{"enum E { A, B }; enum E v; enum E get(void) { return v; }", "enum E { N, A, B }; enum E v; enum E get(void) { return v; }"}},
			[]string{"E: its enumerator A was 0 and is 1, and variables or structures of the program may hold the old value; put new ones behind the others, or say --layout-ok 'E' if none does"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			object := func(source string) *Object { return compile(t, tt.cc, source, append(tt.flags, "-x", tt.lang)...) }
			s := NewSurvey(Options{})
			s.AddChanged(Compare(object(tt.changed.old), object(tt.changed.new), Options{}))
			for _, o := range tt.others {
				s.AddDiffering(object(o.old), object(o.new))
			}
			refusals, _ := s.Refusals()
			var got []string
			for _, r := range refusals {
				got = append(got, r.Symbol+": "+r.Text)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
		})
	}
}
