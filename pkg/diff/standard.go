// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/dwarf"
	"path/filepath"
	"strings"

	"lpatch/pkg/debuginfo"
	"lpatch/pkg/lazyregexp"
)

// Types of the C++ standard library are described by few objects: clang leaves that to whoever has a constructor or has
// instantiated a template, which may be the library itself. They do not change with a program. What a version of the library
// declares, it declares for all who use it, and what depends on a macro (_GLIBCXX_DEBUG, the two kinds of strings) has names of
// its own: else no program could be linked with the library.

// libraryDirectory matches where the headers of one version of libstdc++ are.
var libraryDirectory = lazyregexp.New(`^/(?:.*/)?include/(?:[^/]+/)?c\+\+/[0-9][0-9.]*/`)

// libraryOf is the directory of the standard library that a file belongs to; "" for other files.
func libraryOf(file string) string { return libraryDirectory().FindString(filepath.Clean(file)) }

// isStandardName tells whether a type has the name of one of the standard library.
func isStandardName(name string) bool {
	return strings.HasPrefix(name, "std::") || strings.HasPrefix(name, "__gnu_cxx::")
}

// noteLibrary notes which standard libraries an object was compiled with.
func (p *programTypes) noteLibrary(info *debuginfo.Info) {
	for _, u := range info.Units {
		for _, file := range info.Files(u) {
			if dir := libraryOf(file); dir != "" {
				p.libraries[dir] = true
			}
		}
	}
}

// noteStandard notes where a type of the standard library is declared, and what it is made for.
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

// isStandard tells whether a type that the objects of one version alone describe is the standard library's, and is the same in
// both versions, for both were compiled with the headers of one version of it.
func (s *Survey) isStandard(name string) bool {
	dir := s.new.standard[name]
	if dir == "" {
		dir = s.old.standard[name]
	}
	only := func(p *programTypes) bool { // of that version: what depends on the processor is in another directory
		for other := range p.libraries {
			if filepath.Base(other) != filepath.Base(dir) {
				return false
			}
		}
		return p.libraries[dir]
	}
	return dir != "" && only(&s.old) && only(&s.new)
}

// arguments are what a type of the standard library that one version alone describes is made for, which its members may not
// tell.
func (s *Survey) arguments(name string) []string {
	if (len(s.old.layouts[name]) == 0) == (len(s.new.layouts[name]) == 0) {
		return nil
	}
	return append(s.old.arguments[name], s.new.arguments[name]...)
}
