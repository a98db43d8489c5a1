// SPDX-License-Identifier: GPL-2.0

// Package hunt looks for wrong patches: it makes random programs and random changes of them, patches the running old program,
// and compares what it does with what the change means.
package hunt

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// A program in two versions. Texts refer to static variables as $ID and to functions as #NAME, since the names depend on what
// the program is printed for: see print.go.
type program struct {
	old, new version
	hooks    []string // functions that main calls by a table of pointers; they keep their parameters, as entries do
	entries  []string // functions that main calls
	files    int
	cxx      bool
	classes  bool // Base and Derived are there
	threads  bool // main takes a step in another thread, too
	apart    bool // the versions of a file are two files, so that a compiler that notes no hashes tells where a line is
}

// version is one side.
type version struct {
	functions []*function // callees first
	defs      []*def
	members   []string // of struct pair
	virtual   bool     // Base has a virtual function more
	globals   []*variable
}

type function struct {
	name   string
	file   int // inHeader: a static inline function in the header
	static bool
	attr   string // noinline or the like, with a space behind
	params int
	pair   bool        // the first parameter is a structure
	gives  bool        // the result is a structure
	more   bool        // it takes two arguments more, by "..."
	comdat bool        // in a header of C++: inline, and not static
	locals []*variable // static variables at the top
	body   []*statement
}

const inHeader = -1

// variable is a global or a static variable. It is the same in both versions if the ID is.
type variable struct {
	id       int
	name     string
	init     []uint32 // more than one: an array
	constant bool
	macro    bool     // declared by a use of ONCE
	kind     string   // "": unsigned; see other
	calls    []string // a table of functions, constant
}

// statement is text, or text around a block.
type statement struct {
	text   string // ends with { if there is a block
	static *variable
	body   []*statement
	other  []*statement // of else
}

func (s *statement) isBlock() bool { return strings.HasSuffix(s.text, "{") }

func (v version) clone() version {
	out := version{}
	for _, f := range v.functions {
		g := *f
		g.locals = cloneVariables(f.locals)
		g.body = cloneStatements(f.body)
		out.functions = append(out.functions, &g)
	}
	for _, d := range v.defs {
		e := *d
		out.defs = append(out.defs, &e)
	}
	out.members, out.virtual = v.members, v.virtual
	out.globals = cloneVariables(v.globals)
	return out
}

func cloneVariables(list []*variable) []*variable {
	var out []*variable
	for _, v := range list {
		w := *v
		w.init, w.calls = slices.Clone(v.init), slices.Clone(v.calls)
		out = append(out, &w)
	}
	return out
}

func cloneStatements(list []*statement) []*statement {
	var out []*statement
	for _, s := range list {
		c := *s
		if s.static != nil {
			c.static = cloneVariables([]*variable{s.static})[0]
		}
		c.body, c.other = cloneStatements(s.body), cloneStatements(s.other)
		out = append(out, &c)
	}
	return out
}

func (v version) find(name string) *function {
	for _, f := range v.functions {
		if f.name == name {
			return f
		}
	}
	return nil
}

// maker makes programs.
type maker struct {
	*rand.Rand
	ids     int
	cxx     bool
	classes bool
}

func (m *maker) pick(list ...string) string { return list[m.IntN(len(list))] }

func (m *maker) chance(percent int) bool { return m.IntN(100) < percent }

// nameOfGlobal may make the variable a static member of a class.
func (m *maker) nameOfGlobal(i int) string {
	if m.cxx && m.chance(30) {
		return fmt.Sprintf("Holder%d::g", i)
	}
	return fmt.Sprintf("g%d", i)
}

func (m *maker) variable(name string) *variable {
	m.ids++
	v := &variable{id: m.ids, name: name, init: []uint32{uint32(m.IntN(3) * m.IntN(100))}}
	return v
}

// table makes a constant array of eight.
func (m *maker) table(name string) *variable {
	v := m.variable(name)
	v.constant, v.init = true, nil
	for range 8 {
		v.init = append(v.init, uint32(m.IntN(1000)))
	}
	return v
}

// programs makes a program, with some new versions.
func (m *maker) programs(n int) []*program {
	first := m.program()
	var out []*program
	for range n {
		p := *first
		p.new = p.old.clone()
		for range 1 + m.IntN(3) {
			m.edit(&p)
		}
		m.unite(&p)
		out = append(out, &p)
	}
	return out
}

// program makes a program without a new version.
func (m *maker) program() *program {
	p := &program{files: 1 + m.IntN(3), apart: m.chance(70), cxx: m.cxx, threads: m.chance(20)}
	m.classes = m.cxx && m.chance(40)
	p.classes = m.classes
	v := &p.old
	v.defs, v.members = m.defs(), []string{"x", "y"}
	for i := range 2 + m.IntN(3) {
		v.globals = append(v.globals, m.variable(m.nameOfGlobal(i)))
	}
	for i := range 3 + m.IntN(6) {
		v.functions = append(v.functions, m.function(v, fmt.Sprintf("f%d", i), p.files))
	}
	for _, f := range v.functions {
		switch {
		case f.static || f.file == inHeader || !f.plain():
		case m.chance(30):
			p.hooks = append(p.hooks, f.name)
		case m.chance(60):
			p.entries = append(p.entries, f.name)
		}
	}
	last := v.functions[len(v.functions)-1]
	last.static, last.file = false, max(last.file, 0)
	if !last.plain() {
		return m.program()
	}
	last.attr = strings.TrimPrefix(last.attr, "INLINE ")
	if !slices.Contains(p.hooks, last.name) && !slices.Contains(p.entries, last.name) {
		p.entries = append(p.entries, last.name)
	}
	if m.classes {
		m.addMethods(v, p.files)
	}
	if !p.old.sound(p) {
		return m.program()
	}
	return p
}

func (m *maker) function(v *version, name string, files int) *function {
	f := &function{name: name, file: m.IntN(files), params: 1 + m.IntN(3), static: m.chance(40), attr: m.pick("", "", "", "NOINLINE ", "INLINE ", "COLD ")}
	if m.chance(15) {
		f.file, f.attr, f.static, f.comdat = inHeader, "", true, m.cxx && m.chance(60)
	}
	f.pair, f.gives, f.more = m.chance(10), m.chance(10), m.chance(10)
	if f.file != inHeader {
		for range m.IntN(3) {
			f.locals = append(f.locals, m.variable(m.pick("count", "last", "n")))
		}
		if m.chance(30) {
			f.locals = append(f.locals, m.table("table"))
		}
		if w := m.functions(v, f); w != nil && m.chance(25) {
			f.locals = append(f.locals, w)
		}
		for range m.IntN(2) {
			f.locals = append(f.locals, m.other())
		}
		f.locals = distinct(f.locals)
	}
	if f.attr == "INLINE " {
		f.static = true
	}
	f.body = m.block(v, f, 2, 2+m.IntN(4))
	return f
}

// distinct drops variables of the same name in one scope.
func distinct(list []*variable) []*variable {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(v *variable) bool {
		had := seen[v.name]
		seen[v.name] = true
		return had
	})
}

func (m *maker) block(v *version, f *function, depth, n int) []*statement {
	var out []*statement
	for range n {
		out = append(out, m.statement(v, f, depth))
	}
	return out
}

func (m *maker) statement(v *version, f *function, depth int) *statement {
	kind := m.IntN(15)
	if m.chance(30) {
		if s := m.snippet(v, f, depth); s != nil {
			return s
		}
	}
	if depth == 0 {
		kind = m.IntN(8)
	}
	switch kind {
	case 0, 1:
		return &statement{text: fmt.Sprintf("acc = %s;", m.expression(v, f))}
	case 2:
		if w := m.local(f, false); w != nil && m.chance(40) {
			return &statement{text: fmt.Sprintf("$%d = %du;", w.id, m.IntN(10))}
		}
		return &statement{text: fmt.Sprintf("%s += %s;", v.globals[m.IntN(len(v.globals))].name, m.expression(v, f))}
	case 3, 4:
		if w := m.local(f, false); w != nil {
			return &statement{text: fmt.Sprintf("$%d += %s;", w.id, m.expression(v, f))}
		}
	case 5:
		if i := slices.IndexFunc(f.locals, func(w *variable) bool { return w.calls != nil }); i >= 0 && m.chance(50) {
			return &statement{text: fmt.Sprintf("acc ^= $%d[acc & 3](%s);", f.locals[i].id, m.expression(v, f))}
		}
		if call := m.call(v, f); call != "" {
			return &statement{text: fmt.Sprintf("acc ^= %s;", call)}
		}
	case 6:
		return &statement{text: fmt.Sprintf("say(%q, acc);", m.pick("a", "bc", "some text", "%", "other text"))}
	case 7:
		if f.file != inHeader && m.chance(40) {
			w := m.variable("told")
			w.macro, w.init = true, []uint32{0}
			return &statement{text: fmt.Sprintf("ONCE($%d %q, %s);", w.id, m.pick("first", "rare", "once"), m.expression(v, f)), static: w}
		}
	case 8, 9, 10, 11, 12, 13, 14:
		if s := m.compound(v, f, depth, kind); s != nil {
			return s
		}
	}
	return &statement{text: fmt.Sprintf("acc += %s;", m.expression(v, f))}
}

// compound makes a statement with others in it, or nil.
func (m *maker) compound(v *version, f *function, depth, kind int) *statement {
	switch kind {
	case 8, 9:
		s := &statement{text: fmt.Sprintf("if (%s %s %du) {", m.expression(v, f), m.pick("<", ">", "==", "!=", "&"), m.IntN(100)), body: m.block(v, f, depth-1, 1+m.IntN(2))}
		if m.chance(40) {
			s.other = m.block(v, f, depth-1, 1+m.IntN(2))
		}
		return s
	case 10:
		return &statement{text: fmt.Sprintf("for (unsigned i = 0; i < %du; i++) {", 1+m.IntN(5)), body: m.block(v, f, depth-1, 1+m.IntN(2))}
	case 11, 12:
		if f.file != inHeader {
			w := m.variable(m.pick("count", "n", "once"))
			return &statement{text: "{", static: w, body: []*statement{{text: fmt.Sprintf("$%d += %s;", w.id, m.expression(v, f))}, {text: fmt.Sprintf("acc += $%d;", w.id)}}}
		}
	case 13:
		return m.choose(v, f, depth)
	case 14:
		if f.file != inHeader {
			w := m.variable("once")
			w.init = []uint32{0}
			return &statement{text: fmt.Sprintf("if (%s & 1) {", m.expression(v, f)), static: w, body: []*statement{{text: fmt.Sprintf("if (!$%d) {", w.id),
				body: []*statement{{text: fmt.Sprintf("$%d = 1;", w.id)}, {text: fmt.Sprintf("say(%q, acc);", m.pick("first", "once"))}}}}}
		}
	}
	return nil
}

// choose makes a switch, of which compilers make tables.
func (m *maker) choose(v *version, f *function, depth int) *statement {
	s := &statement{text: fmt.Sprintf("switch (%s & 7) {", m.expression(v, f))}
	for i := range 3 + m.IntN(5) {
		s.body = append(s.body, &statement{text: fmt.Sprintf("case %d: {", i), body: append(m.block(v, f, depth-1, 1), &statement{text: m.pick("break;", "break;", "acc++;")})})
	}
	return s
}

// local picks a static variable at the top of the function.
func (m *maker) local(f *function, constant bool) *variable {
	var list []*variable
	for _, w := range f.locals {
		if w.constant == constant && w.calls == nil && w.kind == "" {
			list = append(list, w)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[m.IntN(len(list))]
}

// functions makes a table of functions that a function may call, all of one parameter.
func (m *maker) functions(v *version, f *function) *variable {
	var list []string
	for _, g := range v.functions {
		if g.visible(f) && g.params == 1 && g.plain() {
			list = append(list, g.name)
		}
	}
	if len(list) == 0 {
		return nil
	}
	w := m.variable("ops")
	w.constant, w.init = true, nil
	for range 4 {
		w.calls = append(w.calls, m.pick(list...))
	}
	return w
}

// call calls a function that comes before, so that there is no recursion.
func (m *maker) call(v *version, f *function) string {
	var list []*function
	for _, g := range v.functions {
		if g == f || g.name == f.name {
			break
		}
		if g.visible(f) {
			list = append(list, g)
		}
	}
	if len(list) == 0 {
		return ""
	}
	return m.callOf(v, f, list[m.IntN(len(list))])
}

// callOf calls a function from another one.
func (m *maker) callOf(v *version, f, g *function) string {
	var args []string
	for range g.params {
		args = append(args, m.expression(v, f))
	}
	if g.pair {
		args[0] = "pair_of(" + args[0] + ")"
	}
	if g.more {
		args = append(args, m.expression(v, f), m.expression(v, f))
	}
	call := fmt.Sprintf("#%s(%s)", g.name, strings.Join(args, ", "))
	if g.gives {
		call += m.pick(".x", ".y")
	}
	return call
}

// plain tells whether parameters and result are numbers.
func (f *function) plain() bool { return !f.pair && !f.gives && !f.more }

func (m *maker) expression(v *version, f *function) string {
	a := m.operand(v, f)
	if m.chance(40) {
		return a
	}
	return fmt.Sprintf("(%s %s %s)", a, m.pick("+", "-", "*", "^", "|", "&"), m.operand(v, f))
}

func (m *maker) operand(v *version, f *function) string {
	if f.more && m.chance(20) {
		return m.pick("e0", "e1")
	}
	switch m.IntN(6) {
	case 0:
		return "acc"
	case 1:
		return fmt.Sprintf("%du", m.IntN(1000))
	case 2:
		return v.globals[m.IntN(len(v.globals))].name
	case 3:
		if w := m.local(f, true); w != nil {
			return fmt.Sprintf("$%d[%s & 7]", w.id, m.pick("acc", "p0"))
		}
	case 4:
		if w := m.local(f, false); w != nil {
			return fmt.Sprintf("$%d", w.id)
		}
	}
	return fmt.Sprintf("p%d", m.IntN(f.params))
}

// names of the statics that a function has, for the printer.
func (f *function) statics() map[int]*variable {
	out := map[int]*variable{}
	for _, w := range f.locals {
		out[w.id] = w
	}
	var walk func([]*statement)
	walk = func(list []*statement) {
		for _, s := range list {
			if s.static != nil {
				out[s.static.id] = s.static
			}
			walk(s.body)
			walk(s.other)
		}
	}
	walk(f.body)
	return out
}

func sortedIDs(m map[int]*variable) []int { return slices.Sorted(maps.Keys(m)) }
