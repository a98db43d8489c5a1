// SPDX-License-Identifier: GPL-2.0

package link

import (
	"lpatch/pkg/codes"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/match"
)

// A linker with --icf merges functions with equal code and constants with equal content. A patch of one of them would change
// all of them. Merged symbols are recognized by different names at one address or, if the symbol table has only one of the
// names or none, by references from code that cannot refer to the symbol: only its own object refers to a static symbol.

// folded refuses a function that the linker has merged with others of equal code (--icf), because they would all change.
func (l *linker) folded(in *Input, ch Moved, m *match.Match) bool {
	for _, name := range l.im.FunctionsAt(m.Start) {
		s := ch.Loc.Obj.Lookup(name)
		if name == ch.Old.Name || isNameOf(name, ch.Old, l.im.FunctionsAt(m.Start)) || s != nil && s.Section == ch.Old.Section && s.Value == ch.Old.Value {
			continue
		}
		l.refuse(in, ch.Old.Name, codes.SharedCode, "the linker has made one of this function and %s, which had the same code; link the target without --icf, or change both alike in one object", name)
		return true
	}
	if user := ch.Loc.Stranger(ch.Old, m.Start, m.Start+1); user != 0 {
		l.refuse(in, ch.Old.Name, codes.SharedCode, "%s refers to this static function and is not of its object, so the linker has made one of it and another one, which had the same code; "+
			"link the target without --icf", l.im.Place(user))
		return true
	}
	if user := l.im.Outsider(m); user != 0 {
		l.refuse(in, ch.Old.Name, codes.SharedCode, "%s calls it, and no old object is known to have that, so it may mean another function with the same code, of which the linker can have made one with this (--icf): "+
			"give all objects of the target, or name an unstripped build of exactly it with --symbols", l.im.Place(user))
		return true
	}
	return false
}

// sharedValue refuses a constant that the linker has merged with another one of equal content.
func (l *linker) sharedValue(in *Input, v *lpelf.Symbol, addr uint64) bool {
	if !l.im.Constant(addr) {
		return false
	}
	refuse := func(what string) bool {
		l.refuse(in, v.Name, codes.SharedData, "%s too, so the linker has made one of this constant and another one, which held the same; link the target without --icf", what)
		return true
	}
	for _, name := range l.im.VariablesAt(addr) {
		s := in.Diff.Old.Lookup(name)
		if name != v.Name && !isNameOf(name, v, l.im.VariablesAt(addr)) && (s == nil || s.Section != v.Section || s.Value != v.Value) {
			return refuse(name + " is at its place")
		}
	}
	if user := in.Loc.Stranger(v, addr, addr+v.Size); user != 0 {
		return refuse(l.im.Place(user) + ", which is not of its object, refers to it")
	}
	return false
}

// isNameOf reports whether name, which the image has at the address of symbol s, is the name of s except for LTO suffixes.
func isNameOf(name string, s *lpelf.Symbol, all []string) bool {
	if s.Linked == "" {
		return false
	}
	alike := 0
	for _, other := range all {
		if lpelf.Unnumbered(other) == lpelf.Unnumbered(s.Linked) {
			alike++
		}
	}
	return alike == 1 && lpelf.Unnumbered(name) == lpelf.Unnumbered(s.Linked)
}
