// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"
	"slices"
	"strings"

	"lpatch/pkg/arch"
	"lpatch/pkg/codes"
	"lpatch/pkg/lpelf"
)

// Code that runs as a program starts, or as the dynamic linker relocates it, has run in a process that is patched.

// startNames begin the names of functions that compilers make for the initialisers of variables (gcc: all of a file; clang:
// each). Some of them lie in one section, and no relocation tells of the calls between them.
var startNames = []string{"_GLOBAL__sub_I_", "_GLOBAL__I_", "_Z41__static_initialization_and_destruction_0", "__cxx_global_var_init"}

// isStartTable tells whether a section lists functions that run at start.
func isStartTable(s *lpelf.Section) bool {
	return s.Type == elf.SHT_INIT_ARRAY || s.Type == elf.SHT_PREINIT_ARRAY || strings.HasPrefix(s.Name, ".ctors")
}

// isExitTable tells the same for the exit.
func isExitTable(s *lpelf.Section) bool {
	return s.Type == elf.SHT_FINI_ARRAY || strings.HasPrefix(s.Name, ".dtors")
}

// Starts tells whether a function is one that runs at start by itself: of a table, of the compiler, or a resolver.
func (o *Object) Starts(f *lpelf.Symbol) bool {
	if slices.ContainsFunc(startNames, func(prefix string) bool { return strings.HasPrefix(f.Name, prefix) }) {
		return true
	}
	for _, s := range o.Sections {
		if isStartTable(s) && slices.ContainsFunc(o.Refs(s), func(r Ref) bool {
			return r.Sec != nil && r.Sec.Index == int(f.Section) && r.At == int64(f.Value)
		}) {
			return true
		}
	}
	sec := o.SectionOf(f)
	return sec != nil && slices.ContainsFunc(o.SymbolsIn(sec), func(s *lpelf.Symbol) bool { return s.Type == elf.STT_GNU_IFUNC && s.Value == f.Value })
}

// StartsThread tells whether a function initialises the thread-local variables of a file, for each thread at its first use of
// one (Itanium C++ ABI 5.1.4).
func StartsThread(f *lpelf.Symbol) bool {
	return f.Name == "__tls_init" || strings.HasPrefix(f.Name, "_ZTH")
}

// ThreadStarters are the functions that compilers have put that into, which use such a variable.
func (o *Object) ThreadStarters() []*lpelf.Symbol {
	if o.Lookup("__tls_init") != nil {
		return nil
	}
	return slices.DeleteFunc(o.Functions(), func(f *lpelf.Symbol) bool {
		sec := o.SectionOf(f)
		return sec == nil || !slices.ContainsFunc(o.RefsIn(sec, f.Value, f.Size), func(r Ref) bool { return r.Sym != nil && r.Sym.Name == "__tls_guard" })
	})
}

// Callers returns the functions of the object that call one of that name; ok is false if anything does more than call it:
// who knows its address may call it at any time.
func (o *Object) Callers(name string) (callers []*lpelf.Symbol, ok bool) {
	for _, sec := range o.Sections {
		if sec.Flags&elf.SHF_ALLOC == 0 || sec.Name == ".eh_frame" || sec.Flags&LinkOrder != 0 || isStartTable(sec) {
			continue
		}
		for _, r := range o.Refs(sec) {
			if r.Sym == nil || r.Sym.Name != name {
				continue
			}
			by, _ := o.At(sec, int64(r.Off))
			if by == nil || !sec.IsText() || !isCall(o, sec, r) {
				return nil, false
			}
			if parent, cold := ColdParent(by.Name); cold && o.Lookup(parent) != nil {
				by = o.Lookup(parent)
			}
			if by.Name != name && !slices.Contains(callers, by) {
				callers = append(callers, by)
			}
		}
	}
	return callers, true
}

// LinkOrder is SHF_LINK_ORDER of <elf.h>: the section goes with the one that it is about.
const LinkOrder = elf.SectionFlag(0x80)

// isCall tells whether the field of a reference is that of a call or a jump.
func isCall(o *Object, sec *lpelf.Section, r Ref) bool {
	use := o.Arch.Use(sec.Data, r.Off)
	return r.Off >= 2 && r.Type.Meaning == arch.Branch || use == arch.Branches || use == arch.BranchesIf || use == arch.BranchesThrough
}

// compareConstructors refuses changed lists of functions that run at start or exit.
func (c *comparer) compareConstructors() {
	olds, news := c.old.tables(), c.new.tables()
	for name, n := range news {
		if !c.equalTables(olds[name], n) {
			c.refuse(name, codes.ConstructorChanged, "functions that run at start or exit were added or changed; the program has started already: do the work elsewhere")
		}
	}
	for name := range olds {
		if news[name] == nil {
			c.refuse(name, codes.ConstructorChanged, "functions that run at start or exit are gone, and the program has run them, or will as it ends; leave them there, and change what they call")
		}
	}
}

// tables are the entries of an object's lists of functions that run at start or exit, by the names of their sections.
// Each instance of a template has a section of its own.
func (o *Object) tables() map[string][]Ref {
	out := map[string][]Ref{}
	for _, s := range o.Sections {
		if isStartTable(s) || isExitTable(s) {
			out[s.Name] = append(out[s.Name], o.Refs(s)...)
		}
	}
	return out
}

func (c *comparer) equalTables(old, new []Ref) bool {
	return slices.EqualFunc(old, new, func(o, n Ref) bool { return c.equalRef(o, n) || c.renamedStart(o, n) })
}

// renamedStart tells whether two references lead to the initialisers of a file that gcc has named after another variable.
func (c *comparer) renamedStart(o, n Ref) bool {
	is := func(s *lpelf.Symbol) bool {
		return s != nil && s.IsFunc() && strings.HasPrefix(s.Name, "_GLOBAL__sub_")
	}
	return is(o.Sym) && is(n.Sym) && o.Add == 0 && n.Add == 0 && c.equalFunc(o.Sym, n.Sym)
}
