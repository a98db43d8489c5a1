// SPDX-License-Identifier: GPL-2.0

package debuginfo

import "debug/dwarf"

// Declared returns the variables called name that are not visible to other objects, including those that the compiler has
// removed. A variable of a function that is inlined several times is listed once. Variables known to be on the stack are
// omitted; for a removed one, the storage class is not known.
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

// Form describes how the value of a variable is encoded at its address: "" if the variable itself is stored there, else the
// location expression that converts the flag to which clang has reduced a variable with two values.
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

// Same reports whether two entries describe the same variable.
func (e *Entry) Same(other *Entry) bool { return e.origin() == other.origin() }
