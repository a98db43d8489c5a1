// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLayoutReasons checks that a changed structure is reported once, with its location and member, and not again for each
// structure that contains it.
func TestLayoutReasons(t *testing.T) {
	const (
		end   = ", and the program has objects of the old layout; keep it as it was and store what is new elsewhere, or say --layout-ok "
		sure  = " if no old one is seen by new code"
		inStd = "#include <map>\n#include <string>\n#include <memory>\n#include <vector>\n"
		in    = "struct Inner { int a; int b; };\n"
		more  = "struct Inner {\n int a; int b;\n int c; };\n"
		rest  = "struct Conf { std::string name; Inner in; long timeout; };\nstruct Holder { Conf conf; Conf *next; Conf two[2]; };\n"
		code  = "std::map<std::string, Conf> t; std::vector<Holder> l; std::shared_ptr<Conf> s;\n"
		use   = "int f(int x) { Conf c{\"a\", {1, 2}, x}; t[\"x\"] = c; l.push_back(Holder{c, &c, {c, c}}); s = std::make_shared<Conf>(c); return "
	)
	for _, tt := range []struct {
		name, lang, old, new string
		layoutOK             []string
		want                 []string
	}{
		{"contained", "c++", inStd + in + rest + code + use + "x; }", inStd + more + rest + code + use + "2 * x; }", nil,
			[]string{"Inner: the structure at x.c:5 changed (8 bytes before, 12 now): the member c at x.c:7 is new" + end + "'Inner'" + sure}},
		{"contained, and sure", "c++", inStd + in + rest + code + use + "x; }", inStd + more + rest + code + use + "2 * x; }", []string{"Inner"}, nil},
		{"two at once", "c++", "struct A { int a; }; struct B { A a; int b; }; int f(B *p) { return p->b; }",
			"struct A { long a; }; struct B { A a; }; int f(B *p) { return p->a.a; }", nil,
			[]string{"A: the structure at x.c:1 changed (4 bytes before, 8 now): the member a at x.c:1 is of type long int and was of type int" + end + "'A'" + sure,
				"B: the structure at x.c:1 changed: the member b at x.c:1 is gone" + end + "'B'" + sure}},
		{"order", "c", "struct s { int a; int b; }; int f(struct s *p) { return p->b; }", "struct s { int b; int a; }; int f(struct s *p) { return p->b; }", nil,
			[]string{"s: the structure at x.c:1 changed: its members are at other places" + end + "'s'" + sure}},
		{"base", "c++", "struct A { int a; }; struct B { long b; }; struct C : A { int c; }; int f(C *p) { return p->c; }",
			"struct A { int a; }; struct B { long b; }; struct C : B { int c; }; int f(C *p) { return p->c + 1; }", nil,
			[]string{"C: the structure at x.c:1 changed (8 bytes before, 16 now): the base B is of type B and was of type A" + end + "'C'" + sure}},
		{"mutual", "c++", "template<class T> struct Base { char b[8]; }; struct D : Base<D> { int d; }; int f(D *p) { return p->d; }",
			"template<class T> struct Base { char b[16]; }; struct D : Base<D> { int d; }; int f(D *p) { return p->d; }", nil,
			[]string{"Base<D>: the structure at x.c:1 changed (8 bytes before, 16 now): the member b at x.c:1 is of type char[16] and was of type char[8]" + end + "'Base<D>'" + sure,
				"D: the structure at x.c:1 changed (12 bytes before, 20 now): its members are at other places" + end + "'D'" + sure}},
		// a structure that is only named by a typedef must not be mistaken for an unused one
		{"typedef", "c", "typedef struct { int a; int b; } T; extern T t; int f(T *p) { return p->a; }",
			"typedef struct { int a; int b; int c; } T; extern T t; int f(T *p) { return p->c; }", nil,
			[]string{"T: the structure at x.c:1 changed (8 bytes before, 12 now): the member c at x.c:1 is new" + end + "'T'" + sure}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Compare(compile(t, "gcc", tt.old, "-x", tt.lang), compile(t, "gcc", tt.new, "-x", tt.lang), Options{LayoutOK: tt.layoutOK})
			var got []string
			for _, x := range r.Refusals {
				if x.Code == "struct-layout-changed" {
					got = append(got, x.Symbol+": "+x.Text)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
		})
	}
}
