// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"
	"slices"
	"strconv"
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/debuginfo"
	"lpatch/pkg/lpelf"
)

// LateSuffix is the suffix of the name of an object that contains the complete output of link-time optimisation for a program
// or library.
const LateSuffix = ".lto.o"

// In such an object, the names of local symbols have numeric suffixes that depend on the order of the linker's input, and the
// binding of a symbol depends on how the linker partitioned the program. Therefore functions and variables are renamed and
// rebound as in their source before any comparison: static symbols become local, and the name of the source file
// distinguishes those that share a name.

// lateNames restores the source names of the symbols of an object.
type lateNames struct {
	f     *lpelf.File
	info  *debuginfo.Info
	units map[string]map[string]bool // name of a static function -> source files that define one
	taken map[string]*lpelf.Symbol
}

// NameLate restores the names and bindings of the symbols of f as in the source, if the object name has LateSuffix. It
// returns the debug information that it has read for this purpose, or nil.
func NameLate(object string, f *lpelf.File) *debuginfo.Info {
	if !strings.HasSuffix(object, LateSuffix) {
		return nil
	}
	info, err := debuginfo.Read(f)
	if err != nil {
		return nil // the object will be refused because it has no type information
	}
	l := lateNames{f: f, info: info, units: map[string]map[string]bool{}, taken: map[string]*lpelf.Symbol{}}
	info.EachFunction(func(e *debuginfo.Entry) {
		name, unit := e.LinkName(), e.SourceUnit()
		if e.External() || name == "" || unit == "" {
			return
		}
		if l.units[name] == nil {
			l.units[name] = map[string]bool{}
		}
		l.units[name][unit] = true
	})
	var variables []*lpelf.Symbol
	for _, s := range f.Symbols {
		switch {
		case s.Name == "" || s.Section == elf.SHN_UNDEF || s.Type == elf.STT_SECTION || s.Type == elf.STT_FILE:
		case s.IsFunc():
			l.function(s)
		case isVariable(s):
			variables = append(variables, s)
		}
	}
	for _, s := range variables {
		l.variable(s)
	}
	return info
}

// rename renames a symbol, and its section if that is named after it.
func (l *lateNames) rename(s *lpelf.Symbol, name string) {
	if s.Linked == "" {
		s.Linked = s.Name
	}
	if sec := l.f.SectionOf(s); sec != nil && s.Value == 0 && strings.HasSuffix(sec.Name, "."+s.Name) {
		sec.Name = strings.TrimSuffix(sec.Name, s.Name) + name
	}
	s.Name = name
	l.taken[name] = s
}

func (l *lateNames) function(s *lpelf.Symbol) {
	e := l.info.Function(int(s.Section), s.Value)
	stem := ""
	if e != nil {
		stem = e.LinkName()
	}
	rest, ok := strings.CutPrefix(s.Name, stem)
	if stem == "" || !ok || rest != "" && rest[0] != '.' {
		l.taken[s.Name] = s
		return
	}
	rest = lpelf.Unnumbered(rest)
	bindAsSource(s, e.External() && rest == "")
	if e.External() {
		l.rename(s, stem+rest)
		return
	}
	if strings.Trim(rest, ".0123456789") == "" && e.ByClang() {
		rest = ""
	}
	if len(l.units[stem]) > 1 {
		rest = "." + plainWord(e.SourceUnit()) + rest
	}
	if other := l.taken[stem+rest]; other != nil && other != s {
		l.taken[s.Name] = s
		return
	}
	l.rename(s, stem+rest)
}

// bindAsSource reverts the changes that link-time optimisation made to the binding of a symbol: it makes symbols local that
// no other file refers to, and makes local symbols hidden if another partition refers to them.
func bindAsSource(s *lpelf.Symbol, external bool) {
	switch {
	case external && s.Bind == elf.STB_LOCAL:
		s.Bind, s.Vis = elf.STB_GLOBAL, elf.STV_HIDDEN
	case !external && s.Bind != elf.STB_LOCAL && s.Vis == elf.STV_HIDDEN:
		s.Bind, s.Vis = elf.STB_LOCAL, elf.STV_DEFAULT
	}
}

// plainWord returns the name of a file with all characters replaced that could be significant in a symbol name.
func plainWord(file string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, strings.TrimLeft(file, "./"))
}

// variable renames a variable. Debug information identifies variables, so that the new name only has to be unique.
func (l *lateNames) variable(s *lpelf.Symbol) {
	name := lpelf.Unnumbered(s.Name)
	if d, ok := l.info.Static(int(s.Section), s.Value); ok {
		bindAsSource(s, d.External() && d.Function() == nil && name == d.LinkName())
	}
	for n := 0; s.Bind == elf.STB_LOCAL && l.taken[name] != nil; n++ {
		name = baseName(lpelf.Unnumbered(s.Name)) + "." + strconv.Itoa(n)
	}
	l.rename(s, name)
}

// IsLate reports whether the object is the output of link-time optimisation.
func (o *Object) IsLate() bool { return strings.HasSuffix(o.Name, LateSuffix) }

// checkLate refuses a changed function without debug information, because the types that it uses are unknown: its source file
// was compiled without -g before link-time optimisation.
func (c *comparer) checkLate() {
	if !c.new.IsLate() || c.opts.NoDebugInfoOK {
		return
	}
	for _, ch := range c.res.Changed {
		for _, side := range []struct {
			obj *Object
			f   *lpelf.Symbol
		}{{c.old, ch.Old}, {c.new, ch.New}} {
			info, err := side.obj.Debug()
			if err == nil && info.Function(int(side.f.Section), side.f.Value) == nil && !slices.ContainsFunc(c.res.Refusals, func(r Refusal) bool { return r.Code == codes.NoDebugInfo }) {
				c.refuse(ch.New.Name, codes.NoDebugInfo, "link-time optimisation had no debug information of the function, so it is not known whether types changed; compile its source with -g, or say --no-debug-info-ok if none did")
			}
		}
	}
}
