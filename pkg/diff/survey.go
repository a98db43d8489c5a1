// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/dwarf"
	"debug/elf"
	"hash/maphash"
	"maps"
	"slices"
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/debuginfo"
	"lpatch/pkg/lpelf"
)

// Survey compares the types that changed code depends on across all objects of a program. A C++ object does not necessarily
// describe the classes that its code uses: compilers emit a description where the vtable or a constructor is. Likewise, only
// the object that defines a variable may describe its type.
type Survey struct {
	opts      Options
	seed      maphash.Seed
	mentioned map[string]bool // types and symbols named by objects with changed code
	used      map[string]bool // types named by the changed code itself
	old, new  programTypes
	problems  map[string]Refusal // refusals by name, including those for enumerations and variables
}

// programTypes holds the types of all objects of one version.
type programTypes struct {
	layouts  map[string]map[uint64]bool // type -> hashes of its layouts
	where    map[string]string          // type -> an object that describes it
	declared map[string]bool
	reach    map[string][]string // type -> types that it contains or points to; symbol -> types of the variable or function

	libraries map[string]bool     // directories of the standard library headers
	standard  map[string]string   // standard library type -> directory of its declaration
	arguments map[string][]string // standard library type -> template arguments
}

// NewSurvey returns an empty Survey.
func NewSurvey(opts Options) *Survey {
	side := func() programTypes {
		return programTypes{map[string]map[uint64]bool{}, map[string]string{}, map[string]bool{}, map[string][]string{},
			map[string]bool{}, map[string]string{}, map[string][]string{}}
	}
	return &Survey{opts, maphash.MakeSeed(), map[string]bool{}, map[string]bool{}, side(), side(), map[string]Refusal{}}
}

// AddChanged adds a pair of objects with changed code. r is the result of Compare.
func (s *Survey) AddChanged(r *Result) {
	for _, sym := range r.New.Symbols {
		if sym.Name != "" && sym.Bind != elf.STB_LOCAL {
			s.mentioned[sym.Name] = true
		}
	}
	if info, err := r.New.Debug(); err == nil {
		info.Walk(func(e *debuginfo.Entry) {
			if name := globalType(e); name != "" && (!e.IsDefined() || !e.IsC()) {
				s.mentioned[name] = true
			}
		})
		for _, c := range r.Changed {
			s.use(r.New, info, c.New)
		}
		for _, name := range r.Added {
			s.use(r.New, info, r.New.Lookup(name))
		}
	}
	s.note(&s.old, r.Old)
	s.note(&s.new, r.New)
}

// use records the types that f names, and those of the variables and functions that it refers to.
func (s *Survey) use(o *Object, info *debuginfo.Info, f *lpelf.Symbol) {
	note := func(e *debuginfo.Entry) {
		for _, name := range typesIn(e.Type()) {
			s.used[name] = true
		}
	}
	if e := info.Function(int(f.Section), f.Value); e != nil {
		e.Uses(note)
	}
	sec := o.SectionOf(f)
	if sec == nil {
		return
	}
	for _, ref := range o.RefsIn(sec, f.Value, f.Size) {
		if ref.Sym == nil {
			continue
		}
		s.used[ref.Sym.Name] = true
		if e := info.Variable(int(ref.Sym.Section), ref.Sym.Value, baseName(ref.Sym.Name)); e != nil {
			note(e)
		}
	}
}

// AddDiffering adds a pair of objects that differ, even if only in their debug information.
func (s *Survey) AddDiffering(old, new *Object) {
	c := newComparer(old, new, s.opts)
	c.correlate()
	c.res.Refusals = nil
	before, err1 := old.Debug()
	now, err2 := new.Debug()
	if err1 == nil && err2 == nil {
		c.compareEnums(before, now)
		c.compareVariableTypes(before, now)
	}
	for _, r := range c.res.Refusals {
		s.problems[r.Symbol] = r
	}
	s.note(&s.old, old)
	s.note(&s.new, new)
}

// AddSame adds an object that is identical in both versions.
func (s *Survey) AddSame(o *Object) {
	s.note(&s.old, o)
	s.note(&s.new, o)
}

func (s *Survey) note(p *programTypes, o *Object) {
	info, err := o.Debug()
	if err != nil {
		return // refused by Compare where it matters
	}
	p.noteLibrary(info)
	info.Walk(func(e *debuginfo.Entry) {
		if e.Tag == dwarf.TagVariable || e.Tag == dwarf.TagSubprogram {
			p.noteSymbol(e)
			return
		}
		name := globalType(e)
		switch {
		case name == "":
			return
		case !e.IsDefined():
			p.declared[name] = true
			return
		}
		p.where[name] = o.Name
		p.noteStandard(name, e)
		if e.Tag == dwarf.TagEnumerationType {
			return // compared by AddDiffering
		}
		if p.layouts[name] == nil {
			p.layouts[name] = map[uint64]bool{}
		}
		p.layouts[name][maphash.String(s.seed, e.Content())] = true
		for _, m := range membersOf(e) {
			p.add(name, typesIn(m.Type()))
		}
	})
}

// noteSymbol records the types of a variable or function that other objects may refer to: clang only describes them in the
// object that defines the symbol.
func (p *programTypes) noteSymbol(e *debuginfo.Entry) {
	symbol := e.Symbol()
	if symbol == "" {
		return
	}
	p.add(symbol, typesIn(e.Type()))
	for _, c := range e.Children {
		if c.Tag == dwarf.TagFormalParameter {
			p.add(symbol, typesIn(c.Type()))
		}
	}
}

func (p *programTypes) add(name string, types []string) {
	for _, t := range types {
		if !slices.Contains(p.reach[name], t) {
			p.reach[name] = append(p.reach[name], t)
		}
	}
}

// globalType returns the name of a structure or enumeration if it denotes the same type in all objects, else "". In C++ this
// holds outside of functions and unnamed namespaces, in C only by convention; see AddChanged.
func globalType(e *debuginfo.Entry) string {
	if !e.IsStruct() && e.Tag != dwarf.TagEnumerationType || e.IsClosure() || e.InFunction() {
		return ""
	}
	name := e.Qualified()
	if strings.Contains(name, debuginfo.Unnamed) || isOfClosure(name) {
		return ""
	}
	return name
}

// typesIn returns the names of the types that e consists of or points to.
func typesIn(e *debuginfo.Entry) []string {
	for range 16 { // more levels of pointers and arrays than occur in practice
		if e == nil {
			return nil
		}
		if name := globalType(e); name != "" {
			return []string{name}
		}
		if e.Tag == dwarf.TagSubroutineType || e.IsStruct() {
			var all []string
			for _, c := range e.Children {
				all = append(all, typesIn(c.Type())...)
			}
			return all
		}
		e = e.Type()
	}
	return nil
}

// reached returns from and all types and symbols that are reachable from it.
func (s *Survey) reached(from map[string]bool) map[string]bool {
	seen := map[string]bool{}
	todo := slices.Collect(maps.Keys(from))
	for len(todo) > 0 {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !seen[name] {
			seen[name] = true
			todo = append(append(todo, s.old.reach[name]...), s.new.reach[name]...)
			todo = append(todo, s.arguments(name)...)
		}
	}
	return seen
}

// OneSided reports whether changed code uses a type that only the objects of one version describe. In this case the unchanged
// objects have to be added as well (AddSame).
func (s *Survey) OneSided() bool {
	for name := range s.reached(s.used) {
		if (len(s.old.layouts[name]) == 0) != (len(s.new.layouts[name]) == 0) {
			return true
		}
	}
	return false
}

// Refusals returns the types that changed code depends on and that changed or whose changes are unknown; allowed are those of
// them that Options.LayoutOK names.
func (s *Survey) Refusals() (list Refusals, allowed []string) {
	used := s.reached(s.used)
	for name := range s.reached(s.mentioned) {
		if r, ok := s.problems[name]; ok {
			list = append(list, r)
		}
		text := s.change(name, used[name])
		switch {
		case text == "":
			continue
		case slices.Contains(s.opts.LayoutOK, name):
			allowed = append(allowed, name)
			continue
		}
		where := s.new.where[name]
		if where == "" {
			where = s.old.where[name]
		}
		list = append(list, Refusal{Code: codes.StructLayoutChanged, File: where, Symbol: name,
			Text: text + ", or say --layout-ok '" + name + "' if no old one is seen by new code"})
	}
	return list.Sorted(), allowed
}

// describeAll tells how to make compilers describe classes wherever they are used.
const describeAll = "compile old and new with -fno-eliminate-unused-debug-types -femit-class-debug-always (gcc) or -fstandalone-debug (clang)"

// change describes how a structure changed, or why this is not known; "" if it did not change.
func (s *Survey) change(name string, used bool) string {
	before, now := s.old.layouts[name], s.new.layouts[name]
	gone := false // additional layouts are possible: in C, another object may use the name for another type
	for h := range before {
		gone = gone || !now[h]
	}
	switch {
	case gone && len(now) > 0:
		return "the structure changed, and the program has objects of the old layout; keep it as it was and store what is new elsewhere"
	case s.isStandard(name) && (len(before) == 0 || len(now) == 0):
		return ""
	case gone && used && s.new.declared[name]:
		return "the structure is described by the old objects and by none of the new ones, so whether its layout changed is not known; " + describeAll
	case len(before) == 0 && len(now) > 0 && used && s.old.declared[name]:
		return "the structure is described by the new objects and by none of the old ones, so whether its layout changed is not known; " + describeAll
	}
	return ""
}
