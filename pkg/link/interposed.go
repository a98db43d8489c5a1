// SPDX-License-Identifier: GPL-2.0

package link

import (
	"debug/elf"
	"maps"
	"slices"
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/image"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/match"
)

// interposable resolves a reference to a preemptible function of a library as the old code does: directly if the library was
// linked this way (-Bsymbolic-functions, --dynamic-list), else through the word that the dynamic linker sets to the first
// definition in the lookup scope. done is false for other references.
func (l *linker) interposable(c *chunk, r diff.Ref) (d dest, done, ok bool) {
	if r.Sym == nil || r.Raw.Sym.Bind == elf.STB_LOCAL || r.Sym.Vis != elf.STV_DEFAULT || !l.im.ExportsFunction(r.Sym.Name) || r.Sec != nil && r.Add != 0 {
		return dest{}, false, true
	}
	name := r.Sym.Name
	for _, to := range l.oldLeads(c.in, r.Sym) {
		if to.Name == "" {
			return dest{}, false, true
		}
	}
	version := r.Sym.Version
	if own := l.im.Versioned(r.Sym); own != nil {
		version = own.Version
	}
	if d := (dest{imported: name, version: version}); len(l.importSlots(d)) > 0 {
		return d.add(r.Add), true, true
	}
	for _, vaddr := range slices.Sorted(maps.Keys(l.im.Slots.ByVaddr)) {
		if s := l.im.Slots.ByVaddr[vaddr]; s.Symbol == name && s.Version == version && s.Type.Pointer() && s.Addend == 0 {
			return inPatch(l.addStub(vaddr), 0), true, true
		}
	}
	return l.interposer(c, r)
}

// interposer searches the lookup scope for the first definition of a function that the library exports but has no GOT word
// for. C++ functions with weak definitions in several files are assumed to be identical.
func (l *linker) interposer(c *chunk, r diff.Ref) (d dest, done, ok bool) {
	name := r.Sym.Name
	if l.bindsOwn() || strings.HasPrefix(name, "_Z") && slices.ContainsFunc(l.im.Definitions(name), func(s *lpelf.Symbol) bool { return s.Bind == elf.STB_WEAK }) {
		return dest{}, false, true
	}
	scope := l.scope
	known := scope.load() == nil && len(scope.missing) == 0 && slices.ContainsFunc(scope.libs, func(lib *image.Image) bool { return !lib.Shared() })
	if known {
		lib, sym, _ := scope.lookup(name, r.Sym.Version)
		switch {
		case lib == nil:
			return dest{}, false, true
		case !lib.Shared() && sym.Type == elf.STT_FUNC:
			return inPatch(l.addFarStub(name, l.inLibrary(lib, sym.Value), false), 0), true, true
		}
	}
	l.refuse(c.in, name, codes.InterposedFunction, "%s exports this function and has no word that says which one counts, because its code does not call it, so a program that defines the function, too, would not be asked; call what old code calls, or name the program with --lib",
		l.im.Path)
	return dest{}, true, false
}

// bindsOwn reports whether old code reaches functions that the image exports directly and never through a GOT word. The
// library was then linked so for all of them.
func (l *linker) bindsOwn() bool {
	for name := range l.im.Slots.GOT {
		if l.im.ExportsFunction(name) {
			return false
		}
	}
	direct := func(a match.Leads) bool {
		for name, list := range a {
			if l.im.ExportsFunction(name) && slices.ContainsFunc(list, func(to image.Lead) bool { return to.Name == "" }) {
				return true
			}
		}
		return false
	}
	return slices.ContainsFunc(l.inputs, func(in *Input) bool { return direct(l.leadsIn(in)) }) || slices.ContainsFunc(l.otherLeads(), direct)
}

// interposedWord refuses a pointer in the patch to a preemptible variable, whose effective address is not known.
func (l *linker) interposedWord(c *chunk, r diff.Ref) bool {
	if !r.Type.Pointer() || r.Sym == nil || r.Raw.Sym.Bind == elf.STB_LOCAL || r.Sym.Vis != elf.STV_DEFAULT || !l.im.Shared() ||
		diff.IsTypeData(r.Sym.Name) || !l.im.ExportsData(r.Sym.Name) {
		return false
	}
	l.refuse(c.in, r.Sym.Name, codes.InterposedData, "a program may have a copy of this variable, and a table of the patch cannot hold the address of the one that counts; take its address in code")
	return true
}
