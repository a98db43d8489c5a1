// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"
	"fmt"
	"strings"

	"lpatch/pkg/debuginfo"
	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/names"
)

// identity is what a variable is, whatever number the compiler has given it.
type identity struct {
	scope string // the function that declares it, in C++ with the types of its parameters; "" for the file
	name  string // with the namespaces and classes around it
	known bool   // debug information or the mangled name says so; else it is the symbol without a number
	decl  debuginfo.Static
	local bool   // to a function
	unit  string // the source file, of an object that is made of several
}

func (id *identity) key() string {
	switch {
	case !id.known:
		return "?" + id.name
	case id.local:
		return id.unit + id.scope + "::" + id.name
	}
	return id.unit + id.name
}

// loose is the key without parameters: a function of C++ may get others.
func (id *identity) loose() string {
	end := strings.LastIndexByte(id.scope, ')')
	if end < 0 {
		return id.key()
	}
	depth := 0
	for i := end; i >= 0; i-- {
		switch id.scope[i] {
		case ')':
			depth++
		case '(':
			if depth--; depth == 0 {
				return id.unit + id.scope[:i] + "::" + id.name
			}
		}
	}
	return id.key()
}

// identify tells what a variable is: by the debug information of the place where it is, and in C++ by the mangled name,
// which names the function that declares it wherever that is inlined.
func (o *Object) identify(s *lpelf.Symbol) *identity {
	if id := o.identities[s]; id != nil {
		return id
	}
	id := &identity{name: s.Name, known: s.Bind != elf.STB_LOCAL}
	o.identities[s] = id
	sec := o.SectionOf(s)
	if sec == nil {
		return id
	}
	if info, err := o.Debug(); err == nil && info != nil {
		id.decl, _ = info.Static(sec.Index, s.Value)
	}
	switch {
	case isSet(sec.Name):
		id.name, id.known = fmt.Sprintf("%s+%d", sec.Name, s.Value), true
	case IsTypeData(s.Name):
		id.known = true
	case strings.HasPrefix(s.Name, "_R") && id.decl.Entry != nil: // the name in the source is not enough: its path is that of modules and functions
		id.name, id.known = id.decl.Qualified(), true
	case strings.HasPrefix(s.Name, "_Z"):
		id.name, id.known = numberless(s.Name), true
		if i := strings.LastIndex(id.name, "::"); i >= 0 && strings.HasPrefix(s.Name, "_ZZ") {
			id.scope, id.name, id.local = id.name[:i], id.name[i+2:], true
		}
	case id.decl.Entry == nil || id.decl.Name() == "":
		if s.Bind == elf.STB_LOCAL {
			id.name = baseName(s.Name)
		}
	case s.Bind != elf.STB_LOCAL && !o.IsLate() && id.decl.LinkName() != s.Name: // an alias: what is there has another name, too
	default:
		id.name, id.known = id.decl.Name(), true
		if o.IsLate() && !id.decl.External() {
			id.unit = id.decl.SourceUnit() + ":"
		}
		if f := id.decl.Function(); f != nil {
			id.scope, id.local = f.Name(), true
			if id.scope == "" { // clang leaves it out where all of the function is inlined, and has it in the symbol
				id.scope = strings.TrimSuffix(baseName(s.Name), "."+id.name)
			}
		}
	}
	return id
}

// number is what mangled names have beside the words of the source: which lambda expression or unnamed type of a function.
var number = lazyregexp.New(`(\{(?:lambda|unnamed type)[^#]*#)[0-9]+\}|(\$_)[0-9]+`)

// numberless is a mangled name in the words of its source. Those of two variables or classes that have one name in one
// function are the same: only numbers, by their order, differ.
func numberless(symbol string) string {
	if m := promoted().FindStringSubmatch(symbol); m != nil {
		symbol = m[1]
	}
	return number().ReplaceAllString(names.Readable(symbol), "$1$2")
}

// promoted is a static one that LLVM made global for another module, which pkg/build gives one name in all objects.
var promoted = lazyregexp.New(`^(_.+)\.llvm\.[0-9]+$`)

// IsReadOnly tells whether no program changes what is in a section.
func IsReadOnly(s *lpelf.Section) bool { return isReadOnly(s) }

// isReadOnly tells whether no program changes what is in a section.
func isReadOnly(s *lpelf.Section) bool {
	return s != nil && (s.Flags&elf.SHF_WRITE == 0 || strings.HasPrefix(s.Name, ".data.rel.ro"))
}
