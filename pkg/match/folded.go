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

// Stranger returns the address of an instruction of the image that refers to a local symbol of an old object, located at
// [from, to), but does not belong to this object; or of a pointer to it that the object does not have. It returns 0 if there
// is none or if this is not known.
func (l *Located) Stranger(s *lpelf.Symbol, from, to uint64) uint64 {
	old := l.Obj
	sec := old.SectionOf(s)
	if slices.ContainsFunc(old.SymbolsIn(sec), func(o *lpelf.Symbol) bool { return o.Bind != elf.STB_LOCAL }) {
		return 0
	}
	var own []ehframe.Range
	if m := l.Match(s); m != nil {
		own = append(own, ehframe.Range{Start: m.Start, End: m.End})
	}
	for _, f := range old.Functions() {
		if !refersTo(old, f, sec) {
			continue
		}
		if parent, cold := diff.ColdParent(f.Name); cold && old.Lookup(parent) != nil {
			f = old.Lookup(parent)
		}
		if l.m.function(f) != nil {
			return 0 // the code of one of its own users differs from the object and may refer to it from anywhere
		}
		for _, part := range []*lpelf.Symbol{f, old.Lookup(f.Name + ".cold")} {
			if part != nil && l.Match(part) != nil {
				own = append(own, ehframe.Range{Start: l.Match(part).Start, End: l.Match(part).End})
			}
		}
	}
	for _, user := range l.m.im.UsersOf(from, to) {
		if !slices.ContainsFunc(own, func(e ehframe.Range) bool { return user >= e.Start && user < e.End }) {
			return user
		}
	}
	return l.strangePointer(sec, from, to)
}

// refersTo reports whether the code of a function refers to a section.
func refersTo(obj *diff.Object, f *lpelf.Symbol, sec *lpelf.Section) bool {
	own := obj.SectionOf(f)
	return own != nil && slices.ContainsFunc(obj.RefsIn(own, f.Value, f.Size), func(r diff.Ref) bool { return r.Sec == sec })
}

// strangePointer returns the address of a word with a dynamic relocation to [from, to), if the image has more of them than
// the object has pointers to the section and GOT references to it; else 0.
func (l *Located) strangePointer(sec *lpelf.Section, from, to uint64) uint64 {
	most := 0
	for _, s := range l.Obj.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		for _, r := range l.Obj.Refs(s) {
			if r.Sec == sec && (r.Type.Pointer() || s.IsText()) {
				most++
			}
		}
	}
	var words []uint64
	for at, slot := range l.m.im.Slots.ByVaddr {
		if a := uint64(slot.Addend); slot.Type.Meaning == arch.Relative && a >= from && a < to {
			words = append(words, at)
		}
	}
	if len(words) <= most {
		return 0
	}
	return slices.Max(words)
}

// Outsider returns, for an image without symbols that a linker with code folding may have linked, the address of an
// instruction that refers to the function and belongs to no function recovered from the old objects. This reference may be
// meant for another, folded function. It returns 0 if there is none.
func (t *Target) Outsider(m *Match) uint64 {
	if t.Named || !t.Folds() {
		return 0
	}
	extents := t.Extents()
	for _, user := range t.UsersOf(m.Start, m.Start+1) {
		start, ok := ehframe.At(extents, user)
		if ok && start != m.Start && len(t.FunctionsAt(start)) == 0 {
			return user
		}
	}
	return 0
}
