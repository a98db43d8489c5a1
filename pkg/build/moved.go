// SPDX-License-Identifier: GPL-2.0

package build

import (
	"debug/elf"
	"errors"
	"fmt"
	"slices"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/link"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/match"
)

// mover follows definitions that move between objects.
type mover struct {
	b        *builder
	pairs    []pair
	results  map[string]*diff.Result // differing pairs, by object name
	old, new *namings
}

// settle compares the old and the new definition of a name.
func (m *mover) settle(name string) error {
	was, is := winners(m.old.defined[name]), winners(m.new.defined[name])
	if len(was) > 1 && !was[0].shared {
		was = slices.DeleteFunc(was, func(d definition) bool { return !m.isThere(d, name) }) // the others belong to other programs
	}
	if len(is) > 1 && !is[0].shared {
		is = slices.DeleteFunc(is, func(d definition) bool { return !m.isPart(d) })
	}
	stays := slices.ContainsFunc(was, func(d definition) bool {
		return slices.ContainsFunc(is, func(n definition) bool { return n.object == d.object })
	})
	switch {
	case stays:
		return nil
	case len(was) == 0 && len(m.old.defined[name]) > 0:
		return nil // belongs to other programs
	case len(was) == 0:
		return m.arrived(name, is)
	case len(is) == 0:
		return m.left(name, was)
	}
	return m.moved(name, was, is)
}

// isThere reports whether the target contains the old definition d.
func (m *mover) isThere(d definition, name string) bool {
	obj, err := m.b.old.get(d.object)
	if err != nil {
		return false
	}
	is, _ := m.b.present(use{obj: obj, sym: obj.Lookup(name)})
	return is == isSame
}

// isPart reports whether an object may be part of the target. This includes new objects.
func (m *mover) isPart(d definition) bool {
	if m.b.old.raw[d.object] == nil || m.b.newIn.objects[d.object] {
		return true
	}
	obj, err := m.b.old.get(d.object)
	return err == nil && m.b.im.Has(obj)
}

func (m *mover) refuse(code codes.Code, object, name, format string, args ...any) {
	m.b.refusals = append(m.b.refusals, diff.Refusal{Code: code, File: object, Symbol: name, Text: fmt.Sprintf(format, args...)})
}

// left handles a name that no object defines any more.
func (m *mover) left(name string, was []definition) error {
	other := ""
	if users := m.new.wanted[name]; len(users) > 0 {
		other = users[0]
	} else if lib := m.b.scope.Library(name); lib != "" && m.b.im.Exports(name) {
		other = lib
	}
	if other != "" && !was[0].shared {
		m.refuse(codes.DefinitionGone, was[0].object, name, "its definition is gone, and %s takes another one of this name from then on, which code that does not change would not; keep it, or give the other one a name of its own", other)
	}
	return nil
}

// arrived handles a name that no old object defined.
func (m *mover) arrived(name string, is []definition) error {
	d := is[0]
	if d.shared || !m.isPart(d) || m.b.im.Global(name) != nil {
		return nil // handled by checkMoved
	}
	users, lib := m.old.wanted[name], ""
	if res := m.results[d.object]; res == nil || res.New.Lookup(name).Vis == elf.STV_DEFAULT {
		lib = m.b.scope.Library(name)
	}
	switch {
	case len(users) > 0:
		m.refuse(codes.DefinitionNew, d.object, name, "%s refers to it and has it from a library, or not at all, and would take the new definition from now on, which code that does not change would not; give the new one a name of its own", users[0])
	case lib != "" && !m.b.im.Shared():
		m.refuse(codes.DefinitionNew, d.object, name, "%s has one of this name, which the new definition would replace in all libraries, and a patch does not; give the new one a name of its own", lib)
	}
	return nil
}

// moved handles a name whose effective definition moved to another object.
func (m *mover) moved(name string, was, is []definition) error {
	to, err := m.result(is[0].object)
	if err != nil {
		return err
	}
	n := to.New.Lookup(name)
	for _, d := range is[1:] {
		other, err := m.result(d.object)
		if err != nil {
			return err
		}
		if n.IsFunc() && !diff.SameInstance(to.New, other.New, name) {
			m.b.disagree(to, d.object, name, "is another one there")
			return nil
		}
	}
	var why diff.Refusals
	for _, d := range was {
		from, err := m.b.old.get(d.object)
		if err != nil {
			return err
		}
		o := from.Lookup(name)
		if !o.IsFunc() || !n.IsFunc() {
			m.moveVariable(from, o, to, n)
			return nil
		}
		loc, err := match.Locate(m.b.im, from, []*lpelf.Symbol{o})
		switch {
		case err == nil && loc.Match(o) != nil:
			return m.moveFunction(loc, o, to, n)
		case err != nil && !errors.Is(err, match.ErrNotLinked) && !errors.As(err, &why):
			return err
		case err == nil && loc.Others[name].Code != "":
			why = diff.Refusals{loc.Others[name]}
		}
	}
	if _, _, differs := diff.Move(m.object(was[0]), m.object(was[0]).Lookup(name), to.New, n, m.b.opts); differs {
		m.b.refusals = append(m.b.refusals, why...)
	}
	return nil
}

// object returns an old object that has been read.
func (m *mover) object(d definition) *diff.Object { return m.b.old.parsed[d.object] }

func (m *mover) moveVariable(from *diff.Object, o *lpelf.Symbol, to *diff.Result, n *lpelf.Symbol) {
	if o.IsFunc() != n.IsFunc() {
		m.refuse(codes.DefinitionGone, from.Name, o.Name, "it was a function or a variable and is the other in %s; give that another name", to.New.Name)
		return
	}
	for _, r := range diff.MoveVariable(from, o, to.New, n, m.b.opts) {
		r.Text = fmt.Sprintf("its definition was in %s and is here now: %s", from.Name, r.Text)
		m.b.refusals = append(m.b.refusals, r)
	}
}

// moveFunction redirects the old function to its new definition in another object.
func (m *mover) moveFunction(loc *match.Located, o *lpelf.Symbol, to *diff.Result, n *lpelf.Symbol) error {
	b := m.b
	ch, refusals, differs := diff.Move(loc.Obj, o, to.New, n, b.opts)
	if now := m.results[loc.Obj.Name]; now != nil && now.New.Lookup(o.Name) != nil && now.New.Lookup(o.Name).Bind == elf.STB_LOCAL {
		m.refuse(codes.DefinitionGone, loc.Obj.Name, o.Name, "it is static now, and other objects take the one of %s from then on; give that another name", to.New.Name)
		return nil
	}
	if !differs {
		return nil
	}
	if v := to.TakenAlong(loc.Obj, n); v != "" {
		m.refuse(codes.FunctionMoved, to.New.Name, o.Name, "the function came from %s with its static variable %s, whose value the program keeps there; leave it in its source file", loc.Obj.Name, v)
	}
	if other := m.leftBehind(loc.Obj, o, to.New, n); other != "" {
		m.refuse(codes.SharedCode, to.New.Name, o.Name, "the program has one body for this function and for %s, which does not go with it; move both, or neither", other)
	}
	copies, err := b.checkUsers(loc.Obj, o, loc.Match(o).Start)
	if err != nil {
		return err
	}
	b.refusals = append(append(b.refusals, refusals...), copies...)
	for _, in := range b.inputs {
		in.Diff.Changed = slices.DeleteFunc(in.Diff.Changed, func(ch diff.Change) bool { return ch.Old.Name == o.Name && ch.Old.Bind != elf.STB_LOCAL })
	}
	in, err := m.input(to)
	if in != nil {
		b.changed[changeKey(loc.Obj, o)] = true
		in.Moved = append(in.Moved, link.Moved{Change: ch, Loc: loc})
	}
	return err
}

// leftBehind returns the name of an alias of a moved function that did not move with it, or "".
func (m *mover) leftBehind(from *diff.Object, o *lpelf.Symbol, to *diff.Object, n *lpelf.Symbol) string {
	for _, s := range from.SymbolsIn(from.SectionOf(o)) {
		if s.Value != o.Value || s == o || !s.IsFunc() || s.Bind == elf.STB_LOCAL || len(m.new.defined[s.Name]) == 0 && m.results[from.Name].New.Lookup(s.Name) == nil {
			continue
		}
		if now := to.Lookup(s.Name); now == nil || now.Section != n.Section || now.Value != n.Value {
			return s.Name
		}
	}
	return ""
}

// result returns the comparison of an object, which may be unchanged.
func (m *mover) result(object string) (*diff.Result, error) {
	if res := m.results[object]; res != nil {
		return res, nil
	}
	i := slices.IndexFunc(m.pairs, func(p pair) bool { return p.name == object })
	res, err := comparePair(m.pairs[i], m.b.opts)
	if err == nil {
		m.results[object] = res
	}
	return res, err
}

// input returns the input for an object, and adds it to the patch if necessary. It is nil after a refusal.
func (m *mover) input(res *diff.Result) (*link.Input, error) {
	b := m.b
	for _, in := range b.inputs {
		if in.Diff.New.Name == res.New.Name {
			return in, nil
		}
	}
	in, err := b.locateData(res)
	var refusals diff.Refusals
	switch {
	case err == nil:
	case !errors.Is(err, match.ErrNotLinked) && !errors.As(err, &refusals):
		return nil, err
	case len(res.Old.Functions())+len(res.Old.Variables()) == 0:
		in = &link.Input{Diff: res}
	case len(refusals) > 0:
		b.refusals = append(b.refusals, refusals...)
		return nil, nil
	default:
		b.unknown = append(b.unknown, b.notFound(res))
		return nil, nil
	}
	b.accept(res)
	b.inputs = append(b.inputs, in)
	return in, nil
}
