// SPDX-License-Identifier: GPL-2.0

package mitigate

import (
	"debug/elf"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lpatch/pkg/arch"
	"lpatch/pkg/codes"
	"lpatch/pkg/ehframe"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/names"
	"lpatch/pkg/patch"
)

// function is the function that the options select.
type function struct {
	name       string
	start, end uint64
}

func (m *maker) find() (function, error) {
	var fn function
	var err error
	if m.o.Address != "" {
		fn, err = m.byAddress()
	} else {
		fn, err = m.byName()
	}
	if err != nil {
		return fn, err
	}
	m.fn = fn
	if err := m.checkText(); err != nil {
		return fn, err
	}
	if strings.HasSuffix(fn.name, ".cold") {
		return fn, m.refuse(codes.ColdPart, "it is a part of %s that is not called by itself; name that", strings.TrimSuffix(fn.name, ".cold"))
	}
	if slot, ok := m.im.Slots.PLT[fn.start]; ok {
		return fn, m.refuse(codes.Import, "it is the entry in the PLT for %s; name the library that has that with --target", m.im.Slots.ByVaddr[slot].Symbol)
	}
	if sec := m.sectionAt(fn.start); sec != nil && strings.Contains(sec.Name, "plt") {
		return fn, m.refuse(codes.Import, "it is in %s, which the linker has made for calls of other files; name the library that has the function with --target", sec.Name)
	}
	if m.o.Address != "" {
		err = m.proveStart()
	}
	return fn, err
}

// checkText refuses an address that is not in code, or not in code that a patch can change.
func (m *maker) checkText() error {
	code := m.im.Code(m.fn.start)
	if uint64(len(code)) < m.fn.end-m.fn.start || m.fn.end <= m.fn.start {
		return m.refuse(codes.NotAFunction, "there is no code of the file at %#x", m.fn.start)
	}
	for _, p := range m.im.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 {
			if m.fn.start >= p.Vaddr && m.fn.end <= p.Vaddr+p.Memsz {
				return nil
			}
			break
		}
	}
	return m.refuse(codes.NotAFunction, "it is not in the first executable segment of the file, and patches change no other")
}

func (m *maker) sectionAt(addr uint64) *lpelf.Section {
	for _, s := range m.im.Sections {
		if s.Flags&elf.SHF_ALLOC != 0 && addr >= s.Addr && addr-s.Addr < s.Size {
			return s
		}
	}
	return nil
}

// wanted is the name of a function with optional qualifiers.
type wanted struct{ name, source, version string }

func wantedBy(text string) wanted {
	w := wanted{name: text}
	if i := strings.Index(text, ":"); i > 0 && !strings.HasPrefix(text[i:], "::") {
		w.source, w.name = text[:i], text[i+1:]
	}
	if name, version, ok := strings.Cut(w.name, "@"); ok {
		w.name, w.version = name, strings.TrimLeft(version, "@")
	}
	return w
}

// is reports whether a symbol has the requested source file and version.
func (w wanted) is(s *lpelf.Symbol) bool {
	return (w.source == "" || s.File == w.source || filepath.Base(s.File) == w.source) && (w.version == "" || s.Version == w.version)
}

// byName finds the only function with the name. A global symbol takes precedence over local ones.
func (m *maker) byName() (function, error) {
	w := wantedBy(m.o.Function)
	symbols := map[string][]*lpelf.Symbol{}
	m.eachSymbol(func(s *lpelf.Symbol) {
		if w.is(s) {
			symbols[s.Name] = append(symbols[s.Name], s)
		}
	})
	var all []string
	for name := range symbols {
		all = append(all, name)
	}
	slices.Sort(all)
	var found []*lpelf.Symbol
	for _, name := range names.Meant(all, w.name, patch.MaxNameLen) {
		found = append(found, symbols[name]...)
	}
	if i := slices.IndexFunc(found, func(s *lpelf.Symbol) bool { return s.Bind != elf.STB_LOCAL }); i >= 0 {
		found = slices.DeleteFunc(found, func(s *lpelf.Symbol) bool { return s.Bind == elf.STB_LOCAL })
	}
	slices.SortStableFunc(found, func(a, b *lpelf.Symbol) int { return int(int64(a.Value - b.Value)) })
	places := slices.CompactFunc(slices.Clone(found), func(a, b *lpelf.Symbol) bool { return a.Value == b.Value })
	switch len(places) {
	case 0:
		return function{}, m.absent(w)
	case 1:
		return m.bySymbol(places[0])
	}
	return function{}, m.several(places)
}

// eachSymbol calls visit for the function symbols in both symbol tables, because only the dynamic one has all versions.
func (m *maker) eachSymbol(visit func(*lpelf.Symbol)) {
	see := func(s *lpelf.Symbol) {
		if s.Name != "" && s.Defined() && (s.IsFunc() || s.Type == elf.STT_NOTYPE && m.im.Code(s.Value) != nil) {
			visit(s)
		}
	}
	m.im.EachSymbol(see)
	for _, s := range m.im.DynSymbols {
		see(s)
	}
}

func (m *maker) bySymbol(s *lpelf.Symbol) (function, error) {
	fn := function{name: s.Name, start: s.Value, end: s.Value + s.Size}
	m.fn = fn
	if s.Type == elf.STT_GNU_IFUNC {
		return fn, m.refuse(codes.IndirectFunction, "at its symbol is the code that chooses one of several implementations when the program starts; name the one that is used")
	}
	if s.Size > 0 {
		return fn, nil
	}
	for _, e := range m.im.Extents() {
		if e.Start == s.Value {
			fn.end = e.End
			return fn, nil
		}
	}
	return fn, m.refuse(codes.ExtentUnknown, "neither its symbol nor an unwind table tells how long it is; choose one that calls it")
}

// absent returns an error that explains why there is no function of this name.
func (m *maker) absent(w wanted) error {
	for _, s := range m.im.DynSymbols {
		if s.Name == w.name && !s.Defined() && w.name != "" {
			return m.refuse(codes.Import, "the target has it from another file; name the library that defines it with --target")
		}
	}
	other := false
	m.im.EachSymbol(func(s *lpelf.Symbol) { other = other || s.Name == w.name && w.is(s) })
	switch {
	case other:
		return m.refuse(codes.NotAFunction, "this is no function")
	case !m.im.Named:
		return m.refuse(codes.NeedsSymbols, "the target is stripped and does not export it; name an unstripped build of exactly the target, or its debug file, "+
			"with --symbols, or say where the function begins with --offset")
	}
	return m.refuse(codes.NoSuchFunction, `the target has no function of this name; "nm" lists them, and one that was put into all its callers is not among them`)
}

// several returns an error that lists the functions with the name.
func (m *maker) several(places []*lpelf.Symbol) error {
	var list []string
	for _, s := range places {
		text := s.Name
		if s.Bind == elf.STB_LOCAL && s.File != "" {
			text = s.File + ":" + text
		}
		if s.Version != "" {
			text += "@" + s.Version
		}
		list = append(list, text)
	}
	slices.Sort(list)
	if n := len(list); len(slices.Compact(slices.Clone(list))) < n {
		list = nil
		for _, s := range places {
			list = append(list, fmt.Sprintf("%#x", s.Value))
		}
		return m.refuse(codes.FunctionAmbiguous, "the target has %d functions of this name; say which one with --offset: %s", len(list), strings.Join(list, ", "))
	}
	return m.refuse(codes.FunctionAmbiguous, "the target has %d functions of this name; say which one: %s", len(list), strings.Join(list, ", "))
}

// byAddress accepts an address at which an FDE starts.
func (m *maker) byAddress() (function, error) {
	at, err := strconv.ParseUint(m.o.Address, 0, 64)
	if err != nil {
		return function{}, fmt.Errorf("--offset %.40q: is no number", m.o.Address)
	}
	m.o.Address = fmt.Sprintf("%#x", at)
	if m.im.Code(at) == nil {
		return function{}, m.refuse(codes.NotAFunction, "there is no code of the file at this address")
	}
	all := m.im.Extents()
	i := slices.IndexFunc(all, func(e ehframe.Range) bool { return e.Start == at })
	if i < 0 {
		if start, ok := ehframe.At(all, at); ok {
			return function{}, m.refuse(codes.NotAFunction, "it is in the middle of what begins at %#x; name the start", start)
		}
		return function{}, m.refuse(codes.NotAFunction, "no unwind table of the file begins at this address, so it is not known to be the start of a function; name the symbol")
	}
	fn := function{name: m.o.Address, start: at, end: all[i].End}
	if known := m.im.FunctionsAt(at); len(known) > 0 {
		fn.name = slices.Min(known)
	}
	return fn, nil
}

// proveStart proves that a function starts at the address, and not a part of one with an FDE of its own: the FDE must have
// the state of a function entry, and there must be references other than jumps.
func (m *maker) proveStart() error {
	rules, err := m.rules()
	if err != nil {
		return err
	}
	if rules.CFAAt(0) != ehframe.AtEntry {
		return m.refuse(codes.ColdPart, "what begins there has a frame already, so it is a part of another function; name the start of that")
	}
	return m.checkUsers()
}

// checkUsers refuses an address that is only reached by jumps.
func (m *maker) checkUsers() error {
	jump := uint64(0)
	for _, from := range m.im.UsersOf(m.fn.start, m.fn.start+1) {
		in, err := m.im.Arch.Decode(m.im.Code(from))
		switch {
		case err == nil && in.Kind == arch.Jcc:
			return m.refuse(codes.ColdPart, "%s jumps there under a condition, as to a part of a function and not to one; name the start", m.im.Place(from))
		case err == nil && in.Kind == arch.Jmp:
			jump = from
		default:
			return nil
		}
	}
	if jump == 0 || m.exported() {
		return nil
	}
	for _, s := range m.im.Slots.ByVaddr {
		if s.Type.Meaning == arch.Relative && uint64(s.Addend) == m.fn.start {
			return nil
		}
	}
	return m.refuse(codes.ColdPart, "nothing but the jump in %s is known to lead there, so it may be a part of a function; name the start", m.im.Place(jump))
}

func (m *maker) exported() bool {
	return slices.ContainsFunc(m.im.DynSymbols, func(s *lpelf.Symbol) bool { return s.Defined() && s.IsFunc() && s.Value == m.fn.start })
}

// rules returns the call frame rules of the function.
func (m *maker) rules() (*ehframe.Rules, error) {
	sec := m.im.Section(".eh_frame")
	if sec == nil {
		return nil, m.refuse(codes.NoUnwindTable, "%s", noUnwind)
	}
	rules, err := ehframe.RulesOf(sec.Data, sec.Addr, m.fn.start)
	switch {
	case err != nil:
		return nil, m.refuse(codes.NoUnwindTable, "its unwind table is not understood: %v; use --return or --trap", err)
	case rules == nil:
		return nil, m.refuse(codes.NoUnwindTable, "%s", noUnwind)
	}
	return rules, nil
}

const noUnwind = "the file has no unwind table for it, so that backtraces could not be told how its first instructions work elsewhere; use --return or --trap"
