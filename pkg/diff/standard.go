// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/dwarf"
	"path/filepath"
	"strings"

	"lpatch/pkg/debuginfo"
	"lpatch/pkg/lazyregexp"
)

// Few objects contain complete descriptions of C++ standard library types: clang emits them only where a constructor or a
// template is instantiated, which may be in the library itself. These types do not change with the program. All users of one
// version of the library share its declarations, and variants that depend on a macro (_GLIBCXX_DEBUG, the two string ABIs)
// have different names; otherwise no program could be linked with the library.

// libraryDirectory matches the directory of the headers of one version of libstdc++.
var libraryDirectory = lazyregexp.New(`^/(?:.*/)?include/(?:[^/]+/)?c\+\+/[0-9][0-9.]*/`)

// libraryOf returns the directory of the standard library headers that contains file, or "".
func libraryOf(file string) string { return libraryDirectory().FindString(filepath.Clean(file)) }

// isStandardName reports whether name is that of a standard library type.
func isStandardName(name string) bool {
	return strings.HasPrefix(name, "std::") || strings.HasPrefix(name, "__gnu_cxx::")
}

// noteLibrary records the standard library versions with which an object was compiled.
func (p *programTypes) noteLibrary(info *debuginfo.Info) {
	for _, u := range info.Units {
		for _, file := range info.Files(u) {
			if dir := libraryOf(file); dir != "" {
				p.libraries[dir] = true
			}
		}
	}
}

// noteStandard records where a standard library type is declared, and its template arguments.
func (p *programTypes) noteStandard(name string, e *debuginfo.Entry) {
	if !isStandardName(name) || p.standard[name] != "" {
		return
	}
	if file, _, ok := e.Source(); ok && libraryOf(file) != "" {
		p.standard[name] = libraryOf(file)
		for _, c := range e.Children {
			if c.Tag == dwarf.TagTemplateTypeParameter {
				p.arguments[name] = append(p.arguments[name], typesIn(c.Type())...)
			}
		}
	}
}

// isStandard reports whether a type that only the objects of one version describe belongs to the standard library and is
// therefore unchanged: both versions were compiled with headers of the same library version.
func (s *Survey) isStandard(name string) bool {
	dir := s.new.standard[name]
	if dir == "" {
		dir = s.old.standard[name]
	}
	only := func(p *programTypes) bool { // the only version; architecture-dependent headers are in another directory
		for other := range p.libraries {
			if filepath.Base(other) != filepath.Base(dir) {
				return false
			}
		}
		return p.libraries[dir]
	}
	return dir != "" && only(&s.old) && only(&s.new)
}

// arguments returns the template arguments of a standard library type that only one version describes. They may not appear in
// its members.
func (s *Survey) arguments(name string) []string {
	if (len(s.old.layouts[name]) == 0) == (len(s.new.layouts[name]) == 0) {
		return nil
	}
	return append(s.old.arguments[name], s.new.arguments[name]...)
}
