// SPDX-License-Identifier: GPL-2.0

package hunt

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// edit changes the new version in one way.
func (m *maker) edit(p *program) {
	edits := []func(*program, *version, *function) bool{
		m.changeNumber, m.changeNumber, m.addStatement, m.addStatement, m.removeStatement, m.swapStatements,
		m.addStatic, m.swapStatics, m.addFunction, m.toggleStatic, m.toggleAttribute, m.changeTable, m.addParameter, m.moveFunction,
		m.renameStatic, m.changeInitial, m.moveStatement, m.moveStatement, m.copyStatement, m.copyStatement,
		m.changeDef, m.changeDef, m.changeDef, m.remakeDef, m.changeText, m.changeMembers, m.renameFunction, m.toHeader, m.toggleOverride, m.addVirtual,
	}
	for range 20 {
		before := p.new.clone()
		v := &p.new
		live := v.live(p)
		f := live[m.IntN(len(live))]
		if edits[m.IntN(len(edits))](p, v, f) && v.sound(p) {
			return
		}
		p.new = before
	}
}

// live are the functions that run: main calls them, or one that runs does.
func (v version) live(p *program) []*function {
	var out []*function
	for _, f := range slices.Backward(v.functions) { // callers first
		if p.isCalledByMain(f) || slices.ContainsFunc(out, func(g *function) bool { return g.calls(f.name) }) {
			out = append(out, f)
		}
	}
	return out
}

// lists are all lists of statements of a function.
func (f *function) lists() []*[]*statement {
	out := []*[]*statement{&f.body}
	for i := 0; i < len(out); i++ {
		for _, s := range *out[i] {
			if s.isBlock() {
				out = append(out, &s.body)
			}
			if len(s.other) > 0 {
				out = append(out, &s.other)
			}
		}
	}
	return out
}

func (m *maker) list(f *function) *[]*statement {
	all := f.lists()
	return all[m.IntN(len(all))]
}

var number = regexp.MustCompile(`\b\d+u`)

func (m *maker) changeNumber(_ *program, _ *version, f *function) bool {
	for _, i := range m.Perm(len(f.lists())) {
		for _, s := range *f.lists()[i] {
			if at := number.FindStringIndex(s.text); at != nil && !strings.HasPrefix(s.text, "for") {
				s.text = s.text[:at[0]] + fmt.Sprintf("%du", m.IntN(1000)) + s.text[at[1]:]
				return true
			}
		}
	}
	return false
}

func (m *maker) addStatement(_ *program, v *version, f *function) bool {
	l := m.list(f)
	*l = slices.Insert(*l, m.IntN(len(*l)+1), m.statement(v, f, 1))
	return true
}

func (m *maker) removeStatement(_ *program, _ *version, f *function) bool {
	l := m.list(f)
	if len(*l) < 2 {
		return false
	}
	i := m.IntN(len(*l))
	*l = slices.Delete(slices.Clone(*l), i, i+1)
	return true
}

func (m *maker) swapStatements(_ *program, _ *version, f *function) bool {
	l := m.list(f)
	if len(*l) < 2 {
		return false
	}
	i := m.IntN(len(*l) - 1)
	(*l)[i], (*l)[i+1] = (*l)[i+1], (*l)[i]
	return true
}

// moveStatement moves a statement into another block, with the static variables in it.
func (m *maker) moveStatement(_ *program, _ *version, f *function) bool {
	from := m.list(f)
	if len(*from) < 2 {
		return false
	}
	i := m.IntN(len(*from))
	s := (*from)[i]
	*from = slices.Delete(slices.Clone(*from), i, i+1)
	to := m.list(f) // not inside of the statement, which is gone
	*to = slices.Insert(*to, m.IntN(len(*to)+1), s)
	return true
}

// copyStatement puts a copy of a statement into a block: its static variables are new ones of the same names.
func (m *maker) copyStatement(_ *program, _ *version, f *function) bool {
	from := m.list(f)
	if len(*from) == 0 {
		return false
	}
	s := cloneStatements(*from)[m.IntN(len(*from))]
	part := &function{body: []*statement{s}}
	for _, w := range part.statics() {
		m.ids++
		part.renumber(w, m.ids)
	}
	to := m.list(f)
	*to = slices.Insert(*to, m.IntN(len(*to)+1), s)
	return true
}

func (m *maker) addStatic(_ *program, v *version, f *function) bool {
	if f.file == inHeader {
		return false
	}
	w := m.variable(m.pick("count", "fresh", "n", "last"))
	if slices.ContainsFunc(f.locals, func(o *variable) bool { return o.name == w.name }) {
		return false
	}
	f.locals = slices.Insert(f.locals, m.IntN(len(f.locals)+1), w)
	f.body = slices.Insert(f.body, m.IntN(len(f.body)+1), &statement{text: fmt.Sprintf("acc += $%d++ + %s;", w.id, m.expression(v, f))})
	return true
}

// swapStatics declares statics in another order.
func (m *maker) swapStatics(_ *program, _ *version, f *function) bool {
	if len(f.locals) < 2 {
		return false
	}
	slices.Reverse(f.locals)
	return true
}

// renameStatic gives a variable another name: it is the same one, if all else is.
func (m *maker) renameStatic(_ *program, _ *version, f *function) bool {
	w := m.local(f, false)
	if w == nil {
		return false
	}
	w.name = "renamed"
	if len(distinct(slices.Clone(f.locals))) != len(f.locals) {
		w.name = fmt.Sprintf("renamed%d", w.id)
	}
	return true
}

// changeInitial changes what a static starts with: the one of the program has started. What nothing writes is no variable, but a
// number that compilers put where it is read, and changes with the code.
func (m *maker) changeInitial(_ *program, _ *version, f *function) bool {
	w := m.local(f, false)
	if w == nil || !writes(f.body, w) {
		return false
	}
	w.init[0] += 5
	return true
}

// writes tells whether statements assign to a variable.
func writes(list []*statement, w *variable) bool {
	assigned := regexp.MustCompile(fmt.Sprintf(`\$%d\b\s*([-+*^|&]?=[^=]|\+\+|--)`, w.id))
	return slices.ContainsFunc(list, func(s *statement) bool {
		return assigned.MatchString(s.text) || writes(s.body, w) || writes(s.other, w)
	})
}

func (m *maker) changeTable(_ *program, v *version, f *function) bool {
	if i := slices.IndexFunc(f.locals, func(w *variable) bool { return w.calls != nil }); i >= 0 && m.chance(50) {
		if w := m.functions(v, f); w != nil {
			f.locals[i].calls = w.calls
			return true
		}
	}
	w := m.local(f, true)
	if w == nil {
		return false
	}
	w.init[m.IntN(len(w.init))] += 7
	return true
}

func (m *maker) addFunction(p *program, v *version, f *function) bool {
	if f.file == inHeader {
		return false
	}
	i := slices.Index(v.functions, f)
	g := m.function(v, fmt.Sprintf("h%d", len(v.functions)), p.files)
	// It may call what comes before the function that calls it.
	before := version{functions: slices.Clone(v.functions[:i]), globals: v.globals}
	g.file = f.file
	g.body = m.block(&before, g, 1, 2)
	v.functions = slices.Insert(v.functions, i, g)
	f.body = append(f.body, &statement{text: fmt.Sprintf("acc += %s;", m.callOf(v, f, g))})
	return true
}

func (p *program) isCalledByMain(f *function) bool {
	return f.isMethod() || slices.Contains(p.hooks, f.name) || slices.Contains(p.entries, f.name)
}

func (m *maker) toggleStatic(p *program, v *version, f *function) bool {
	if f.file == inHeader || p.isCalledByMain(f) {
		return false
	}
	if !f.static {
		for _, g := range v.functions {
			if g.file != f.file && g.calls(f.name) {
				return false
			}
		}
	}
	f.static = !f.static
	if !f.static && f.attr == "INLINE " {
		f.attr = ""
	}
	return true
}

func (f *function) hasInTable(name string) bool {
	return slices.ContainsFunc(f.locals, func(w *variable) bool { return slices.Contains(w.calls, name) })
}

func (f *function) calls(name string) bool {
	if f.hasInTable(name) {
		return true
	}
	return f.has("#"+name+"(") || f.stores(name)
}

func (m *maker) toggleAttribute(_ *program, _ *version, f *function) bool {
	if f.file == inHeader || f.attr == "INLINE " {
		return false
	}
	f.attr = m.pick("", "NOINLINE ", "COLD ")
	return true
}

// addParameter gives a function another parameter, and its callers an argument for it.
func (m *maker) addParameter(p *program, v *version, f *function) bool {
	if p.isCalledByMain(f) || f.pair {
		return false
	}
	if slices.ContainsFunc(v.functions, func(g *function) bool { return g.hasInTable(f.name) || g.stores(f.name) }) {
		return false
	}
	f.params++
	call := "#" + f.name + "("
	for _, g := range v.functions {
		for _, l := range g.lists() {
			for _, s := range *l {
				s.text = strings.ReplaceAll(s.text, call, call+fmt.Sprintf("%du, ", m.IntN(50)))
			}
		}
	}
	return true
}

// moveFunction moves a function to another file.
func (m *maker) moveFunction(p *program, v *version, f *function) bool {
	if f.static || f.file == inHeader || p.files < 2 {
		return false
	}
	for _, g := range v.functions {
		if g.static && g.file != inHeader && f.calls(g.name) {
			return false
		}
	}
	f.file = (f.file + 1) % p.files
	return true
}
