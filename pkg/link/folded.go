package link

import (
	"bytes"
	"debug/elf"
	"fmt"
	"slices"
	"sort"

	"lpatch/pkg/diff"
	"lpatch/pkg/insn"
	"lpatch/pkg/lpelf"
)

// A linker can make one of functions that have the same code, and of constants that hold the same (--icf). A patch of one would
// change them all. It shows by names at one address, or, where the table names only one of them or none, by code that leads
// there and has no reason to: what is static is referred to by its own object only.

// codeRef is an instruction that leads to an address.
type codeRef struct{ to, from uint64 }

// codeRefs lists where the image's code refers to relative to itself, by the address that is meant.
func (im *Image) codeRefs() []codeRef {
	if im.refsOfCode != nil {
		return im.refsOfCode
	}
	refs := []codeRef{}
	for _, e := range im.readExtents() {
		code := im.Code(e.start)
		code = code[:min(uint64(len(code)), e.end-e.start)]
		for pos := 0; pos < len(code); {
			in, err := insn.Decode(code[pos:])
			if err != nil {
				break
			}
			at := e.start + uint64(pos)
			if to := at + uint64(in.Len) + uint64(in.Disp(code[pos:])); in.PCRel == 4 && (to < e.start || to >= e.end) {
				refs = append(refs, codeRef{to, at})
			}
			pos += in.Len
		}
	}
	sort.SliceStable(refs, func(i, j int) bool { return refs[i].to < refs[j].to })
	im.refsOfCode = refs
	return refs
}

// usersOf are the places of the code that refer to an address in [from, to).
func (im *Image) usersOf(from, to uint64) []uint64 {
	refs := im.codeRefs()
	var out []uint64
	for i := sort.Search(len(refs), func(i int) bool { return refs[i].to >= from }); i < len(refs) && refs[i].to < to; i++ {
		out = append(out, refs[i].from)
	}
	return out
}

// stranger finds code of the image that refers to something static of an old object at [from, to), and is not that object's;
// or a pointer to it that the object does not have. It is 0 if there is none, or if that is not known.
func (l *linker) stranger(in *Input, s *lpelf.Symbol, from, to uint64) uint64 {
	old := in.Diff.Old
	sec := old.SectionOf(s)
	if slices.ContainsFunc(old.SymbolsIn(sec), func(o *lpelf.Symbol) bool { return o.Bind != elf.STB_LOCAL }) {
		return 0
	}
	var own []extent
	if m := in.Loc.Match(s); m != nil {
		own = append(own, extent{m.Start, m.End})
	}
	for _, f := range old.Functions() {
		if !refersTo(old, f, sec) {
			continue
		}
		if parent, cold := diff.ColdParent(f.Name); cold && old.Lookup(parent) != nil {
			f = old.Lookup(parent)
		}
		if in.Loc.m.function(f) != nil {
			return 0 // one of its own that is not what the object has may refer to it from anywhere
		}
		for _, part := range []*lpelf.Symbol{f, old.Lookup(f.Name + ".cold")} {
			if part != nil && in.Loc.Match(part) != nil {
				own = append(own, extent{in.Loc.Match(part).Start, in.Loc.Match(part).End})
			}
		}
	}
	for _, user := range l.im.usersOf(from, to) {
		if !slices.ContainsFunc(own, func(e extent) bool { return user >= e.start && user < e.end }) {
			return user
		}
	}
	return l.strangePointer(old, sec, from, to)
}

// refersTo tells whether the code of a function refers to a section.
func refersTo(obj *diff.Object, f *lpelf.Symbol, sec *lpelf.Section) bool {
	own := obj.SectionOf(f)
	return own != nil && slices.ContainsFunc(obj.RefsIn(own, f.Value, f.Size), func(r diff.Ref) bool { return r.Sec == sec })
}

// strangePointer returns a word that the dynamic linker makes a pointer to [from, to), where there are more than the object has
// pointers to its section, or words of the global offset table for it.
func (l *linker) strangePointer(obj *diff.Object, sec *lpelf.Section, from, to uint64) uint64 {
	most := 0
	for _, s := range obj.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		for _, r := range obj.Refs(s) {
			if r.Sec == sec && (r.Type == elf.R_X86_64_64 || s.IsText()) {
				most++
			}
		}
	}
	var words []uint64
	for at, slot := range l.im.Slots.ByVaddr {
		if a := uint64(slot.Addend); slot.Type == elf.R_X86_64_RELATIVE && a >= from && a < to {
			words = append(words, at)
		}
	}
	if len(words) <= most {
		return 0
	}
	return slices.Max(words)
}

// folds tells whether the file says that it was made by a linker that can fold what is the same, which that of GNU cannot, and
// nobody knows better.
func (im *Image) folds() bool {
	if im.NotFolded {
		return false
	}
	c := im.Section(".comment")
	return im.Section(".note.gnu.gold-version") != nil || c != nil && (bytes.Contains(c.Data, []byte("LLD")) || bytes.Contains(c.Data, []byte("mold")))
}

// outsider finds, in an image that has no names and that a folding linker made, code that calls a function and that no old
// object was found to have: it may mean another function.
func (l *linker) outsider(m *Match) uint64 {
	if l.im.Named || !l.im.folds() {
		return 0
	}
	extents := l.im.readExtents()
	for _, user := range l.im.usersOf(m.Start, m.Start+1) {
		start, ok := extentAt(extents, user)
		if ok && start != m.Start && len(l.im.functionsAt(start)) == 0 {
			return user
		}
	}
	return 0
}

// sayPlace is an address for a sentence, with the function that it is in if there is a name.
func (l *linker) sayPlace(at uint64) string {
	if start, ok := extentAt(l.im.readExtents(), at); ok {
		if names := l.im.functionsAt(start); len(names) > 0 {
			return fmt.Sprintf("%s at %#x", names[0], at)
		}
	}
	return fmt.Sprintf("code or data at %#x", at)
}

// sharedValue refuses a constant that the linker has made one with another that held the same.
func (l *linker) sharedValue(in *Input, v *lpelf.Symbol, addr uint64) bool {
	if !l.im.constant(addr) {
		return false
	}
	refuse := func(what string) bool {
		l.refuse(in, v.Name, "shared-data", "%s too, so the linker has made one of this constant and another one, which held the same; link the target without --icf", what)
		return true
	}
	for _, name := range l.im.dataAt[addr] {
		s := in.Diff.Old.Lookup(name)
		if name != v.Name && (s == nil || s.Section != v.Section || s.Value != v.Value) {
			return refuse(name + " is at its place")
		}
	}
	if user := l.stranger(in, v, addr, addr+v.Size); user != 0 {
		return refuse(l.sayPlace(user) + ", which is not of its object, refers to it")
	}
	return false
}
