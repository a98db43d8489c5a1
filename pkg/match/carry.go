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

// Where the image carries patches (image.Carry), the old objects are of a source with their fixes, and the image is of one
// without. So names that compilers number by their order do not mean the same in both.

var (
	number = lazyregexp.New(`\.[0-9]+`)
	// ofFunction matches names of variables that belong to a function, of which there may be several: count.1, four.count, and
	// C++'s mangled _ZZ4fourvE5count_0.
	ofFunction = lazyregexp.New(`.\.|^_Z(GV|TH|TW|GR)?Z`)
	// local matches names of functions that compilers number.
	local         = lazyregexp.New(`\.[0-9]+|^_ZZ`)
	discriminator = lazyregexp.New(`_[0-9]+_?$`)
)

// numbered tells of a symbol that its name has a number, or none where others have one, and that an image that carries patches
// may have that name for another one.
func (m *matcher) numbered(s *lpelf.Symbol) bool {
	if len(m.im.Patches()) == 0 || s.Section == elf.SHN_UNDEF {
		return false
	}
	if s.IsFunc() {
		return s.Bind == elf.STB_LOCAL && local().MatchString(s.Name)
	}
	return ofFunction().MatchString(s.Name)
}

// stem is a name without what numbers it.
func stem(name string) string {
	if rest, ok := strings.CutPrefix(name, "_Z"); ok && ofFunction().MatchString("_Z"+rest) {
		return discriminator().ReplaceAllString(name, "")
	}
	return number().ReplaceAllString(name, "")
}

// alike lists where the variables of an object's source are that have a name of that kind, whatever its number.
func (m *matcher) alike(s *lpelf.Symbol) []uint64 {
	var out []uint64
	for _, l := range m.im.Locals(m.block) {
		if l.Type == s.Type && stem(l.Name) == stem(s.Name) && !slices.Contains(out, l.Value) {
			out = append(out, l.Value)
		}
	}
	return out
}

// replaced drops, of places of functions, those that come to the code of another one of them.
func (m *matcher) replaced(addrs []uint64) []uint64 {
	var out []uint64
	for _, a := range addrs {
		if !slices.ContainsFunc(out, func(o uint64) bool { return m.im.CodeOf(o) == m.im.CodeOf(a) }) {
			out = append(out, a)
		}
	}
	return out
}

// doubt is an error for a symbol of which the names do not say what it is, where no code has told.
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

// askUsers has the code tell where a variable is: that of any function which refers to it.
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

// Doubted lists where a symbol may be of which names do not say it, in an image that carries patches.
func (l *Located) Doubted(s *lpelf.Symbol) []uint64 {
	if len(l.m.im.Patches()) == 0 {
		return nil
	}
	return l.m.addresses(s)
}
