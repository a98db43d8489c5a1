// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"
	"strings"

	"lpatch/pkg/lpelf"
)

// Shared tells whether a symbol of the object is one of several instances of which a linker keeps one: an inline
// function, an instance of a template, or the data of either, in a section group (gABI "Section Groups", GRP_COMDAT) of
// which each object that uses it has a copy.
func (o *Object) Shared(s *lpelf.Symbol) bool {
	sec := o.SectionOf(s)
	return sec != nil && sec.Flags&elf.SHF_GROUP != 0 && s.Bind != elf.STB_LOCAL
}

// SameInstance tells whether two objects have the same code for a function that both have. What the code refers to is
// compared by name.
func SameInstance(a, b *Object, name string) bool {
	fa, fb := a.Lookup(name), b.Lookup(name)
	if fa == nil || fb == nil || !fa.IsFunc() || !fb.IsFunc() {
		return false
	}
	c := newComparer(a, b, Options{})
	c.correlate()
	return c.equalFunc(fa, fb)
}

// IsTypeData tells whether a variable is what the compiler makes of a class: its virtual functions, its type information,
// or the tables that construct it (Itanium C++ ABI, 5.1.4 "Other Special Functions and Entities").
func IsTypeData(name string) bool {
	for _, p := range []string{"_ZTV", "_ZTI", "_ZTS", "_ZTT", "_ZTC"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}
