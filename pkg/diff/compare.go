// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"bytes"
	"debug/elf"
	"fmt"

	"lpatch/pkg/codes"
	"lpatch/pkg/lpelf"
)

// Result describes the differences between two versions of an object.
type Result struct {
	Old, New *Object
	Changed  []Change // functions in both versions, in the order of the new object
	Added    []string // functions only in the new version
	Values   []Value  // variables with a changed initial value; only with Options.Data
	Refusals Refusals
	Warnings []string
	Layouts  []string // types named in Options.LayoutOK whose layout changed
	// OldOf maps each variable of the new object to the variable of the old object whose storage it uses. Variables that are
	// missing from the map are new.
	OldOf map[*lpelf.Symbol]*lpelf.Symbol
	// Unnamed is the same for sections of writable data without symbols.
	Unnamed map[*lpelf.Section]*lpelf.Section
}

// Change is a function that has to be replaced by its new version.
type Change struct {
	Old, New *lpelf.Symbol
	Why      string
}

// Nothing reports whether the objects do not differ in anything that is executed. Added functions alone do not count: nothing
// in this object calls them, although another object may.
func (r *Result) Nothing() bool {
	return len(r.Changed) == 0 && len(r.Values) == 0 && len(r.Refusals) == 0
}

// Options select the changes that a patch may contain besides functions, and the checks that may be skipped.
type Options struct {
	Data bool // accept changed initial values of existing variables, which are refused otherwise
	// LayoutOK names structures whose layout may change, because no instance created by old code is accessed by new code.
	LayoutOK []string
	// NoDebugInfoOK accepts objects without type information. The caller asserts that no types changed.
	NoDebugInfoOK bool
}

type sectionPair struct{ old, new *lpelf.Section }

type comparer struct {
	old, new *Object
	opts     Options
	res      *Result
	newOf    map[*lpelf.Symbol]*lpelf.Symbol // inverse of res.OldOf
	same     map[sectionPair]bool            // completed and running comparisons of whole sections
	supposed map[*lpelf.Symbol]*lpelf.Symbol // tentative pairs, new to old, while tryUser verifies them
}

func newComparer(old, new *Object, opts Options) *comparer {
	return &comparer{
		old: old, new: new, opts: opts, newOf: map[*lpelf.Symbol]*lpelf.Symbol{}, same: map[sectionPair]bool{},
		res: &Result{Old: old, New: new, OldOf: map[*lpelf.Symbol]*lpelf.Symbol{}, Unnamed: map[*lpelf.Section]*lpelf.Section{}},
	}
}

// Compare compares two versions of an object.
func Compare(old, new *Object, opts Options) *Result {
	c := newComparer(old, new, opts)
	c.correlate()
	c.pairNamesakes()
	c.compareFunctions()
	c.compareVariables()
	c.pairUnnamed()
	c.account()
	c.checkJoined()
	c.checkStoredLabels()
	if len(c.res.Changed)+len(c.res.Values) > 0 {
		c.compareLayouts()
		c.checkLate()
	}
	c.res.Refusals = c.res.Refusals.Sorted()
	return c.res
}

func (c *comparer) refuse(symbol string, code codes.Code, format string, args ...any) {
	c.res.Refusals = append(c.res.Refusals, Refusal{Code: code, File: c.new.Name, Symbol: symbol, Text: fmt.Sprintf(format, args...)})
}

// compareFunctions computes Changed and Added. A compiler-generated clone ("foo.isra.0") is compared by its exact name. This
// is sound: a caller that did not change contains the same code for the call in the new object, and therefore matches the new
// clone.
func (c *comparer) compareFunctions() {
	why := map[string]string{}
	var order []string
	for _, n := range c.new.Functions() {
		name := n.Name
		parent, cold := ColdParent(name)
		o := c.old.Lookup(name)
		if o == nil || !o.IsFunc() {
			if !cold {
				c.res.Added = append(c.res.Added, name)
			}
			continue
		}
		if !cold {
			order = append(order, name)
		}
		if c.equalLSDA(o, n) && c.equalUnwind(o, n) && c.equalFunc(o, n) {
			continue
		}
		switch {
		case cold && why[parent] == "":
			why[parent] = "its .cold part changed"
		case !cold:
			why[name] = "changed"
		}
	}
	for _, name := range order {
		if why[name] == "" {
			continue
		}
		c.addChange(c.old.Lookup(name), c.new.Lookup(name), why[name])
	}
	c.compareRenamed()
}

// addChange records a changed function, or refuses it if it cannot be replaced.
func (c *comparer) addChange(o, n *lpelf.Symbol, why string) {
	osec, nsec := c.old.SectionOf(o), c.new.SectionOf(n)
	switch {
	case n.Type == elf.STT_GNU_IFUNC || o.Type == elf.STT_GNU_IFUNC:
		c.refuse(n.Name, codes.IFUNCChanged, "the resolver of an indirect function has run already; leave it as it was, or restart the program")
	case c.divided(o, n) != "":
		c.refuse(n.Name, codes.SharedCode, "the program has one body for this function and for %s, which are two in the new source; change both alike, or neither", c.divided(o, n))
	case osec == nil || nsec == nil || !osec.IsText() || !nsec.IsText():
		c.refuse(n.Name, codes.NoCode, "the function is not in a section of code; compile it as ordinary C")
	case c.renumbered(o, n):
		c.refuseRenumbered(n)
	case o.Value > 0 && n.Value > 0 && len(c.old.SymbolsIn(osec)) == 1 && len(c.new.SymbolsIn(nsec)) == 1:
		c.refuse(n.Name, codes.NotFunctionSections, "the function does not begin where its section does; compile old and new without -fpatchable-function-entry, whatever the target has")
	case !c.ownSection(c.old, o) || !c.ownSection(c.new, n):
		c.refuse(n.Name, codes.NotFunctionSections, "the function shares its section with others; compile old and new with -ffunction-sections -fdata-sections")
	case c.new.DecodeError(nsec) != nil:
		c.refuse(n.Name, codes.UndecodableCode, "the new code does not decode: %v; report it, or leave this function out", c.new.DecodeError(nsec))
	case c.old.DecodeError(osec) != nil:
		c.refuse(n.Name, codes.UndecodableCode, "the old code does not decode: %v; report it, or leave this function out", c.old.DecodeError(osec))
	case c.suspended(n):
	default:
		c.res.Changed = append(c.res.Changed, Change{Old: o, New: n, Why: why})
	}
}

// divided returns the name of a function that has the same body as o in the old object but a different one from n in the new
// object; "" if there is none.
func (c *comparer) divided(o, n *lpelf.Symbol) string {
	osec := c.old.SectionOf(o)
	if osec == nil {
		return ""
	}
	for _, s := range c.old.SymbolsIn(osec) {
		now := c.new.Lookup(s.Name)
		if s.Value == o.Value && s != o && s.IsFunc() && now != nil && now.IsFunc() && (now.Section != n.Section || now.Value != n.Value) {
			return s.Name
		}
	}
	return ""
}

// ownSection reports whether the section of f contains no other function. Aliases do not count.
func (c *comparer) ownSection(obj *Object, f *lpelf.Symbol) bool {
	for _, s := range obj.SymbolsIn(obj.SectionOf(f)) {
		if s.IsFunc() && s.Value != f.Value {
			return false
		}
	}
	return f.Value == 0
}

func (c *comparer) equalFunc(o, n *lpelf.Symbol) bool {
	osec, nsec := c.old.SectionOf(o), c.new.SectionOf(n)
	if osec == nil || nsec == nil || o.Type != n.Type || o.Size != n.Size {
		return false
	}
	if osec.IsText() && nsec.IsText() && c.ownSection(c.old, o) && c.ownSection(c.new, n) { // including what .subsection adds to it
		return osec.Size == nsec.Size && c.equalRange(osec, nsec, 0, 0, osec.Size)
	}
	return c.equalRange(osec, nsec, o.Value, n.Value, o.Size)
}

// equalRange compares a range of two sections: the bytes outside relocated fields, and what the relocations refer to.
func (c *comparer) equalRange(osec, nsec *lpelf.Section, ostart, nstart, size uint64) bool {
	ob, nb := maskedBytes(osec, ostart, size), maskedBytes(nsec, nstart, size)
	return bytes.Equal(ob, nb) && c.equalRefs(osec, nsec, ostart, nstart, size)
}

// equalRefs compares what the relocations in a range of two sections refer to. A section may be nil, which has no
// relocations.
func (c *comparer) equalRefs(osec, nsec *lpelf.Section, ostart, nstart, size uint64) bool {
	or, nr := c.old.refsAt(osec, ostart, size), c.new.refsAt(nsec, nstart, size)
	if len(or) != len(nr) {
		return false
	}
	for i := range or {
		if or[i].Off-ostart != nr[i].Off-nstart || !c.equalRef(or[i], nr[i]) {
			return false
		}
	}
	return true
}

// maskedBytes returns a copy of a range of a section with relocated fields set to zero. SHT_NOBITS sections read as zeros,
// and so does a nil section, as that of a common symbol.
func maskedBytes(s *lpelf.Section, start, size uint64) []byte {
	b := make([]byte, size)
	if s == nil {
		return b
	}
	if start < uint64(len(s.Data)) {
		copy(b, s.Data[start:])
	}
	for _, r := range s.Relocs {
		for i := uint64(0); i < uint64(r.Type.Size); i++ {
			if at := r.Off + i; at >= start && at-start < size {
				b[at-start] = 0
			}
		}
	}
	return b
}

func (o *Object) refsAt(s *lpelf.Section, start, size uint64) []Ref {
	if s == nil {
		return nil
	}
	return refsIn(o.Refs(s), start, size)
}

func refsIn(refs []Ref, start, size uint64) []Ref {
	lo := 0
	for lo < len(refs) && refs[lo].Off < start {
		lo++
	}
	hi := lo
	for hi < len(refs) && refs[hi].Off-start < size {
		hi++
	}
	return refs[lo:hi]
}

// equalRef reports whether two references denote the same entity.
func (c *comparer) equalRef(o, n Ref) bool {
	if o.Type != n.Type {
		return false
	}
	if ow, ok := c.old.Word(o); ok && unnamedWord(o) {
		nw, ok := c.new.Word(n)
		return ok && unnamedWord(n) && c.equalRef(ow, nw)
	}
	oc, olit := Literal(o)
	nc, nlit := Literal(n)
	if olit || nlit {
		return olit && nlit && oc.Content == nc.Content && oc.Off == nc.Off
	}
	ostart, osize, oconst := Constant(o)
	nstart, nsize, nconst := Constant(n)
	if oconst || nconst {
		return oconst && nconst && osize == nsize && o.At-int64(ostart) == n.At-int64(nstart) && c.equalRange(o.Sec, n.Sec, ostart, nstart, osize)
	}
	if o.Sym == nil || n.Sym == nil || o.Sym.Name == "" || n.Sym.Name == "" {
		return c.equalUnnamed(o, n)
	}
	if o.Add != n.Add {
		return false
	}
	ocontent, ncontent := c.old.byContent(o.Sym), c.new.byContent(n.Sym)
	if ocontent && ncontent && o.Sec == nil && n.Sec == nil {
		return o.Sym.Name == n.Sym.Name // symbols of other objects are matched by name
	}
	if ocontent || ncontent {
		return ocontent && ncontent && o.Sec != nil && n.Sec != nil && o.Sym.Size == n.Sym.Size &&
			c.equalRange(o.Sec, n.Sec, o.Sym.Value, n.Sym.Value, o.Sym.Size)
	}
	if old, ok := c.res.OldOf[n.Sym]; ok {
		return old == o.Sym
	}
	if boundElsewhere(o.Sym, n.Sym) {
		return false
	}
	if isVariable(n.Sym) && n.Sec != nil {
		return c.suppose(o.Sym, n.Sym)
	}
	return o.Sym.Name == n.Sym.Name
}

// equalUnnamed compares references to locations without a symbol, such as jump tables and constant pools.
func (c *comparer) equalUnnamed(o, n Ref) bool {
	oNone, nNone := o.Sym == nil || o.Sym.Name == "", n.Sym == nil || n.Sym.Name == ""
	if !oNone || !nNone || (o.Sec == nil) != (n.Sec == nil) || o.At != n.At || o.Add != n.Add {
		return false
	}
	return o.Sec == nil || c.equalSection(o.Sec, n.Sec)
}

// equalSection compares whole sections. A comparison of the same pair that is still running counts as equal; if there is a
// difference, the running comparison finds it.
func (c *comparer) equalSection(o, n *lpelf.Section) bool {
	key := sectionPair{o, n}
	if eq, ok := c.same[key]; ok {
		return eq
	}
	c.same[key] = true
	eq := o.Type == n.Type && o.Size == n.Size && c.equalRange(o, n, 0, 0, o.Size)
	c.same[key] = eq
	return eq
}
