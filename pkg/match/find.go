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

// finder gives an image without symbols the symbols of its old objects (Ksplice's run-pre matching, without knowing where
// to look): a function is where the image has its code; what the code refers to there is where the symbols are that the
// object refers to at the same place; and those may be functions, which must then have their code there. A symbol has
// one address, whatever refers to it.
type finder struct {
	im      *Target
	extents []ehframe.Range
	units   []*unit
	globals map[string]uint64   // addresses of global symbols; noAddress where objects disagree
	exports map[uint64][]string // names that the image exports, by address
}

// noAddress is no address of any symbol.
const noAddress = ^uint64(0)

// minFixed is how many bytes a function must have that no linker changes to be known by its code alone.
const minFixed = 24

// unit is an old object.
type unit struct {
	f      *finder
	m      *matcher
	funcs  []*wanted
	places map[*lpelf.Section][]uint64 // where the image has the section's fingerprint
	read   map[*lpelf.Symbol]bool      // variables whose pointers have been followed
}

// wanted is a function of an object.
type wanted struct {
	sym   *lpelf.Symbol
	sec   *lpelf.Section
	fixed int
	done  bool // it has been found, or is not where it should be
	found bool
}

// Recover gives an image without a symbol table the symbols that old objects have there. It tells how many functions of
// objects that are part of the image were found, and how many those objects have.
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

// prepare lists the functions of all objects, and where the image has their fingerprints.
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

// listFunctions takes one function of each section; others at its place are names of the same.
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

// settle finds functions until there is nothing new to find. It tells whether it found any.
func (u *unit) settle() (found bool) {
	for again := true; again; {
		u.byData()
		again = u.byReference() || u.byCode()
		found = found || again
	}
	return found
}

// byReference compares the functions whose address is known.
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

// byData learns from the pointers in variables whose address is known. Those that a relocation at run time makes are where
// the linker put them; a program that is not position independent has them in the file.
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

// known returns the address of a function that something refers to, or that the image exports.
func (u *unit) known(w *wanted) (uint64, bool) {
	for _, s := range u.m.obj.SymbolsIn(w.sec) {
		if a := u.m.addresses(s); len(a) == 1 && s.Value == 0 && a[0] != noAddress {
			return a[0], true
		}
	}
	return 0, false
}

// byCode takes functions whose code the image has at one place only, and at which no other function of the object may be.
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
		// What was found meanwhile may have settled it, or excluded it.
		if a := fits[w]; len(a) == 1 && w.fixed >= minFixed && claims[a[0]] == 1 && !w.done {
			w.found = u.try(w, a[0], true)
			w.done = w.found
			found = found || w.found
		}
	}
	return found
}

// try compares a function with the code at an address, and keeps what it learns only if told to and if it fits.
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

// mayStart tells whether a function may start at an address: where an extent does, or where there is none, as for functions
// in assembler.
func (f *finder) mayStart(addr uint64) bool {
	start, inside := ehframe.At(f.extents, addr)
	return f.im.Code(addr) != nil && (!inside || start == addr)
}

// mayBeCalled tells whether a function has one of the names that the image exports at an address, if there are any.
func (u *unit) mayBeCalled(w *wanted, addr uint64) bool {
	names := u.f.exports[addr]
	return len(names) == 0 || slices.ContainsFunc(u.m.obj.SymbolsIn(w.sec), func(s *lpelf.Symbol) bool { return slices.Contains(names, s.Name) })
}

// publish tells the other objects what this one knows of global symbols.
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

// mayBe tells whether a symbol of the object, of which nothing is known yet, can be at an address of the image.
func (u *unit) mayBe(s *lpelf.Symbol, addr uint64) bool {
	im, sec := u.f.im, u.m.obj.SectionOf(s)
	seg := im.Segment(addr)
	switch {
	case seg == nil || s.Type == elf.STT_TLS:
		return false
	case s.Section == elf.SHN_UNDEF:
		_, copied := im.Slots.Copies[s.Name]
		return !copied && len(im.Slots.GOT[s.Name]) == 0 && (seg.Flags&elf.PF_X == 0 || u.f.mayStart(addr) || im.chosen(addr))
	case sec == nil: // common
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

// chosen tells whether an address is the PLT entry of an indirect function, which is the function's in a program that is
// linked statically.
func (t *Target) chosen(addr uint64) bool {
	slot, ok := t.Slots.PLT[addr]
	return ok && t.Slots.ByVaddr[slot].Type.Meaning == arch.Indirect
}

// dropCopies leaves out objects whose code another object claims for a function of another name: which one was linked is
// not known. Objects that are another build of the same source have the same names.
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

// table makes the symbols that were found: for each object a name of its source, its local symbols, and its global ones.
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

// sameAs notes which object each place belongs to. It returns the number of an object that is at the same place as this
// one, which is then another build of the same code, or else its own.
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

// address returns where a symbol of the object is, as far as it was found out.
func (u *unit) address(s *lpelf.Symbol) (uint64, bool) {
	if match := u.m.matches[u.m.obj.SectionOf(s)]; match != nil && s.IsFunc() && s.Value == 0 {
		return match.Start, true
	}
	a, ok := u.m.bound[s]
	return a, ok
}

// sectionAt returns the index of the section that holds an address; a symbol needs one to count as defined.
func (t *Target) sectionAt(addr uint64) elf.SectionIndex {
	for _, s := range t.Sections {
		if s.Flags&elf.SHF_ALLOC != 0 && s.Flags&elf.SHF_TLS == 0 && addr >= s.Addr && addr-s.Addr < max(s.Size, 1) {
			return elf.SectionIndex(s.Index)
		}
	}
	return elf.SHN_ABS
}
