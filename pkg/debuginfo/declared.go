// SPDX-License-Identifier: GPL-2.0

package debuginfo

import "debug/dwarf"

// Declared lists the variables of a name that other objects do not see, those that a compiler has removed, too, and each once however often its function
// is inlined. Of a removed one it is not known whether it was on a stack; those that surely are, are left out.
func (i *Info) Declared(name string) []*Entry {
	if i.declared == nil {
		i.declared = map[string][]*Entry{}
		stack := map[*Entry]bool{}
		i.Walk(func(e *Entry) {
			if e.Tag == dwarf.TagVariable && e.Val(dwarf.AttrLocation) != nil && !e.isPlaced() {
				stack[e.origin()] = true
			}
		})
		i.Walk(func(e *Entry) {
			extern := e.Val(dwarf.AttrExternal) != nil || e.Val(dwarf.AttrDeclaration) != nil
			if e.Tag == dwarf.TagVariable && e.origin() == e && !extern && !stack[e] {
				i.declared[e.Name()] = append(i.declared[e.Name()], e)
			}
		})
	}
	return i.declared[name]
}

func (e *Entry) isPlaced() bool { return len(e.addresses()) > 0 }

// Form is how what is at the place of a variable makes its value: "" if that is the value, else, of a flag that clang has made
// of a variable that has two values, what they are.
func (s Static) Form() string {
	loc, _ := s.Val(dwarf.AttrLocation).([]byte)
	if _, ok := s.place(); ok || len(s.addresses()) != 1 {
		return ""
	}
	switch {
	case len(loc) > 9 && loc[0] == opAddr:
		return string(loc[9:])
	case len(loc) > 1 && loc[0] == opAddrx:
		at := 1
		for at < len(loc)-1 && loc[at]&0x80 != 0 {
			at++
		}
		return string(loc[at+1:])
	}
	return ""
}

// Same tells whether two entries are of one variable.
func (e *Entry) Same(other *Entry) bool { return e.origin() == other.origin() }
