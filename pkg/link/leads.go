package link

import (
	"debug/elf"
	"slices"
	"strings"

	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// lead is where the image's code leads a name: an address of the image, or, through a word that the dynamic linker fills,
// a symbol that it looks up.
type lead struct {
	vaddr         uint64
	name, version string
}

// leads says where the image's code leads each name that is not local to an object. A linker may send a reference
// elsewhere than to the symbol of its name (--wrap), and the symbol table does not tell.
type leads map[string][]lead

func (a leads) add(name string, l lead) {
	if !slices.Contains(a[name], l) {
		a[name] = append(a[name], l)
	}
}

// leadTo says what a reference to an address of the image means: through a PLT entry, the symbol of its word, or the indirect
// function whose choice it holds.
func (im *Image) leadTo(addr uint64) lead {
	if slot, ok := im.Slots.PLT[addr]; ok {
		switch s := im.Slots.ByVaddr[slot]; {
		case s.Symbol != "":
			return lead{name: s.Symbol, version: s.Version}
		case s.Type == elf.R_X86_64_IRELATIVE:
			return lead{vaddr: uint64(s.Addend)}
		}
	}
	return lead{vaddr: addr}
}

// meaning is the key of a symbol in leads: its name, and the version if it asks for one.
func meaning(s *lpelf.Symbol) string {
	if s.Version == "" {
		return s.Name
	}
	return s.Name + "@" + s.Version
}

// versioned returns what the image defines for a symbol of an object: the default version, or exactly the one that it asks for.
func (im *Image) versioned(s *lpelf.Symbol) *lpelf.Symbol {
	for _, d := range im.dyn[s.Name] {
		if s.Version == d.Version && s.Version != "" || s.Version == "" && !d.Hidden && len(im.dyn[s.Name]) > 1 {
			return d
		}
	}
	g := im.Global(s.Name)
	if g != nil && s.Version != "" && s.Version != g.Version {
		return nil
	}
	return g
}

// note takes down where a reference leads. Only the matcher of leadsOf does; it takes any place that a name leads to.
func (m *matcher) note(s *lpelf.Symbol, l lead) bool {
	if m.leads == nil || s == nil || s.Bind == elf.STB_LOCAL || s.Name == "" {
		return false
	}
	if g := m.im.Global(l.name); g != nil && !m.im.Shared() {
		l = lead{vaddr: g.Value} // nobody comes before the program
	}
	m.leads.add(meaning(s), l)
	return true
}

// leadsOf reads where the image leads the names that an old object's functions refer to: those functions of which the
// symbol table knows the place, and whose code is there.
func (im *Image) leadsOf(obj *diff.Object, block int) leads {
	all := leads{}
	m := newMatcher(im, obj, block)
	for _, f := range obj.Functions() {
		if _, cold := diff.ColdParent(f.Name); cold || len(m.addresses(f)) != 1 {
			continue
		}
		m.leads = leads{}
		if m.function(f) != nil {
			continue
		}
		for name, list := range m.leads {
			for _, l := range list {
				all.add(name, l)
			}
		}
	}
	return all
}

// leadsIn are those of an input's old object, read once.
func (l *linker) leadsIn(in *Input) leads {
	if in.Loc == nil {
		return nil
	}
	if _, done := l.leads[in]; !done {
		l.leads[in] = l.im.leadsOf(in.Loc.Obj, in.Loc.Block)
	}
	return l.leads[in]
}

// oldLeads returns where old code leads a symbol: that of the same object, else that of the others.
func (l *linker) oldLeads(in *Input, s *lpelf.Symbol) []lead {
	name := meaning(s)
	if own := l.leadsIn(in)[name]; len(own) > 0 {
		return own
	}
	var out []lead
	take := func(list []lead) {
		for _, a := range list {
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	for _, other := range l.inputs {
		take(l.leadsIn(other)[name])
	}
	if len(out) > 0 || !l.doubtful(s.Name) {
		return out
	}
	for _, a := range l.otherLeads() {
		take(a[name])
	}
	return out
}

// otherLeads are those of all old objects, read only where nothing else tells.
func (l *linker) otherLeads() []leads {
	if l.others == nil && l.opts.Olds != nil {
		for _, obj := range l.opts.Olds() {
			if blocks := l.im.blocksFor(obj); len(blocks) == 1 {
				l.others = append(l.others, l.im.leadsOf(obj, blocks[0]))
			}
		}
	}
	return l.others
}

const (
	wrapPrefix = "__wrap_"
	realPrefix = "__real_"
)

// doubtful tells of a name that the symbol table may not say the truth about: with --wrap, a linker leads NAME to
// __wrap_NAME and __real_NAME to NAME; and another file may define what a library exports.
func (l *linker) doubtful(name string) bool {
	return l.im.Global(wrapPrefix+name) != nil || strings.HasPrefix(name, realPrefix) && l.im.Global(name) == nil || l.im.exportsFunction(name)
}

// isWrap tells whether --wrap leads a name to a place.
func (im *Image) isWrap(name string, to lead) bool {
	other := wrapPrefix + name
	if bare, ok := strings.CutPrefix(name, realPrefix); ok && im.Global(name) == nil {
		other = bare
	}
	g := im.Global(other)
	return to.name == other || to.name == "" && g != nil && g.Value == to.vaddr
}

// byOldCode resolves a name as old code had it resolved. done is false where nothing is known but the symbol table.
func (l *linker) byOldCode(c *chunk, r diff.Ref) (d dest, done, ok bool) {
	name := r.Sym.Name
	found := l.oldLeads(c.in, r.Sym)
	g := l.im.versioned(r.Sym)
	switch {
	case len(found) == 0 && l.im.Global(wrapPrefix+name) != nil:
		l.refuse(c.in, name, "reference-ambiguous", "no old code refers to this symbol, and %s has %s, to which the linker leads it with --wrap; refer to the one that is meant by its own name",
			l.im.Path, wrapPrefix+name)
		return dest{}, true, false
	case len(found) == 0:
		return dest{}, false, true
	case len(found) > 1:
		l.refuse(c.in, name, "reference-ambiguous", "references of the old code to this symbol lead to different places of %s (%s); refer to the one that is meant by another name",
			l.im.Path, l.im.leadNames(found))
		return dest{}, true, false
	}
	to := found[0]
	switch {
	case g != nil && l.im.leadTo(g.Value) == to, to.name == name && g != nil && !l.im.isWrap(name, to), to == lead{}:
		return dest{}, false, true
	case g != nil && !l.im.isWrap(name, to) && !slices.ContainsFunc(l.im.global[name], func(s *lpelf.Symbol) bool { return s.Value == to.vaddr }):
		l.refuse(c.in, name, "reference-ambiguous", "the old code leads this symbol to %s of %s, where the symbol table does not have it; refer to the one that is meant by another name",
			l.im.leadNames(found), l.im.Path)
		return dest{}, true, false
	case to.name != "":
		d = dest{imported: to.name, version: to.version}
		known := len(l.importSlots(d)) > 0
		return d, known, known
	}
	if s := l.im.symbolAt(to.vaddr); s != nil {
		d, ok = l.entry(c.in, s, to.vaddr)
		return d, true, ok
	}
	return inImage(to.vaddr), true, true
}

// leadNames lists places by the names that they have.
func (im *Image) leadNames(list []lead) string {
	var out []string
	for _, a := range list {
		s := im.symbolAt(a.vaddr)
		switch {
		case a.name != "":
			out = append(out, a.name)
		case s != nil:
			out = append(out, s.Name)
		default:
			out = append(out, "unnamed code or data")
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// symbolAt returns a global symbol at an address, or nil.
func (im *Image) symbolAt(addr uint64) *lpelf.Symbol {
	var best *lpelf.Symbol
	for _, list := range im.global {
		for _, s := range list {
			if s.Value == addr && s.Type != elf.STT_TLS && (best == nil || s.Name < best.Name) {
				best = s
			}
		}
	}
	return best
}

// same tells whether the symbol of a word is what an object's symbol means.
func (im *Image) same(s *lpelf.Symbol, name string) bool {
	return s.Name == name || s.Section == elf.SHN_UNDEF && name != "" && im.isWrap(s.Name, lead{name: name})
}
