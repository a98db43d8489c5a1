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

// identity is what makes a variable the same in both versions, independent of the numbers that the compiler puts in its
// symbol name.
type identity struct {
	scope string // function that declares it, in C++ with the types of its parameters; "" at file scope
	name  string // name, qualified with namespaces and classes
	known bool   // derived from debug information or the mangled name; otherwise name is the symbol name without its number
	decl  debuginfo.Static
	local bool   // declared in a function
	unit  string // source file, if the object consists of several
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

// loose returns the key without the parameter types of the function, which may have changed.
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

// identify returns the identity of a variable. It is derived from the debug information for its address or, in C++, from the
// mangled name, which names the declaring function even if this function is inlined elsewhere.
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
	case strings.HasPrefix(s.Name, "_R") && id.decl.Entry != nil: // the source name is ambiguous, so use the path of modules and functions
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
			if id.scope == "" { // clang omits the name in DWARF if the function is inlined everywhere, but the symbol contains it
				id.scope = strings.TrimSuffix(baseName(s.Name), "."+id.name)
			}
		}
	}
	return id
}

// number matches the numbers in demangled names that are not part of the source: those of lambda expressions and unnamed
// types.
var number = lazyregexp.New(`(\{(?:lambda|unnamed type)[^#]*#)[0-9]+\}|(\$_)[0-9]+`)

// numberless returns the demangled form of a symbol without these numbers. Variables or classes of the same name in one
// function have the same numberless name.
func numberless(symbol string) string {
	if m := promoted().FindStringSubmatch(symbol); m != nil {
		symbol = m[1]
	}
	return number().ReplaceAllString(names.Readable(symbol), "$1$2")
}

// promoted matches a static symbol that LLVM made global for use by another module. pkg/build gives it the same name in all
// objects.
var promoted = lazyregexp.New(`^(_.+)\.llvm\.[0-9]+$`)

// IsReadOnly reports whether the program cannot modify the content of s.
func IsReadOnly(s *lpelf.Section) bool { return isReadOnly(s) }

// isReadOnly reports whether the program cannot modify the content of s.
func isReadOnly(s *lpelf.Section) bool {
	return s != nil && (s.Flags&elf.SHF_WRITE == 0 || strings.HasPrefix(s.Name, ".data.rel.ro"))
}
