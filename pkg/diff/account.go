// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"bytes"
	"debug/elf"
	"maps"
	"slices"
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/lpelf"
)

// Functions and variables are compared by symbol. This file accounts for the remaining loaded content: bytes that no such
// symbol covers, and tables, which are located by the start and the end of their section rather than by a symbol. Each
// allocated section must be unchanged, or reachable only through references, so that every function or variable that refers
// to it is reported as changed, or be explained by a rule below. Anything else is refused.

// ordinary lists the names, or prefixes of names, of sections in which compilers place code and data that is only reachable
// through references.
var ordinary = []string{".text", ".data", ".rodata", ".bss", ".tdata", ".tbss", ".ldata", ".lrodata", ".lbss", ".ltext", ".gnu.linkonce", ".probes"}

// explained lists other sections that may differ: unwind tables belong to their functions, property notes describe the object
// file as a whole, and the locations of probes and of patchable function entries are for tracers, which only know the old
// code.
var explained = []string{".eh_frame", ".gcc_except_table", ".sframe", ".note.gnu.property", ".stapsdt.base", "__patchable_function_entries", "__mcount_loc",
	"xray_instr_map", "xray_fn_idx", "asan_globals", "__sancov_", "__llvm_prf_", "__llvm_cov"}

// isConstructors reports whether s contains code that runs at start or exit, or pointers to such code.
func isConstructors(s *lpelf.Section) bool {
	return isStartTable(s) || isExitTable(s) || isStartSection(s)
}

// isStartSection reports whether s is itself code that runs at start or exit.
func isStartSection(s *lpelf.Section) bool { return s.Name == ".init" || s.Name == ".fini" }

// under reports whether name equals prefix, or starts with prefix and a dot.
func under(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	return ok && (rest == "" || rest[0] == '.' || strings.HasSuffix(prefix, "_"))
}

func underAny(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return under(name, p) })
}

// IsTable reports whether the content of s is located from outside, by __start_NAME and __stop_NAME or by a linker script. A
// section with an ordinary name counts as a table if the source chose the name and nothing in the object refers to the
// section.
func (o *Object) IsTable(s *lpelf.Section) bool {
	switch {
	case s.Flags&elf.SHF_ALLOC == 0, s.Type == elf.SHT_GROUP, s.Flags&elf.SHF_MERGE != 0, isConstructors(s), underAny(s.Name, explained), s.Size == 0:
		return false
	case s.Flags&elf.SHF_EXECINSTR != 0:
		return false // code is called or jumped to
	case !underAny(s.Name, ordinary):
		return true
	}
	return !o.namedByCompiler(s) && len(o.referrers(s)) == 0
}

// namedByCompiler reports whether the compiler chose the name of s: a plain name, or one that ends with the name of the
// symbol in it or of the function that uses it.
func (o *Object) namedByCompiler(s *lpelf.Section) bool {
	switch s.Name {
	case ".text", ".data", ".rodata", ".bss", ".tdata", ".tbss", ".data.rel", ".data.rel.local", ".data.rel.ro", ".data.rel.ro.local":
		return true
	}
	is := func(sym *lpelf.Symbol) bool {
		return strings.HasSuffix(s.Name, "."+baseName(sym.Name)) || strings.HasSuffix(s.Name, "."+sym.Name)
	}
	return strings.Contains(s.Name, "..L") || slices.ContainsFunc(o.inSec[s.Index], is) ||
		strings.HasPrefix(s.Name, ".rodata.") && slices.ContainsFunc(o.Functions(), is)
}

// referrers returns the sections that refer to the section to, except to itself and unwind tables.
func (o *Object) referrers(to *lpelf.Section) []*lpelf.Section {
	if o.referring == nil {
		o.referring = map[*lpelf.Section][]*lpelf.Section{}
		for _, s := range o.Sections {
			if s.Flags&elf.SHF_ALLOC == 0 || s.Name == ".eh_frame" {
				continue
			}
			for _, r := range o.Refs(s) {
				if r.Sec != nil && r.Sec != s && !slices.Contains(o.referring[r.Sec], s) {
					o.referring[r.Sec] = append(o.referring[r.Sec], s)
				}
			}
		}
	}
	return o.referring[to]
}

// item is a part of a section: a variable that both objects have, or bytes that no sized symbol covers.
type item struct {
	sec         *lpelf.Section
	start, size uint64
	pair        *lpelf.Symbol // the symbol in the old object
}

// account runs the comparisons that do not depend on symbols. It is the last step of Compare.
func (c *comparer) account() {
	c.compareConstructors()
	c.compareItems(c.itemsOf(c.old, isStartSection), c.itemsOf(c.new, isStartSection), c.refuseConstructors)
	tables := func(obj, other *Object) func(*lpelf.Section) bool {
		return func(s *lpelf.Section) bool { return obj.IsTable(s) || other.hasTable(s.Name) }
	}
	olds, news := c.itemsOf(c.old, tables(c.old, c.new)), c.itemsOf(c.new, tables(c.new, c.old))
	c.compareItems(olds, news, c.refuseTable)
	c.compareItems(c.itemsOf(c.old, c.leftOver(c.old)), c.itemsOf(c.new, c.leftOver(c.new)), c.refuseLeftOver)
	c.compareCodeSets()
	c.compareMarks()
	c.compareStacks()
	c.checkLabels()
}

func (o *Object) hasTable(name string) bool {
	return slices.ContainsFunc(o.Sections, func(s *lpelf.Section) bool { return s.Name == name && o.IsTable(s) })
}

// leftOver returns a predicate for sections that are reached through symbols and may contain bytes that no symbol covers.
// Excluded are sections without named symbols, which are compared as part of whatever refers to them, and sections with a
// single function, which are compared completely.
func (c *comparer) leftOver(obj *Object) func(*lpelf.Section) bool {
	return func(s *lpelf.Section) bool {
		syms := obj.inSec[s.Index]
		switch {
		case s.Flags&elf.SHF_ALLOC == 0, s.Type == elf.SHT_NOBITS, s.Flags&elf.SHF_MERGE != 0, !underAny(s.Name, ordinary) && !s.IsText(),
			isConstructors(s), len(syms) == 0, c.old.hasTable(s.Name), c.new.hasTable(s.Name):
			return false
		}
		return !(s.IsText() && syms[0].IsFunc() && c.ownSection(obj, syms[0]))
	}
}

// itemsOf splits the selected sections into items, grouped by section name.
func (c *comparer) itemsOf(obj *Object, selected func(*lpelf.Section) bool) map[string][]item {
	out := map[string][]item{}
	for _, s := range obj.Sections {
		if !selected(s) {
			continue
		}
		list, at := out[s.Name], uint64(0)
		rest := func(to uint64) {
			if to > at && (!underAny(s.Name, ordinary) && !s.IsText() || obj.IsTable(s) || !isBlank(obj, s, at, to)) {
				list = append(list, item{sec: s, start: at, size: to - at})
			}
		}
		for _, sym := range obj.inSec[s.Index] {
			old, table := c.oldIn(obj, sym), isConstructors(s) || c.old.hasTable(s.Name) || c.new.hasTable(s.Name)
			if sym.Size == 0 || sym.Value < at || !sym.IsFunc() && !isVariable(sym) || table && old == nil {
				continue
			}
			rest(sym.Value)
			if table {
				list = append(list, item{s, sym.Value, sym.Size, old})
			}
			at = sym.Value + sym.Size
		}
		rest(s.Size)
		out[s.Name] = list
	}
	return out
}

// oldIn returns the old symbol of a variable that both objects have in sections of the same name, or nil.
func (c *comparer) oldIn(obj *Object, s *lpelf.Symbol) *lpelf.Symbol {
	o, n := c.res.OldOf[s], s
	if obj == c.old {
		o, n = s, c.newOf[s]
	}
	if o == nil || n == nil {
		return nil
	}
	if a, b := c.old.SectionOf(o), c.new.SectionOf(n); a == nil || b == nil || a.Name != b.Name {
		return nil
	}
	return o
}

// isBlank reports whether a range of a section contains only padding.
func isBlank(o *Object, s *lpelf.Section, from, to uint64) bool {
	if slices.ContainsFunc(s.Relocs, func(r lpelf.Reloc) bool { return r.Off >= from && r.Off < to }) || to > uint64(len(s.Data)) {
		return false
	}
	d := s.Data[from:to]
	for s.IsText() && len(d) > 0 {
		n := o.Arch.Filler(d)
		if n == 0 {
			return false
		}
		d = d[n:]
	}
	return len(bytes.Trim(d, "\x00")) == 0
}

// compareItems compares the items of sections of the same name and calls refuse for the first difference in each, sorted by
// name.
func (c *comparer) compareItems(olds, news map[string][]item, refuse func(name string, old, new *item)) {
	names := map[string]bool{}
	for _, side := range []map[string][]item{olds, news} {
		for name := range side {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		o, n := olds[name], news[name]
		i := 0
		for i < len(o) && i < len(n) && c.equalItem(o[i], n[i]) {
			i++
		}
		switch {
		case i < len(o) && i < len(n):
			refuse(name, &o[i], &n[i])
		case i < len(o):
			refuse(name, &o[i], nil)
		case i < len(n):
			refuse(name, nil, &n[i])
		}
	}
}

func (c *comparer) equalItem(o, n item) bool {
	if o.pair != nil || n.pair != nil {
		return o.pair == n.pair // contents are compared with those of all variables
	}
	return o.size == n.size && o.sec.Type == n.sec.Type && o.sec.Flags == n.sec.Flags && c.equalRange(o.sec, n.sec, o.start, n.start, o.size)
}

// labelOf returns the name under which a difference is reported: a symbol in the section that the other object lacks, else
// the symbol at or before the item, else the name of the section.
func labelOf(obj, other *Object, i *item) string {
	for _, s := range obj.SymbolsIn(i.sec) {
		if other.Lookup(s.Name) == nil {
			return s.Name
		}
	}
	if sym, _ := obj.At(i.sec, int64(i.start)); sym != nil {
		return sym.Name
	}
	return i.sec.Name
}

func (c *comparer) refuseConstructors(name string, _, _ *item) {
	c.refuse(name, codes.ConstructorChanged, "functions that run at start or exit were added or changed; the program has started already: do the work elsewhere")
}

func (c *comparer) refuseTable(name string, old, new *item) {
	const why = "; a table like that is found by where its section starts and ends, and a running program goes on with the one it has: leave its entries as they were, or restart the program"
	switch {
	case new == nil:
		c.refuse(labelOf(c.old, c.new, old), codes.TableChanged, "section %s of the new object lacks this entry"+why, name)
	case old == nil:
		c.refuse(labelOf(c.new, c.old, new), codes.TableChanged, "section %s of the new object has this entry more than the old one"+why, name)
	default:
		c.refuse(labelOf(c.new, c.old, new), codes.TableChanged, "section %s of the new object has another entry here than the old one"+why, name)
	}
}

func (c *comparer) refuseLeftOver(name string, old, new *item) {
	obj, other, at := c.new, c.old, new
	if at == nil {
		obj, other, at = c.old, c.new, old
	}
	c.refuse(labelOf(obj, other, at), codes.UnexplainedSection, "bytes of section %s here, which no function and no variable covers, differ between old and new, so what they are to the program is not known; "+
		"give them a symbol with a type and a size in a section of its own (-ffunction-sections -fdata-sections), or leave them as they were", name)
}
