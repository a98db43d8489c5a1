// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"
	"strings"

	"lpatch/pkg/lpelf"
)

// Shared reports whether s is one of several instances of which the linker keeps one: an inline function, an instance of a
// template, or the data of either, in a COMDAT section group (gABI, "Section Groups") that each object which uses it
// contains.
func (o *Object) Shared(s *lpelf.Symbol) bool {
	sec := o.SectionOf(s)
	return sec != nil && sec.Flags&elf.SHF_GROUP != 0 && s.Bind != elf.STB_LOCAL
}

// SameInstance reports whether objects a and b contain the same code for the function name. Symbols that the code refers to
// are compared by name.
func SameInstance(a, b *Object, name string) bool {
	fa, fb := a.Lookup(name), b.Lookup(name)
	if fa == nil || fb == nil || !fa.IsFunc() || !fb.IsFunc() {
		return false
	}
	c := newComparer(a, b, Options{})
	c.correlate()
	return c.equalFunc(fa, fb)
}

// IsTypeData reports whether name is that of data which the compiler generates for a class: vtable, type information or
// construction tables (Itanium C++ ABI 5.1.4, "Other Special Functions and Entities").
func IsTypeData(name string) bool {
	for _, p := range []string{"_ZTV", "_ZTI", "_ZTS", "_ZTT", "_ZTC"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}
