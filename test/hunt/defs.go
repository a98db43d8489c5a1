// SPDX-License-Identifier: GPL-2.0

package hunt

import (
	"fmt"
	"slices"
	"strings"
)

// def is a definition in the header that has no state: a constant, a macro, a type, an inline function or a template. Texts refer to
// its names as @NAME, since the oracle has those of both versions.
type def struct {
	kind, name string
	text       string
}

// defKind makes a definition, and a statement that uses it.
type defKind struct {
	cxx  bool
	text func(m *maker, name string) string
	use  func(m *maker, name, x string) string // x is an expression
}

var defKinds = map[string]defKind{
	"enum": {text: func(m *maker, n string) string {
		return fmt.Sprintf("enum { @%s_a = %du, @%s = %du, @%s_c };", n, m.IntN(50), n, m.IntN(100), n)
	}, use: func(_ *maker, n, x string) string { return fmt.Sprintf("acc += %s * @%s + @%s_c;", x, n, n) }},
	"macro": {text: func(m *maker, n string) string { return fmt.Sprintf("#define @%s %du", n, m.IntN(100)) },
		use: func(_ *maker, n, x string) string { return fmt.Sprintf("if (%s > @%s) acc ^= @%s;", x, n, n) }},
	"constant": {text: func(m *maker, n string) string {
		return fmt.Sprintf("static const unsigned @%s = %du;", n, m.IntN(100))
	},
		use: func(_ *maker, n, x string) string { return fmt.Sprintf("acc += %s ^ @%s;", x, n) }},
	"inline": {text: func(m *maker, n string) string {
		body := m.pick(fmt.Sprintf("return x * %du + n;", m.IntN(10)),
			fmt.Sprintf("unsigned r = n; for (unsigned i = 0; i < %du; i++) r += x ^ i; return r;", m.IntN(9)),
			fmt.Sprintf("if (x %% 3u == %du) return n; return n ? @%s(x, n / 2u) + 1u : x;", m.IntN(3), n))
		return fmt.Sprintf("static inline unsigned @%s(unsigned x, unsigned n) { %s }", n, body)
	}, use: func(m *maker, n, x string) string { return fmt.Sprintf("acc ^= @%s(%s, %du);", n, x, m.IntN(20)) }},
	"function macro": {text: func(m *maker, n string) string {
		return fmt.Sprintf("#define @%s(x) ((x) * %du + %du)", n, m.IntN(9), m.IntN(9))
	},
		use: func(_ *maker, n, x string) string { return fmt.Sprintf("acc += @%s(%s);", n, x) }},
	"struct": {text: func(m *maker, n string) string {
		return fmt.Sprintf("struct @%s { %s };\nstatic inline struct @%s @%s_of(unsigned a, unsigned b) { struct @%s r; r.x = a + %du; r.y = b; return r; }\n"+
			"static NOINLINE unsigned @%s_sum(struct @%s p) { return p.x * %du + p.y; }", n,
			m.pick("unsigned x, y;", "unsigned y, x;", "unsigned x, w, y;", "unsigned long x; unsigned y;", "unsigned short x; unsigned y, z;"),
			n, n, n, m.IntN(9), n, n, m.IntN(9))
	}, use: func(m *maker, n, x string) string {
		return fmt.Sprintf("{ struct @%s v = @%s_of(acc, %s); v.x ^= %du; acc += @%s_sum(v); }", n, n, x, m.IntN(99), n)
	}},
	"bits": {text: func(m *maker, n string) string {
		return fmt.Sprintf("struct @%s { unsigned a : %d, b : %d; };\nunion @%s_u { struct @%s s; unsigned u; };", n, 3+m.IntN(9), 3+m.IntN(9), n, n)
	}, use: func(m *maker, n, x string) string {
		return fmt.Sprintf("{ union @%s_u v; v.u = acc; v.s.b += %s; acc += v.u ^ v.s.a * %du; }", n, x, m.IntN(99))
	}},
	"template": {cxx: true, text: func(m *maker, n string) string {
		text := fmt.Sprintf("template <typename T> %sinline T @%s(T x, unsigned n = %du) { return (T)(x * %du + n); }", m.pick("", "static "), n, m.IntN(20), m.IntN(9))
		if m.chance(40) {
			text += fmt.Sprintf("\ntemplate <> inline unsigned char @%s<unsigned char>(unsigned char x, unsigned n) { return (unsigned char)(x ^ n ^ %du); }", n, m.IntN(99))
		}
		return text
	}, use: func(m *maker, n, x string) string {
		return fmt.Sprintf("acc += @%s<%s>(%s%s);", n, m.pick("unsigned", "unsigned char", "unsigned long"), x, m.pick("", "", ", 7u"))
	}},
	"guard": {cxx: true, text: func(m *maker, n string) string {
		return fmt.Sprintf("struct @%s {\n\tunsigned &v;\n\texplicit @%s(unsigned &x) : v(x) { v += %du; }\n\t~@%s() { v ^= %du; %s }\n};", n, n, m.IntN(99), n, m.IntN(99), m.pick("", `say("left", v);`))
	}, use: func(m *maker, n, x string) string {
		return fmt.Sprintf("{ @%s guard(acc); acc += %s; %s }", n, x, m.pick("", "", fmt.Sprintf("if (acc %% 5u == %du) return acc;", m.IntN(5))))
	}},
	"virtual": {cxx: true, text: func(m *maker, n string) string {
		more := m.pick("", "", "\tvirtual unsigned more(unsigned x) { return x; }\n")
		over := fmt.Sprintf("\tunsigned area(unsigned x) override { return x * %du; }\n", m.IntN(9))
		return fmt.Sprintf("struct @%s_b {\n%s\tvirtual unsigned area(unsigned x) { return x + %du; }\n\tvirtual unsigned edge(unsigned x) { return area(x) ^ %du; }\n\tvirtual ~@%s_b() {}\n};\n"+
			"struct @%s : @%s_b {\n%s};", n, more, m.IntN(99), m.IntN(99), n, n, n, m.pick(over, over, ""))
	}, use: func(m *maker, n, x string) string {
		return fmt.Sprintf("{ @%s d; @%s_b b, &r = acc & 1u ? b : d; acc += r.%s(%s); }", n, n, m.pick("area", "edge"), x)
	}},
	"apply": {cxx: true, text: func(m *maker, n string) string {
		return fmt.Sprintf("template <typename F> static unsigned @%s(F f, unsigned n)\n{\n\tunsigned r = %du;\n\tfor (unsigned i = 0; i < n; i++)\n\t\tr += f(i)%s;\n\treturn r;\n}", n, m.IntN(9), m.pick("", " ^ i"))
	}, use: func(m *maker, n, x string) string {
		return fmt.Sprintf("acc = @%s([&](unsigned i) { return acc * i + %s + %du; }, %du);", n, x, m.IntN(99), 1+m.IntN(4))
	}},
	"constants in a class": {cxx: true, text: func(m *maker, n string) string {
		return fmt.Sprintf("struct @%s {\n\tstatic constexpr unsigned limit = %du;\n\tenum class mode : unsigned { low = %du, high = 77u };\n\tstatic unsigned cut(unsigned x) { return x > limit ? limit : x; }\n};", n, m.IntN(99), m.IntN(9))
	}, use: func(_ *maker, n, x string) string {
		return fmt.Sprintf("acc += @%s::cut(%s) + (unsigned)@%s::mode::low;", n, x, n)
	}},
}

// defs makes the definitions of a header.
func (m *maker) defs() []*def {
	var out []*def
	for _, kind := range defKindNames(m.cxx) {
		if m.chance(25) {
			name := fmt.Sprintf("K%d", len(out))
			out = append(out, &def{kind, name, defKinds[kind].text(m, name)})
		}
	}
	return out
}

func defKindNames(cxx bool) []string {
	var out []string
	for name, k := range defKinds {
		if !k.cxx || cxx {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// useDef is a statement that uses something of the header, or nil.
func (m *maker) useDef(v *version, f *function) *statement {
	if len(v.defs) == 0 {
		return nil
	}
	d := v.defs[m.IntN(len(v.defs))]
	return &statement{text: defKinds[d.kind].use(m, d.name, m.expression(v, f))}
}

// usedDef picks a definition that a function refers to, or nil.
func (m *maker) usedDef(v *version, f *function) *def {
	for _, i := range m.Perm(len(v.defs)) {
		for _, l := range f.lists() {
			if slices.ContainsFunc(*l, func(s *statement) bool { return strings.Contains(s.text, "@"+v.defs[i].name) }) {
				return v.defs[i]
			}
		}
	}
	return nil
}

// changeDef changes a number of a definition.
func (m *maker) changeDef(_ *program, v *version, f *function) bool {
	d := m.usedDef(v, f)
	if d == nil {
		return false
	}
	all := number.FindAllStringIndex(d.text, -1)
	if len(all) == 0 {
		return false
	}
	at := all[m.IntN(len(all))]
	d.text = d.text[:at[0]] + fmt.Sprintf("%du", 1+m.IntN(9)) + d.text[at[1]:]
	return true
}

// remakeDef makes a definition anew: other members, another body, a specialisation more or less.
func (m *maker) remakeDef(_ *program, v *version, f *function) bool {
	d := m.usedDef(v, f)
	if d == nil {
		return false
	}
	d.text = defKinds[d.kind].text(m, d.name)
	return true
}

// layoutOK are options that say of the structures which changed that no variable has them, if that is so.
func (p *program) layoutOK() []string {
	var out []string
	for i, d := range p.new.defs {
		if (d.kind == "struct" || d.kind == "bits") && d.text != p.old.defs[i].text {
			out = append(out, "--layout-ok", d.name)
		}
	}
	if slices.Equal(p.old.members, p.new.members) {
		return out
	}
	for _, f := range p.old.functions {
		for _, w := range f.statics() {
			if w.kind == "pair" {
				return out
			}
		}
	}
	return append(out, "--layout-ok", "pair")
}
