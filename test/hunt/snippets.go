// SPDX-License-Identifier: GPL-2.0

package hunt

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// snippet makes a statement of the kinds that need no other place than where they are, or nil.
func (m *maker) snippet(v *version, f *function, depth int) *statement {
	x := m.expression(v, f)
	a, b := m.IntN(20), m.IntN(100)
	text := ""
	switch m.IntN(14) {
	case 0:
		text = fmt.Sprintf("{ __label__ again; unsigned k = %du; again: acc += %s ^ k; if (k--) goto again; }", a%5, x)
	case 1:
		text = fmt.Sprintf("if (%s %% 8u == %du) goto out;", x, a%8)
	case 2:
		text = fmt.Sprintf("if (%s %% 8u == %du) return acc;", x, a%8)
	case 3:
		text = fmt.Sprintf("switch (%s %% 5u) { case 0: acc += %du; /* on */ case 1: acc ^= %du; break; case 2: acc += p0; /* on */ default: acc -= %du; }", x, a, b, a)
	case 4:
		text = fmt.Sprintf("{ union { unsigned u; unsigned char c[4]; } u; u.u = %s; u.c[acc & 3] += %du; acc += u.u; }", x, a)
	case 5:
		text = fmt.Sprintf("{ double d = %s %% 100u * 0.5; d = d * %du / 8u + 1.25; acc += (unsigned)d; }", x, b)
	case 6:
		text = fmt.Sprintf("{ static const char *const names[] = { %q, %q, %q }; say(names[%s %% 3u], acc); }", m.word(), m.word(), m.word(), x)
	case 7:
		return m.recursion(v, f)
	case 8:
		text = m.pointer(v, f)
	case 9, 10:
		return m.useOther(v, f)
	case 11:
		text = fmt.Sprintf("{ struct pair q = pair_of(%s); q.x ^= q.y + %du; acc += q.x; }", x, a)
	default:
		if m.cxx {
			return m.snippetOfCxx(v, f, depth, x)
		}
		return m.useDef(v, f)
	}
	if text == "" {
		return nil
	}
	return &statement{text: text}
}

func (m *maker) word() string {
	return m.pick("one", "another word", "x", "a longer text, of more than a few letters", "tail", "long tail", "%d", "")
}

// recursion is limited by fuel, which main gives for each step.
func (m *maker) recursion(v *version, f *function) *statement {
	if f.isMethod() {
		return m.callMethod(v, f)
	}
	return &statement{text: fmt.Sprintf("if (fuel) { fuel--; acc += %s; }", m.callOf(v, f, f))}
}

// pointer stores a function in a global variable, or calls what is there.
func (m *maker) pointer(v *version, f *function) string {
	var list []string
	for _, g := range v.functions {
		if g == f || g.name == f.name {
			break
		}
		if g.visible(f) && g.plain() && g.params == 1 {
			list = append(list, g.name)
		}
	}
	if len(list) > 0 && m.chance(50) {
		return fmt.Sprintf("fp = #%s;", m.pick(list...))
	}
	return fmt.Sprintf("if (fp && fuel) { fuel--; acc += fp(%s); }", m.expression(v, f))
}

// stores tells whether a function is stored by one.
func (f *function) stores(name string) bool {
	return f.has("fp = #" + name + ";")
}

func (f *function) has(text string) bool {
	return slices.ContainsFunc(f.lists(), func(l *[]*statement) bool {
		return slices.ContainsFunc(*l, func(s *statement) bool { return strings.Contains(s.text, text) })
	})
}

// useOther uses a static variable that is no number, or nil.
func (m *maker) useOther(v *version, f *function) *statement {
	var list []*variable
	for _, w := range f.locals {
		if w.kind != "" {
			list = append(list, w)
		}
	}
	if len(list) == 0 {
		return nil
	}
	w, x := list[m.IntN(len(list))], m.expression(v, f)
	text := ""
	switch w.kind {
	case "float":
		text = m.pick(fmt.Sprintf("$%d += %s %% 50u * 0.25;", w.id, x), fmt.Sprintf("acc ^= (unsigned)(long)$%d;", w.id))
	case "text":
		text = m.pick(fmt.Sprintf("$%d = %q;", w.id, m.word()), fmt.Sprintf("say($%d, acc);", w.id), fmt.Sprintf("acc += (unsigned char)$%d[0];", w.id))
	case "pair":
		text = fmt.Sprintf("$%d.%s += %s; acc ^= $%d.%s;", w.id, m.pick("x", "y"), x, w.id, m.pick("x", "y"))
	case "thread":
		text = fmt.Sprintf("$%d += %s; acc ^= $%d;", w.id, x, w.id)
	}
	return &statement{text: text}
}

// other makes a static variable of another type.
func (m *maker) other() *variable {
	kind := m.pick("float", "text", "pair", "thread")
	w := m.variable(map[string]string{"float": "ratio", "text": "name", "pair": "both", "thread": "mine"}[kind])
	w.kind = kind
	return w
}

func (s side) declareOther(w *variable, name string) string {
	n := w.init[0]
	switch w.kind {
	case "float":
		return fmt.Sprintf("static double %s = %d.5;", name, n)
	case "text":
		return fmt.Sprintf("static const char *%s = \"start%d\";", name, n)
	case "thread":
		return fmt.Sprintf("static __thread unsigned %s = %d;", name, n)
	}
	values := map[string]string{"x": fmt.Sprint(n), "y": fmt.Sprint(n + 1), "w": "0"}
	var list []string
	for _, member := range s.members() {
		list = append(list, values[member])
	}
	return fmt.Sprintf("static struct pair %s = { %s };", name, strings.Join(list, ", "))
}

// members are those of struct pair: in the oracle all that there are, so that both versions can have one variable.
func (s side) members() []string {
	if s.oracle != "" {
		return []string{"x", "y", "w"}
	}
	return s.v.members
}

func (s side) pair() string {
	return fmt.Sprintf("struct pair { unsigned %s; };\nstatic inline struct pair pair_of(unsigned a) { struct pair r; r.x = a; r.y = a * 3u + 1u; return r; }\n", strings.Join(s.members(), ", "))
}

func (m *maker) snippetOfCxx(v *version, f *function, depth int, x string) *statement {
	if m.classes && m.chance(25) {
		return m.callMethod(v, f)
	}
	switch m.IntN(5) {
	case 0:
		return &statement{text: fmt.Sprintf("{ auto f = [%s](unsigned i) { return acc * i + %du; }; acc ^= f(%s) + f(3u); }", m.pick("&", "="), m.IntN(99), x)}
	case 1:
		return &statement{text: fmt.Sprintf("if (%s %% 9u == %du) throw acc;", x, m.IntN(9))}
	case 2:
		if depth > 0 {
			handler := append(m.block(v, f, depth-1, 1), &statement{text: "acc ^= e;"})
			return &statement{text: "try {", body: m.block(v, f, depth-1, 1+m.IntN(2)), other: handler}
		}
	case 3:
		return &statement{text: fmt.Sprintf("{ unsigned &r = acc; r += %s; unsigned *const q = new unsigned(r); acc ^= *q + %du; delete q; }", x, m.IntN(99))}
	}
	return m.useDef(v, f)
}

var literal = regexp.MustCompile(`"[^"]*"`)

// changeText changes a string constant.
func (m *maker) changeText(_ *program, _ *version, f *function) bool {
	for _, i := range m.Perm(len(f.lists())) {
		for _, s := range *f.lists()[i] {
			if at := literal.FindStringIndex(s.text); at != nil {
				s.text = s.text[:at[0]] + fmt.Sprintf("%q", m.word()) + s.text[at[1]:]
				return true
			}
		}
	}
	return false
}

// changeMembers changes struct pair.
func (m *maker) changeMembers(_ *program, v *version, _ *function) bool {
	if m.chance(70) {
		return false
	}
	v.members = [][]string{{"y", "x"}, {"x", "y", "w"}, {"w", "x", "y"}, {"x", "w", "y"}}[m.IntN(4)]
	return true
}

// renameFunction gives a function another name. It has no variables of its own, since a function of another name has others.
func (m *maker) renameFunction(p *program, v *version, f *function) bool {
	if p.isCalledByMain(f) || slices.ContainsFunc(v.functions, func(g *function) bool { return g.stores(f.name) }) {
		return false
	}
	for _, w := range f.statics() {
		if !w.constant {
			return false
		}
	}
	was, now := regexp.MustCompile("#"+f.name+`\b`), "renamed_"+f.name
	for _, g := range v.functions {
		for _, l := range g.lists() {
			for _, s := range *l {
				s.text = was.ReplaceAllString(s.text, "#"+now)
			}
		}
		for _, w := range g.locals {
			for i := range w.calls {
				if w.calls[i] == f.name {
					w.calls[i] = now
				}
			}
		}
	}
	f.name = now
	return true
}

// toHeader makes a function an inline one of the header, and one of the header one of a file.
func (m *maker) toHeader(p *program, _ *version, f *function) bool {
	switch {
	case p.isCalledByMain(f) || len(f.statics()) > 0:
		return false
	case f.file == inHeader:
		f.file, f.static = m.IntN(p.files), false
	default:
		f.file, f.attr, f.static = inHeader, "", true
	}
	return true
}
