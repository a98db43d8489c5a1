// SPDX-License-Identifier: GPL-2.0

package build

import (
	"maps"
	"strings"
	"testing"

	"lpatch/pkg/patch"
)

// Inline functions and templates without the C++ library. noipa prevents their inlining.
const header = `
#define NI __attribute__((noipa))
template <class T> struct Box { T v; NI T twice() { return v * STEP + v / 7; } };
NI inline int once(int x) { static int n = x; return n += STEP; }
struct Base { int n; virtual int f(int x); };
struct Deriv : Base { NI int f(int x) override { return x * 5 + STEP; } };
`

func instanceProject(step string) map[string]string {
	h := "#define STEP " + step + header
	return map[string]string{
		"main.c": mainC,
		"a.cc":   h + "int b(int), c(int); int Base::f(int x) { return x; } extern \"C\" int f(int x) { Box<int> i{x}; Deriv d; Base *p = &d; return i.twice() + b(x) + c(x) + once(x) + p->f(x); }",
		"b.cc":   h + "int b(int x) { Box<int> i{x}; Box<long> l{x}; return i.twice() + l.twice() + once(2); }",
		"c.cc":   "int c(int x) { return x * 9 + 4; }",
	}
}

// TestInstances changes functions of which several objects have an instance.
func TestInstances(t *testing.T) {
	both := func(name, old, new string) func(map[string]string) {
		return func(m map[string]string) { m[name] = strings.Replace(m[name], old, new, 1) }
	}
	const changed = "_Z4oncei _ZN3BoxIiE5twiceEv _ZN3BoxIlE5twiceEv _ZN5Deriv1fEi"
	tests := []struct {
		name     string
		old, new func(map[string]string) // modifications of the project
		step     string                  // definition of step in the new header
		want     string
	}{
		{"header", nil, nil, "3", changed},
		{"only one object is built anew", nil, both("b.cc", "STEP 3", "STEP 2"), "3", "instances-differ"},
		{"another fix in one object", nil, both("b.cc", "STEP 3", "STEP 4"), "3", "instances-differ"},
		{"the other object has other code", both("b.cc", "#define", "#pragma GCC optimize(\"O1\", \"no-tree-ter\", \"Os\")\n#define"),
			both("b.cc", "#define", "#pragma GCC optimize(\"O1\", \"no-tree-ter\", \"Os\")\n#define"), "3", changed},
		{"new instance that another object has", nil, both("c.cc", "int c(int x) { return x * 9 + 4; }", "#define STEP 2"+header+"int c(int x) { Box<int> i{x}; return i.twice() + 1; }"),
			"2", "_Z1ci"},
		{"new virtual function", nil, both("a.cc", "struct Deriv : Base {", "struct Deriv : Base { virtual int g(int x) { return x; }"), "2", "class-changed"},
		{"new base", nil, both("a.cc", "struct Deriv : Base {", "struct Deriv : public virtual Base {"), "2", "class-changed struct-layout-changed"},
		{"new class", nil, both("a.cc", "Deriv d;", "struct Other : Base { int f(int x) override { return x * 9; } }; Other d;"), "2", "f"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			old, new := instanceProject("2"), instanceProject(tt.step)
			if tt.old != nil {
				tt.old(old)
			}
			if tt.new != nil {
				tt.new(new)
			}
			p := newProjectLinked(t, old, new, []string{"-pie", "-lstdc++"})
			res, err := p.build(p.target, "")
			if got := short(res, err); got != tt.want {
				t.Errorf("%s, want %s (%v)", got, tt.want, err)
			}
		})
	}
}

// closures returns a program that stores a lambda expression of each of two functions; struct Function in the header stands
// for std::function.
func closures(bodies ...string) map[string]string {
	m := instanceProject("2")
	const function = `
struct Function { int (*call)(void *, int); char closure[16]; };
template <class F> struct Calls { __attribute__((noipa)) static int call(void *f, int x) { return (*(F *)f)(x); } };
template <class F> __attribute__((noinline)) void keep(Function *to, F f) { to->call = Calls<F>::call; __builtin_memcpy(to->closure, (void *)&f, sizeof f); }
class Secret { int a; MEMBER public: NI int get() { return a * 7 + b; } int b; };
int secret(Secret *s) { return s->get() + EXTRA; }
`
	member, extra := "", "1"
	if len(bodies) > 2 {
		member, extra = bodies[2], "2"
	}
	m["l.cc"] = header0 + "#define MEMBER " + member + "\n#define EXTRA " + extra + "\n" + function + "Function kept[4];\n" +
		"void first(int n) { (void)n; " + bodies[0] + " }\nvoid second(int n) { (void)n; " + bodies[1] + " }\n"
	return m
}

const header0 = "#define NI __attribute__((noipa))\n"

// TestClosures changes lambda expressions, which are only distinguished by numbers.
func TestClosures(t *testing.T) {
	const one, two = "keep(&kept[0], [n](int x) { return x * 3 + n; });", "keep(&kept[1], [n](int x) { return x / 5 + n; });"
	old := closures(one+two, one)
	const call = "_ZN5CallsIZ5firstiEUliE_E4callEPvi"
	tests := []struct {
		name string
		new  map[string]string
		want string
	}{
		{"body", closures(strings.Replace(one, "3", "4", 1)+two, one), call},
		{"behind", closures(one+two+"keep(&kept[2], [n](int x) { return x * 11 + n; });", one), "_Z5firsti"},
		{"before", closures("keep(&kept[2], [n](int x) { return x * 11 + n; });"+one+two, one), "closure-renumbered"},
		{"gone", closures(two, one), "closure-renumbered struct-layout-changed"},
		{"captures", closures(strings.Replace(one, "[n](int x) { return", "[n, &kept](int x) { return kept[3].closure[0] +", 1)+
			strings.Replace(two, "[n]", "[n, m = (long)n]", 1), one), "struct-layout-changed"},
		{"member of a class", closures(one+two, one, "int c;"), "struct-layout-changed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProjectLinked(t, maps.Clone(old), tt.new, []string{"-pie", "-lstdc++"})
			res, err := p.build(p.target, "")
			if got := short(res, err); got != tt.want {
				t.Errorf("%s, want %s (%v)", got, tt.want, err)
			}
		})
	}
}

// TestCatchOther only changes the type that a function catches.
func TestCatchOther(t *testing.T) {
	old := instanceProject("2")
	old["a.cc"] += "\nstruct A { int x; }; struct B { int x; }; void g(int x) { if (x > 5) throw A{x}; if (x < 0) throw B{x}; }\n" +
		"int h(int x) { try { g(x); } catch (A &) { return 1; } return 0; }\n"
	new := maps.Clone(old)
	new["a.cc"] = strings.Replace(old["a.cc"], "catch (A &)", "catch (B &)", 1)
	p := newProjectLinked(t, old, new, []string{"-pie", "-lstdc++"})
	res, err := p.build(p.target, "")
	if got := short(res, err); got != "_Z1hi" {
		t.Errorf("%s, want _Z1hi (%v)", got, err)
	}
}

// TestOneStorage adds an inline function with a static variable to two objects, and checks that the patch has one copy.
func TestOneStorage(t *testing.T) {
	old, new := instanceProject("2"), instanceProject("2")
	for _, name := range []string{"a.cc", "b.cc"} {
		new[name] = strings.Replace(new[name]+"\n", "return i.twice()", "return fresh(x) + i.twice()", 1)
		new[name] = "__attribute__((noinline)) inline int fresh(int x) { static int n; return n += x; }\n" + new[name]
	}
	p := newProjectLinked(t, old, new, []string{"-pie", "-lstdc++"})
	res, err := p.build(p.target, "")
	if got := short(res, err); got != "_Z1bi f" {
		t.Fatalf("%s (%v)", got, err)
	}
	f, err := patch.Read(res.Data)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, s := range f.Symbols() {
		count[s.Name]++
	}
	for _, name := range []string{"_Z5freshi", "_ZZ5freshiE1n"} {
		if count[name] != 1 {
			t.Errorf("the patch has %s %d times, want once", name, count[name])
		}
	}
}
