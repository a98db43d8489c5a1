// SPDX-License-Identifier: GPL-2.0

package debuginfo

import (
	"debug/dwarf"
	"strings"
)

// After link-time optimisation, the concrete entry of a function or variable has its address and refers to the entry from its
// source, in another unit, for all other attributes.

// LinkName returns the symbol name of an entry without suffixes added by the compiler: the mangled name, or the name in the
// source.
func (e *Entry) LinkName() string {
	for _, at := range e.origins() {
		if name, _ := at.Val(dwarf.AttrLinkageName).(string); name != "" {
			return name
		}
	}
	return e.Name()
}

// External reports whether an entry has external linkage.
func (e *Entry) External() bool {
	for _, at := range e.origins() {
		if is, _ := at.Val(dwarf.AttrExternal).(bool); is {
			return true
		}
	}
	return false
}

// SourceUnit returns the name of the source file of the unit that an entry originates from.
func (e *Entry) SourceUnit() string {
	unit := e.origin().Unit
	if unit == nil {
		return ""
	}
	name, _ := unit.Val(dwarf.AttrName).(string)
	return name
}

// ByClang reports whether clang compiled the source that an entry originates from.
func (e *Entry) ByClang() bool {
	unit := e.origin().Unit
	if unit == nil {
		return false
	}
	producer, _ := unit.Val(dwarf.AttrProducer).(string)
	return strings.Contains(producer, "clang")
}

// origins returns an entry and the entries that provide its missing attributes.
func (e *Entry) origins() []*Entry {
	var out []*Entry
	for e != nil && len(out) < 8 {
		out = append(out, e)
		next := e.Ref(dwarf.AttrSpecification)
		if next == nil {
			next = e.Ref(dwarf.AttrAbstractOrigin)
		}
		e = next
	}
	return out
}
