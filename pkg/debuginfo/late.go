// SPDX-License-Identifier: GPL-2.0

package debuginfo

import (
	"debug/dwarf"
	"strings"
)

// After link-time optimisation a function's or variable's own entry has its place, and refers to the one that its source made,
// in another unit, for the rest.

// LinkName is the name that an entry's symbol has but for what compilers append to it: the mangled one, or that of the source.
func (e *Entry) LinkName() string {
	for _, at := range e.origins() {
		if name, _ := at.Val(dwarf.AttrLinkageName).(string); name != "" {
			return name
		}
	}
	return e.Name()
}

// External tells whether an entry is known in other files.
func (e *Entry) External() bool {
	for _, at := range e.origins() {
		if is, _ := at.Val(dwarf.AttrExternal).(bool); is {
			return true
		}
	}
	return false
}

// SourceUnit is the name of the source file that an entry is from.
func (e *Entry) SourceUnit() string {
	unit := e.origin().Unit
	if unit == nil {
		return ""
	}
	name, _ := unit.Val(dwarf.AttrName).(string)
	return name
}

// ByClang tells whether clang compiled the source that an entry is from.
func (e *Entry) ByClang() bool {
	unit := e.origin().Unit
	if unit == nil {
		return false
	}
	producer, _ := unit.Val(dwarf.AttrProducer).(string)
	return strings.Contains(producer, "clang")
}

// origins are an entry and those that have what it leaves out.
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
