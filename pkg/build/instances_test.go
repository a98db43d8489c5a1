package build

import (
	"strings"
	"testing"

	"lpatch/pkg/patch"
)

// Inline functions and templates without the C++ library. noipa keeps instances.
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

// TestInstances changes functions that several objects have an instance of.
func TestInstances(t *testing.T) {
	both := func(name, old, new string) func(map[string]string) {
		return func(m map[string]string) { m[name] = strings.Replace(m[name], old, new, 1) }
	}
	const changed = "_Z4oncei _ZN3BoxIiE5twiceEv _ZN3BoxIlE5twiceEv _ZN5Deriv1fEi"
	tests := []struct {
		name     string
		old, new func(map[string]string) // changes of the project
		step     string                  // of the new header
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

// TestOneStorage adds the same inline function with a static variable to two objects: the patch has each once.
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
