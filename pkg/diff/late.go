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

// LateSuffix ends the name of an object that is all that link-time optimisation has made of a program or library.
const LateSuffix = ".lto.o"

// The names of local symbols in such an object have numbers that tell of the order in which the linker got things, and what is
// local depends on how it has divided the program. So before anything is compared, functions and variables get the names and
// bindings of their source: what is static is local, and is told from others of its name by the file that it is from.

// lateNames gives the symbols of an object the names that they have in the source.
type lateNames struct {
	f     *lpelf.File
	info  *debuginfo.Info
	units map[string]map[string]bool // the files that have a static function, by its name
	taken map[string]*lpelf.Symbol
}

// NameLate gives the symbols of an object of such a name the names and bindings of the source. It returns what it has read of the
// debug information for that, or nil.
func NameLate(object string, f *lpelf.File) *debuginfo.Info {
	if !strings.HasSuffix(object, LateSuffix) {
		return nil
	}
	info, err := debuginfo.Read(f)
	if err != nil {
		return nil // without types it is refused
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

// rename gives a symbol another name, and its section, too.
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

// bindAsSource takes back what link-time optimisation has done to the binding of a symbol: it makes local what no other file sees,
// and hidden what was local where it has divided the program.
func bindAsSource(s *lpelf.Symbol, external bool) {
	switch {
	case external && s.Bind == elf.STB_LOCAL:
		s.Bind, s.Vis = elf.STB_GLOBAL, elf.STV_HIDDEN
	case !external && s.Bind != elf.STB_LOCAL && s.Vis == elf.STV_HIDDEN:
		s.Bind, s.Vis = elf.STB_LOCAL, elf.STV_DEFAULT
	}
}

// plainWord is the name of a file without what may mean something in the name of a symbol.
func plainWord(file string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, strings.TrimLeft(file, "./"))
}

// variable names a variable: debug information says what it is, so that the name has only to be another one than those of others.
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

// IsLate tells whether the object is what link-time optimisation has made.
func (o *Object) IsLate() bool { return strings.HasSuffix(o.Name, LateSuffix) }

// checkLate refuses a changed function of which the debug information does not tell, so that nothing is known of the types that
// it uses: of its source there was none when the linker had it.
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
