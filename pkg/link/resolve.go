// SPDX-License-Identifier: GPL-2.0

package link

import (
	"debug/elf"
	"fmt"
	"maps"
	"slices"

	"lpatch/pkg/arch"
	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// refuse records a refusal about the object that a chunk comes from.
func (l *linker) refuse(in *Input, symbol string, code codes.Code, format string, args ...any) {
	l.refusals = append(l.refusals, diff.Refusal{Code: code, File: in.Diff.New.Name, Symbol: symbol, Text: fmt.Sprintf(format, args...)})
}

// resolve returns the target of a reference in a new object. ok is false if it was refused.
func (l *linker) resolve(c *chunk, r diff.Ref) (dest, bool) {
	if lit, ok := diff.Literal(r); ok {
		return inPatch(l.addLiteral(lit.Content, lit.Align), lit.Off), true
	}
	if start, size, ok := diff.Constant(r); ok {
		return inPatch(l.addConstant(c.in, r.Sec, start, size), r.At-int64(start)), true
	}
	if r.Sec == nil {
		return l.resolveName(c, r)
	}
	if r.Sec.IsText() {
		return l.resolveCode(c, r)
	}
	if r.Sym == nil || r.Sym.Name == "" || diff.ByContent(r.Sym) {
		return l.resolveUnnamed(c, r)
	}
	return l.resolveData(c, r)
}

// resolveCode resolves a reference to code of the same object. A function with a site is reached through its old entry point,
// which leads to the topmost patch. References to parts of a function (.cold, jump table labels) stay within the patch.
func (l *linker) resolveCode(c *chunk, r diff.Ref) (dest, bool) {
	if own := l.bySection[r.Sec]; own != nil && (r.Sec == c.sec || r.Add != 0 || r.Sym == nil) {
		return inPatch(own, r.At), true
	}
	if r.Sym == nil {
		l.refuse(c.in, c.name, codes.InnerReference, "the new code refers into %s, which has no function symbol; compile with -ffunction-sections", r.Sec.Name)
		return dest{}, false
	}
	if _, cold := diff.ColdParent(r.Sym.Name); cold || l.isAdded(c.in, r.Sym) {
		return l.include(c.in, r), true
	}
	if l.partOf(c, r) {
		return inPatch(l.addSection(c.in, r.Sec), r.At), true
	}
	d, found, ok := l.existing(c.in, r.Sym)
	if !ok {
		return dest{}, false
	}
	if !found {
		return l.include(c.in, r), true
	}
	if r.Add != 0 {
		l.refuse(c.in, r.Sym.Name, codes.InnerReference, "%s refers into the middle of this function; leave it out of the patch", c.name)
		return dest{}, false
	}
	return d, true
}

// partOf reports whether a .cold part refers to an address within its function.
func (l *linker) partOf(c *chunk, r diff.Ref) bool {
	if c.sec == nil || r.Add == 0 {
		return false
	}
	for _, s := range c.in.Diff.New.SymbolsIn(c.sec) {
		if parent, cold := diff.ColdParent(s.Name); cold && parent == r.Sym.Name {
			return true
		}
	}
	return false
}

// isAdded reports whether a function of the new object does not exist in the old one.
func (l *linker) isAdded(in *Input, s *lpelf.Symbol) bool {
	o := in.Diff.Old.Lookup(s.Name)
	return (o == nil || !o.IsFunc()) && !(s.Bind != elf.STB_LOCAL && l.im.Global(s.Name) != nil)
}

// existing resolves a function or variable to its address in the image. found is false if the image does not contain it.
func (l *linker) existing(in *Input, s *lpelf.Symbol) (d dest, found, ok bool) {
	if in.Diff.New.HoldsLabels(s) || l.registration != nil && in == l.registration.in {
		return dest{}, false, true // the image's table of labels leads into old functions, and the registration state of another patch must not be shared
	}
	old := in.Diff.OldOf[s]
	if s.IsFunc() || old == nil && s.Bind != elf.STB_LOCAL {
		old = in.Diff.Old.Lookup(s.Name)
	}
	if old == nil {
		if g := l.im.Global(s.Name); g != nil && s.Bind != elf.STB_LOCAL {
			if l.unsaid(in, g) {
				return dest{}, false, false
			}
			d, ok = l.entry(in, g, g.Value)
			return d, true, ok
		}
		return dest{}, false, !l.hidden(in, s)
	}
	addr, found, err := in.Loc.Address(old)
	if err != nil {
		l.refuse(in, s.Name, codes.SymbolAmbiguous, "%v; no patch can tell them apart", err)
		return dest{}, false, false
	}
	if !found && (l.hidden(in, s) || !in.Diff.New.Shared(s) && l.lost(in, s.Name)) {
		return dest{}, false, false
	}
	if found && l.misaligned(in, s, addr) {
		return dest{}, false, false
	}
	d, ok = l.entry(in, old, addr)
	return d, found, ok
}

// misaligned refuses a variable for which new code may assume a larger alignment than it has in the image.
func (l *linker) misaligned(in *Input, s *lpelf.Symbol, addr uint64) bool {
	sec := in.Diff.New.SectionOf(s)
	if sec == nil || s.IsFunc() || s.Value != 0 || sec.Align <= 1 || addr%sec.Align == 0 {
		return false
	}
	l.refuse(in, s.Name, codes.DataAlignmentChanged, "the new source aligns the variable to %d bytes, which the program has at %#x; leave its alignment as it was, or give the new one another name", sec.Align, addr)
	return true
}

// hidden refuses a variable of inline or template code that a stripped image may contain: a second instance in the patch
// would not share its value.
func (l *linker) hidden(in *Input, s *lpelf.Symbol) bool {
	if l.im.Named || s.IsFunc() || !in.Diff.New.Shared(s) {
		return false
	}
	l.refuse(in, s.Name, codes.NeedsSymbols, "%s is stripped, so whether it has this variable of inline or template code is not known: name an unstripped build of exactly the target with --symbols", l.im.Path)
	return true
}

// lost refuses a symbol of a stripped image whose address is not known.
func (l *linker) lost(in *Input, name string) bool {
	if l.im.Named {
		return false
	}
	l.refuse(in, name, codes.NeedsSymbols, "the new code refers to this symbol, and %s is stripped; %s: name an unstripped build of exactly the target with --symbols", l.im.Path, l.im.WhyLost())
	return true
}

// old reports whether the old objects of the inputs define a symbol or refer to it.
func (l *linker) old(name string) bool {
	if l.oldNames == nil {
		l.oldNames = map[string]bool{}
		for _, in := range l.inputs {
			for _, s := range in.Diff.Old.Symbols {
				l.oldNames[s.Name] = true
			}
		}
	}
	return l.oldNames[name]
}

// resolveUnnamed adds compiler-generated constants and jump tables to the patch. Writable data keeps its address in the
// image.
func (l *linker) resolveUnnamed(c *chunk, r diff.Ref) (dest, bool) {
	if kindOf(r.Sec) == kindData {
		if addr, ok := l.oldUnnamed(c, r); ok {
			return inImage(addr), true
		}
		l.refuse(c.in, r.Sec.Name, codes.UnnamedData, "the new code uses writable data without a name; give the variable a name")
		return dest{}, false
	}
	return inPatch(l.addSection(c.in, r.Sec), r.At), true
}

// resolveData resolves a reference to a variable of the same object: to its storage in the image, or to new storage in the
// patch.
func (l *linker) resolveData(c *chunk, r diff.Ref) (dest, bool) {
	d, found, ok := l.existing(c.in, r.Sym)
	if !ok {
		return dest{}, false
	}
	if found {
		return d.add(r.Add), true
	}
	return l.include(c.in, r), true
}

// include adds the section that a reference refers to to the patch. Sections that several objects have an instance of are
// added once.
func (l *linker) include(in *Input, r diff.Ref) dest {
	if in.Diff.New.Shared(r.Sym) {
		return l.addSymbol(l.defs[r.Sym.Name]).add(r.Add)
	}
	return inPatch(l.addSection(in, r.Sec), r.At)
}

// resolveName resolves a symbol that the object does not define.
func (l *linker) resolveName(c *chunk, r diff.Ref) (dest, bool) {
	name := r.Sym.Name
	switch {
	case name == "":
		return dest{abs: true, vaddr: uint64(r.Add)}, true
	case name == registerFrames:
		return inPatch(l.frames.c, 0).add(r.Add), true
	case name == "_GLOBAL_OFFSET_TABLE_":
		l.refuse(c.in, name, codes.UnsupportedRelocation, "code of the medium or large model cannot be patched; compile with the default code model")
		return dest{}, false
	case r.Sym.Section == elf.SHN_ABS:
		return dest{abs: true, vaddr: r.Sym.Value + uint64(r.Add)}, true
	}
	if n, ok := l.number(r.Sym); ok {
		return dest{abs: true, vaddr: n + uint64(r.Add)}, true
	}
	if d, done, ok := l.byOldCode(c, r); done {
		return d.add(r.Add), ok
	}
	if g := l.im.Versioned(r.Sym); g != nil {
		if l.unsaid(c.in, g) {
			return dest{}, false
		}
		d, ok := l.entry(c.in, g, g.Value)
		return d.add(r.Add), ok
	}
	d := dest{imported: name, version: r.Sym.Version}
	slots := l.importSlots(d)
	if len(slots) == 0 && l.old(name) && l.lost(c.in, name) {
		return dest{}, false
	}
	if def, ok := l.defs[name]; ok {
		if def.in.Loc != nil { // it may have been static in the old version, so that the image contains it
			if d, found, ok := l.existing(def.in, def.sym); found || !ok {
				return d.add(r.Add), ok
			}
		}
		return l.addSymbol(def).add(r.Add), true
	}
	if r.Sym.Section == elf.SHN_COMMON {
		return inPatch(l.addCommon(c.in, r.Sym), r.Add), true
	}
	if len(slots) == 0 {
		if d, done, ok := l.linkerSymbol(c, r); done {
			return d.add(r.Add), ok
		}
		return l.importNew(c, r)
	}
	return d.add(r.Add), true
}

// number returns the value of a symbol that is no place, but a number (.set NAME, 5), which is the same wherever the image is.
func (l *linker) number(s *lpelf.Symbol) (uint64, bool) {
	if g := l.im.Versioned(s); g != nil || l.im.Named {
		if g == nil || g.Section != elf.SHN_ABS {
			return 0, false
		}
		return g.Value, true
	}
	if l.numbers == nil {
		l.numbers = map[string]uint64{}
		for _, in := range l.inputs {
			l.addNumbers(in.Diff.Old)
		}
		if l.opts.Olds != nil {
			for _, obj := range l.opts.Olds() {
				l.addNumbers(obj)
			}
		}
	}
	n, ok := l.numbers[s.Name]
	return n, ok
}

func (l *linker) addNumbers(o *diff.Object) {
	for _, s := range o.Symbols {
		if s.Section == elf.SHN_ABS && s.Bind != elf.STB_LOCAL {
			l.numbers[s.Name] = s.Value
		}
	}
}

// entry returns where to call or refer to a symbol of the image. An indirect function is reached through the PLT entry
// whose slot its resolver has filled; its own address is the resolver's.
func (l *linker) entry(in *Input, s *lpelf.Symbol, addr uint64) (dest, bool) {
	if s.Type != elf.STT_GNU_IFUNC {
		return inImage(addr), true
	}
	for _, vaddr := range slices.Sorted(maps.Keys(l.im.Slots.ByVaddr)) {
		slot := l.im.Slots.ByVaddr[vaddr]
		if slot.Type.Meaning != arch.Indirect || uint64(slot.Addend) != addr {
			continue
		}
		if plt := l.im.Slots.PLTOf[vaddr]; plt != 0 {
			return inImage(plt), true
		}
		return inPatch(l.addStub(vaddr), 0), true
	}
	for _, slot := range l.im.Slots.GOT[s.Name] {
		return inPatch(l.addStub(slot.Vaddr), 0), true
	}
	l.refuse(in, s.Name, codes.IFUNCReference, "%s has no resolved slot for this indirect function, so the new code cannot reach it; use functions that the program uses already", l.im.Path)
	return dest{}, false
}

// addSymbol adds the function or variable that another new object defines.
func (l *linker) addSymbol(d definition) dest {
	if d.sym.Section == elf.SHN_COMMON {
		return inPatch(l.addCommon(d.in, d.sym), 0)
	}
	return inPatch(l.addSection(d.in, d.in.Diff.New.SectionOf(d.sym)), int64(d.sym.Value))
}

// addCommon adds storage for a common symbol (-fcommon). The value of the symbol is its alignment in bytes.
func (l *linker) addCommon(in *Input, s *lpelf.Symbol) *chunk {
	if c := l.commons[s.Name]; c != nil {
		return c
	}
	c := &chunk{kind: kindData, name: s.Name, in: in, data: make([]byte, s.Size), align: max(s.Value, 1)}
	l.commons[s.Name] = c
	l.chunks = append(l.chunks, c)
	return c
}

// definition is a global symbol of a new object.
type definition struct {
	in  *Input
	sym *lpelf.Symbol
}
