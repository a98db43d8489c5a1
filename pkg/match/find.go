// SPDX-License-Identifier: GPL-2.0

package match

import (
	"debug/elf"
	"slices"

	"lpatch/pkg/arch"
	"lpatch/pkg/diff"
	"lpatch/pkg/ehframe"
	"lpatch/pkg/lpelf"
)

// finder recovers the symbols of the old objects in an image without a symbol table (run-pre matching as in Ksplice, but
// without known addresses). A function is located where the image contains its code. The references in this code yield the
// addresses of the symbols that the object refers to at the same positions. If these are functions, the image must contain
// their code at these addresses. A symbol has exactly one address, however it is referenced.
type finder struct {
	im      *Target
	extents []ehframe.Range
	units   []*unit
	globals map[string]uint64   // addresses of global symbols; noAddress if objects disagree
	exports map[uint64][]string // address -> names that the image exports
}

// noAddress is a value that is not the address of any symbol.
const noAddress = ^uint64(0)

// minFixed is the minimum number of bytes unaffected by relocations that a function must have to be identified by its code
// alone.
const minFixed = 24

// unit is the search state of an old object.
type unit struct {
	f      *finder
	m      *matcher
	funcs  []*wanted
	places map[*lpelf.Section][]uint64 // addresses at which the image contains the fingerprint of the section
	read   map[*lpelf.Symbol]bool      // variables whose pointers have been followed
}

// wanted is a function of an object to be found.
type wanted struct {
	sym   *lpelf.Symbol
	sec   *lpelf.Section
	fixed int
	done  bool // found, or known not to match at its only possible address
	found bool
}

// Recover adds the symbols of the old objects to an image without a symbol table. It returns how many functions were found of
// the objects that are part of the image, and how many functions these objects have.
func (t *Target) Recover(objs []*diff.Object) (found, of int) {
	f := &finder{im: t, extents: t.Extents(), globals: map[string]uint64{}, exports: map[uint64][]string{}}
	for _, s := range t.DynSymbols {
		if s.Defined() && s.IsFunc() {
			f.exports[s.Value] = append(f.exports[s.Value], s.Name)
		}
	}
	if t.Named || len(f.extents) == 0 {
		return 0, 0
	}
	f.prepare(objs)
	t.absent = map[string]absence{}
	f.units = slices.DeleteFunc(f.units, func(u *unit) bool {
		u.settle()
		verdict := u.verdict()
		if verdict != 0 {
			t.absent[u.m.obj.Name] = verdict
		}
		return verdict != 0
	})
	for again := true; again; {
		again = false
		for _, u := range f.units {
			u.publish()
		}
		for _, u := range f.units {
			again = u.settle() || again
		}
	}
	f.dropCopies()
	t.SetSymbols(f.table())
	t.recovered = true
	for _, u := range f.units {
		for _, w := range u.funcs {
			of++
			if w.found {
				found++
			}
		}
	}
	return found, of
}

// prepare collects the functions of all objects and the addresses of their fingerprints in the image.
func (f *finder) prepare(objs []*diff.Object) {
	var fingerprints [][]byte
	var secs []*lpelf.Section
	var owners []*unit
	for _, obj := range objs {
		u := &unit{f: f, m: newMatcher(f.im, obj, 0), places: map[*lpelf.Section][]uint64{}, read: map[*lpelf.Symbol]bool{}}
		u.m.unit = u
		f.units = append(f.units, u)
		fixed := map[*lpelf.Section]int{}
		for _, s := range obj.Sections {
			if !s.IsText() || obj.DecodeError(s) != nil {
				continue
			}
			a, n := fingerprintOf(obj, s)
			fixed[s] = n
			fingerprints, secs, owners = append(fingerprints, a), append(secs, s), append(owners, u)
		}
		u.listFunctions(fixed)
	}
	for i, starts := range scan(f.im, f.extents, fingerprints) {
		owners[i].places[secs[i]] = starts
	}
}

// listFunctions selects one function per section; other functions at the same offset are aliases.
func (u *unit) listFunctions(fixed map[*lpelf.Section]int) {
	seen := map[*lpelf.Section]bool{}
	for _, s := range u.m.obj.Functions() {
		sec := u.m.obj.SectionOf(s)
		_, known := fixed[sec]
		if _, cold := diff.ColdParent(s.Name); cold || !known || seen[sec] || s.Value != 0 {
			continue
		}
		seen[sec] = true
		u.funcs = append(u.funcs, &wanted{sym: s, sec: sec, fixed: fixed[sec]})
	}
}

// settle searches for functions until no more are found. It reports whether it found any.
func (u *unit) settle() (found bool) {
	for again := true; again; {
		u.byData()
		again = u.byReference() || u.byCode()
		found = found || again
	}
	return found
}

// byReference compares the functions whose address is known from a reference or from the dynamic symbol table.
func (u *unit) byReference() (found bool) {
	for _, w := range u.funcs {
		if w.done {
			continue
		}
		addr, ok := u.known(w)
		if !ok {
			continue
		}
		w.done = true
		w.found = u.try(w, addr, true)
		found = true
	}
	return found
}

// byData learns addresses from pointers in variables whose address is known. Pointers with a dynamic relocation are evaluated
// as the dynamic linker would; in a position-dependent program, they are read from the file.
func (u *unit) byData() {
	for _, v := range u.m.obj.Variables() {
		addrs, sec := u.m.addresses(v), u.m.obj.SectionOf(v)
		if len(addrs) != 1 || addrs[0] == noAddress || sec == nil || u.read[v] || v.Type == elf.STT_TLS {
			continue
		}
		u.read[v] = true
		for _, r := range u.m.obj.Refs(sec) {
			if !r.Type.Pointer() || r.Off < v.Value || r.Off >= v.Value+v.Size || r.Sym == nil || r.Sym.Name == "" {
				continue
			}
			if to, ok := u.f.im.Pointer(addrs[0] + r.Off - v.Value); ok {
				u.m.symbolIs(r.Sym, to-uint64(r.Add))
			}
		}
	}
}

// known returns the address of a function that is referenced by matched code or exported by the image.
func (u *unit) known(w *wanted) (uint64, bool) {
	for _, s := range u.m.obj.SymbolsIn(w.sec) {
		if a := u.m.addresses(s); len(a) == 1 && s.Value == 0 && a[0] != noAddress {
			return a[0], true
		}
	}
	return 0, false
}

// byCode accepts functions whose code occurs in the image exactly once, at an address that no other function of the object
// may have.
func (u *unit) byCode() (found bool) {
	fits := map[*wanted][]uint64{}
	claims := map[uint64]int{}
	for _, w := range u.funcs {
		if w.found {
			claims[u.m.matches[w.sec].Start]++
		}
		if w.done {
			continue
		}
		for _, a := range u.places[w.sec] {
			if u.try(w, a, false) {
				fits[w] = append(fits[w], a)
				claims[a]++
			}
		}
	}
	for _, w := range u.funcs {
		// a function accepted in this loop may have settled or excluded this one
		if a := fits[w]; len(a) == 1 && w.fixed >= minFixed && claims[a[0]] == 1 && !w.done {
			w.found = u.try(w, a[0], true)
			w.done = w.found
			found = found || w.found
		}
	}
	return found
}

// try compares a function with the code at addr. Learned addresses are kept only if keep is set and the code matches.
func (u *unit) try(w *wanted, addr uint64, keep bool) bool {
	mark := len(u.m.trail)
	if _, ok := u.m.bound[w.sym]; !ok {
		u.m.bind(w.sym, addr)
	}
	ok := u.f.mayStart(addr) && u.mayBeCalled(w, addr) && u.m.function(w.sym) == nil
	if !ok || !keep {
		u.m.undo(mark)
		u.m.forget(w.sym)
	}
	return ok
}

// mayStart reports whether a function may start at addr: at the start of an FDE, or outside of all FDEs, as functions written
// in assembly.
func (f *finder) mayStart(addr uint64) bool {
	start, inside := ehframe.At(f.extents, addr)
	return f.im.Code(addr) != nil && (!inside || start == addr)
}

// mayBeCalled reports whether the function has one of the names that the image exports at addr, if there are any.
func (u *unit) mayBeCalled(w *wanted, addr uint64) bool {
	names := u.f.exports[addr]
	return len(names) == 0 || slices.ContainsFunc(u.m.obj.SymbolsIn(w.sec), func(s *lpelf.Symbol) bool { return slices.Contains(names, s.Name) })
}

// publish makes the addresses of global symbols that this object has learned available to the other objects.
func (u *unit) publish() {
	for _, s := range u.m.trail {
		if s.Bind == elf.STB_LOCAL {
			continue
		}
		addr := u.m.bound[s]
		if have, ok := u.f.globals[s.Name]; ok && have != addr {
			addr = noAddress
		}
		u.f.globals[s.Name] = addr
	}
}

// mayBe reports whether a symbol of the object that has no known address may be at addr.
func (u *unit) mayBe(s *lpelf.Symbol, addr uint64) bool {
	im, sec := u.f.im, u.m.obj.SectionOf(s)
	seg := im.Segment(addr)
	switch {
	case seg == nil || s.Type == elf.STT_TLS:
		return false
	case s.Section == elf.SHN_UNDEF:
		_, copied := im.Slots.Copies[s.Name]
		return !copied && len(im.Slots.GOT[s.Name]) == 0 && (seg.Flags&elf.PF_X == 0 || u.f.mayStart(addr) || im.chosen(addr))
	case sec == nil: // common symbol
		return seg.Flags&elf.PF_X == 0
	case sec.IsText():
		if match := u.m.matches[sec]; match != nil {
			return addr == match.Start+s.Value
		}
		return u.f.mayStart(addr)
	case seg.Flags&elf.PF_X != 0 || (sec.Flags&elf.SHF_WRITE != 0) != (seg.Flags&elf.PF_W != 0):
		return false
	}
	want, linked := u.m.obj.Content(s)
	return im.Holds(addr, want, linked)
}

// chosen reports whether addr is the PLT entry of an indirect function (STT_GNU_IFUNC), which serves as the address of the
// function in a statically linked program.
func (t *Target) chosen(addr uint64) bool {
	slot, ok := t.Slots.PLT[addr]
	return ok && t.Slots.ByVaddr[slot].Type.Meaning == arch.Indirect
}

// dropCopies removes objects whose code another object claims for a function of a different name, because it is not known
// which of them was linked. Objects built from the same source have functions of the same names and are not affected.
func (f *finder) dropCopies() {
	owner := map[uint64]*wanted{}
	of := map[*wanted]*unit{}
	for _, u := range f.units {
		for _, w := range u.funcs {
			if !w.found || u.m.obj.Shared(w.sym) {
				continue
			}
			start := u.m.matches[w.sec].Start
			other := owner[start]
			if other == nil {
				owner[start], of[w] = w, u
			} else if other.sym.Name != w.sym.Name {
				f.im.absent[u.m.obj.Name], f.im.absent[of[other].m.obj.Name] = copied, copied
			}
		}
	}
	f.units = slices.DeleteFunc(f.units, func(u *unit) bool { return f.im.absent[u.m.obj.Name] == copied })
}

// table returns the recovered symbol table: for each object an STT_FILE symbol, its local symbols and its global symbols.
func (f *finder) table() []*lpelf.Symbol {
	var out []*lpelf.Symbol
	f.im.ofObject = map[string]int{}
	owner := map[uint64]int{}
	for i, u := range f.units {
		block := u.sameAs(owner, i+1)
		f.im.ofObject[u.m.obj.Name] = block
		if block != i+1 {
			continue
		}
		out = append(out, &lpelf.Symbol{Name: u.m.obj.Source, Type: elf.STT_FILE, Block: block, File: u.m.obj.Source})
		for _, s := range u.m.obj.Symbols {
			addr, ok := u.address(s)
			if !ok || s.Name == "" || s.Type == elf.STT_SECTION || s.Type == elf.STT_FILE {
				continue
			}
			if s.Bind != elf.STB_LOCAL {
				if len(f.im.Globals(s.Name)) > 0 || f.globals[s.Name] != addr {
					continue
				}
			}
			found := &lpelf.Symbol{Name: s.Name, Type: s.Type, Bind: s.Bind, Vis: s.Vis, Value: addr, Size: s.Size, Section: f.im.sectionAt(addr)}
			if s.Bind == elf.STB_LOCAL {
				found.File, found.Block = u.m.obj.Source, block
			}
			out = append(out, found)
		}
	}
	return out
}

// sameAs records which object each address belongs to. It returns the number of an earlier object at the same addresses,
// which is another build of the same code, else own.
func (u *unit) sameAs(owner map[uint64]int, own int) int {
	for _, w := range u.funcs {
		if !w.found || u.m.obj.Shared(w.sym) {
			continue
		}
		start := u.m.matches[w.sec].Start
		if other, taken := owner[start]; taken && other != own {
			return other
		}
		owner[start] = own
	}
	return own
}

// address returns the recovered address of a symbol of the object.
func (u *unit) address(s *lpelf.Symbol) (uint64, bool) {
	if match := u.m.matches[u.m.obj.SectionOf(s)]; match != nil && s.IsFunc() && s.Value == 0 {
		return match.Start, true
	}
	a, ok := u.m.bound[s]
	return a, ok
}

// sectionAt returns the index of the section that contains addr. A symbol must have one to count as defined.
func (t *Target) sectionAt(addr uint64) elf.SectionIndex {
	for _, s := range t.Sections {
		if s.Flags&elf.SHF_ALLOC != 0 && s.Flags&elf.SHF_TLS == 0 && addr >= s.Addr && addr-s.Addr < max(s.Size, 1) {
			return elf.SectionIndex(s.Index)
		}
	}
	return elf.SHN_ABS
}
