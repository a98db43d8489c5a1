// SPDX-License-Identifier: GPL-2.0

package match

import (
	"debug/elf"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lpatch/pkg/diff"
	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/lpelf"
)

// If the image carries patches (image.Carry), the old objects are built from a source that contains their fixes, while the
// image itself is built from a source without them. Names that compilers number in source order may therefore denote
// different symbols in the objects and in the image.

var (
	number = lazyregexp.New(`\.[0-9]+`)
	// ofFunction matches names of variables that are declared in a function, of which several may exist: count.1, four.count,
	// and the mangled C++ name _ZZ4fourvE5count_0.
	ofFunction = lazyregexp.New(`.\.|^_Z(GV|TH|TW|GR)?Z`)
	// local matches names of functions that compilers number.
	local         = lazyregexp.New(`\.[0-9]+|^_ZZ`)
	discriminator = lazyregexp.New(`_[0-9]+_?$`)
)

// numbered reports whether the name of s is subject to numbering, so that the same name may denote another symbol in an image
// that carries patches. This includes names without a number if others of this kind have one.
func (m *matcher) numbered(s *lpelf.Symbol) bool {
	if len(m.im.Patches()) == 0 || s.Section == elf.SHN_UNDEF {
		return false
	}
	if s.IsFunc() {
		return s.Bind == elf.STB_LOCAL && local().MatchString(s.Name)
	}
	return ofFunction().MatchString(s.Name)
}

// stem returns a name without its numbers.
func stem(name string) string {
	if rest, ok := strings.CutPrefix(name, "_Z"); ok && ofFunction().MatchString("_Z"+rest) {
		return discriminator().ReplaceAllString(name, "")
	}
	return number().ReplaceAllString(name, "")
}

// alike returns the addresses of the variables of the object's source file that have the name of s except for the numbers.
func (m *matcher) alike(s *lpelf.Symbol) []uint64 {
	var out []uint64
	for _, l := range m.im.Locals(m.block) {
		if l.Type == s.Type && stem(l.Name) == stem(s.Name) && !slices.Contains(out, l.Value) {
			out = append(out, l.Value)
		}
	}
	return out
}

// replaced removes from a list of function addresses those that lead to the same code as an earlier one.
func (m *matcher) replaced(addrs []uint64) []uint64 {
	var out []uint64
	for _, a := range addrs {
		if !slices.ContainsFunc(out, func(o uint64) bool { return m.im.CodeOf(o) == m.im.CodeOf(a) }) {
			out = append(out, a)
		}
	}
	return out
}

// doubt returns an error if the name of s does not identify a symbol of the image and no matched code does either.
func (m *matcher) doubt(s *lpelf.Symbol) error {
	if _, bound := m.bound[s]; bound || len(m.im.Patches()) == 0 {
		return nil
	}
	if m.numbered(s) && !s.IsFunc() {
		m.askUsers(s)
		if _, bound := m.bound[s]; !bound {
			return errors.New("no unchanged code of the target shows which of its variables this is, and the earlier fixes may have given it another name")
		}
		return nil
	}
	switch {
	case s.Bind != elf.STB_LOCAL && m.im.Doubted(s.Name):
		return fmt.Errorf("the target and a patch that it is built upon each have a symbol of this name")
	case s.IsFunc() && m.numbered(s) && m.function(s) != nil:
		return fmt.Errorf("the name has a number, which the source with the fixes before need not have for the same function as the target")
	}
	return nil
}

// askUsers determines the address of a variable by matching the functions that refer to it.
func (m *matcher) askUsers(s *lpelf.Symbol) {
	for _, f := range m.obj.Functions() {
		sec := m.obj.SectionOf(f)
		if sec == nil || m.matches[sec] != nil || !slices.ContainsFunc(m.obj.Refs(sec), func(r diff.Ref) bool { return r.Sym == s }) {
			continue
		}
		mark := len(m.trail)
		if m.function(f) != nil {
			m.undo(mark)
		} else if _, bound := m.bound[s]; bound {
			return
		}
	}
}

// Doubted returns the candidate addresses of a symbol whose name does not identify it, in an image that carries patches.
func (l *Located) Doubted(s *lpelf.Symbol) []uint64 {
	if len(l.m.im.Patches()) == 0 {
		return nil
	}
	return l.m.addresses(s)
}
