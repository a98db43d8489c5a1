// SPDX-License-Identifier: GPL-2.0

package closedworld

import (
	"bytes"
	"debug/elf"
	"fmt"
	"slices"

	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// Carried describes the content of a patch.
type Carried struct {
	Has   func(name, file string) bool // whether the patch contains a function or variable; file is the source file of a static one, else ""
	Start bool                         // code that runs at start may differ
}

// Finding is a difference that no rule explains.
type Finding struct {
	Rule    string // rule that is violated
	Section string
	Symbol  string // "" if there is none
	Object  string // object file according to the link map, or source file according to the symbol table; "" if unknown
	Text    string
}

// Report is the result of a comparison.
type Report struct {
	Findings []Finding
	Exports  []string          // new ones, which the patch has and the dynamic linker does not find
	Bytes    map[string]uint64 // of the new image, by the rule that accounts for them
}

// comparer pairs the pieces of the two images. It starts with global names and follows references from there.
type comparer struct {
	old, new *Image
	carried  Carried
	newOf    map[*piece]*piece
	oldOf    map[*piece]*piece
	queue    []*piece // paired old pieces that have not been compared yet
	unnamed  map[unnamedPair]bool
	stored   map[uint64]uint64 // writable locations without a symbol, old to new
	taken    map[uint64]uint64
	layouts  map[*piece]*layout // paired code whose instructions have different offsets
	report   Report
}

// Compare checks that every difference between the new and the old image is part of the patch or explained by a rule.
func Compare(old, new *Image, carried Carried) *Report {
	c := &comparer{
		old: old, new: new, carried: carried, newOf: map[*piece]*piece{}, oldOf: map[*piece]*piece{}, unnamed: map[unnamedPair]bool{},
		stored: map[uint64]uint64{}, taken: map[uint64]uint64{}, layouts: map[*piece]*layout{}, report: Report{Bytes: map[string]uint64{}},
	}
	for _, o := range old.pieces {
		if name := o.name(); old.byName[name] == o {
			if n := new.byName[name]; n != nil && c.oldOf[n] == nil {
				c.pair(o, n)
			}
		}
	}
	c.drain()
	c.compareSections()
	c.compareLabels()
	c.compareLinkage()
	c.drain()
	c.pairLeft()
	c.compareGaps()
	c.drain()
	c.account()
	return &c.report
}

func (c *comparer) find(rule string, sec *lpelf.Section, p *piece, format string, args ...any) {
	f := Finding{Rule: rule, Text: fmt.Sprintf(format, args...)}
	if sec != nil {
		f.Section = sec.Name
	}
	if p != nil {
		f.Section, f.Symbol, f.Object = p.sec.Name, p.name(), p.file()
		im := c.new
		if _, isOld := c.newOf[p]; isOld {
			im = c.old
		}
		if o := im.origin(p.start); o != "" {
			f.Object = o
		}
	}
	c.report.Findings = append(c.report.Findings, f)
}

// has reports whether the patch contains a piece.
func (c *comparer) has(p *piece) bool {
	if c.carried.Has == nil {
		return false
	}
	return slices.ContainsFunc(p.syms, func(s *lpelf.Symbol) bool {
		file := s.File
		if s.Bind != elf.STB_LOCAL {
			file = ""
		}
		parent, cold := diff.ColdParent(s.Name)
		return c.carried.Has(s.Name, file) || cold && (c.carried.Has(parent, s.File) || c.carried.Has(parent, ""))
	})
}

// related reports whether two pieces may correspond: they share a global name, or are static symbols of one source file whose
// names differ at most in the number added by the compiler.
func (c *comparer) related(o, n *piece) bool {
	for _, a := range o.syms {
		for _, b := range n.syms {
			local := a.Bind == elf.STB_LOCAL && b.Bind == elf.STB_LOCAL
			if a.Name == b.Name && (!local || a.File == b.File) || local && localKey(a) == localKey(b) {
				return true
			}
		}
	}
	return false
}

// pair records that two pieces correspond and schedules their comparison. It returns false if they are not related, or if
// either is paired with another piece already.
func (c *comparer) pair(o, n *piece) bool {
	if c.newOf[o] != nil || c.oldOf[n] != nil {
		return c.newOf[o] == n
	}
	if !c.related(o, n) {
		return false
	}
	c.newOf[o], c.oldOf[n] = n, o
	c.queue = append(c.queue, o)
	return true
}

// drain compares all scheduled pairs, which may create further pairs.
func (c *comparer) drain() {
	for len(c.queue) > 0 {
		o := c.queue[len(c.queue)-1]
		c.queue = c.queue[:len(c.queue)-1]
		n := c.newOf[o]
		if c.has(o) || c.has(n) {
			continue
		}
		if why := c.differ(o, n); why != "" {
			c.find("same", nil, n, "%s", why)
		}
	}
}

// pairLeft pairs static symbols that no equal code refers to. Symbols with a compiler-generated number are not paired,
// because the number does not identify them: the functions that refer to them are in the patch, and the comparison of objects
// has identified them.
func (c *comparer) pairLeft() {
	left := map[string]int{}
	for key, list := range c.old.local {
		for _, o := range list {
			if c.newOf[o] == nil {
				left[key]++
			}
		}
	}
	for _, o := range c.old.pieces {
		if c.newOf[o] != nil {
			continue
		}
		for _, s := range o.syms {
			if s.Bind != elf.STB_LOCAL || withoutNumber(s.Name) != s.Name {
				continue
			}
			list := slices.DeleteFunc(slices.Clone(c.new.local[localKey(s)]), func(n *piece) bool { return c.oldOf[n] != nil })
			if len(list) > 0 && len(list) == left[localKey(s)] { // several source files of one name are matched in order
				left[localKey(s)]--
				c.pair(o, list[0])
				c.drain()
				break
			}
		}
	}
}

const kindFlags = elf.SHF_WRITE | elf.SHF_EXECINSTR | elf.SHF_TLS

// differ describes how two pieces differ; "" if they do not.
func (c *comparer) differ(o, n *piece) string {
	if o.sec.Flags&kindFlags != n.sec.Flags&kindFlags || o.sec.Name != n.sec.Name && c.old.isRelro(o.sec) != c.new.isRelro(n.sec) {
		return fmt.Sprintf("it is in %s, and was in %s, which is protected otherwise", n.sec.Name, o.sec.Name)
	}
	if o.isCode() {
		if ok, why := c.equalFrames(o, n); !ok {
			return why
		}
	}
	why := c.differAsItIs(o, n)
	if why != "" && c.relaid(o, n) && c.sameReferences(o, n) {
		return ""
	}
	return why
}

// differAsItIs compares pieces byte by byte.
func (c *comparer) differAsItIs(o, n *piece) string {
	size := o.size()
	if o.size() != n.size() {
		size = min(o.size(), n.size())
		if !o.open && !n.open || !c.blank(o, o.start+size, o.end) || !c.blank(n, n.start+size, n.end) {
			return fmt.Sprintf("it has %d bytes, and had %d", n.size(), o.size())
		}
	}
	return c.equalRange(o.sec, n.sec, o.start, n.start, size)
}

func (c *comparer) blank(p *piece, from, to uint64) bool {
	return isBlank(c.old.Arch, bytesUpTo(p.sec, from, to), p.isCode())
}

// bytesUpTo returns the bytes of [from, to), without the part that is not in the file.
func bytesUpTo(sec *lpelf.Section, from, to uint64) []byte {
	b := bytesAt(sec, from)
	return b[:min(uint64(len(b)), to-from)]
}

// equalRange compares ranges of two sections: their bytes, and the targets of their references. It describes the difference,
// or returns "".
func (c *comparer) equalRange(osec, nsec *lpelf.Section, os, ns, size uint64) string {
	ob, nb := bytesUpTo(osec, os, os+size), bytesUpTo(nsec, ns, ns+size)
	of, nf := c.old.fieldsOf(osec, os, os+size), c.new.fieldsOf(nsec, ns, ns+size)
	if len(ob) != len(nb) { // one of them is in .bss
		if len(of)+len(nf) > 0 || len(bytes.Trim(ob, "\x00"))+len(bytes.Trim(nb, "\x00")) > 0 {
			return "its initial value differs"
		}
		return ""
	}
	for at := uint64(0); ; {
		next, skip := size, uint64(0)
		if len(of) > 0 {
			next, skip = of[0].at-os, uint64(of[0].size)
		}
		if len(nf) > 0 && nf[0].at-ns != next && (len(of) == 0 || nf[0].at-ns < next) {
			return fmt.Sprintf("at +%#x it refers to %s, and did not before", nf[0].at-ns, c.new.places(&nf[0], ns)[0])
		}
		if next > at && !bytes.Equal(cut(ob, at, next), cut(nb, at, next)) {
			return fmt.Sprintf("its bytes differ at +%#x", at+firstDifference(cut(ob, at, next), cut(nb, at, next)))
		}
		if next >= size {
			return ""
		}
		if len(nf) == 0 || nf[0].at-ns != next {
			return fmt.Sprintf("at +%#x it does not refer to %s, as before", next, c.old.places(&of[0], os)[0])
		}
		if why := c.sameField(&of[0], &nf[0], os, ns); why != "" {
			return fmt.Sprintf("its reference at +%#x %s", next, why)
		}
		of, nf, at = of[1:], nf[1:], max(at, next+skip)
	}
}

func cut(b []byte, from, to uint64) []byte {
	n := uint64(len(b))
	return b[min(from, n):min(to, n)]
}

func firstDifference(a, b []byte) uint64 {
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			return uint64(i)
		}
	}
	return uint64(len(a))
}

// sameField describes how two references differ; "" if they do not.
func (c *comparer) sameField(o, n *field, otable, ntable uint64) string {
	os, ns := c.old.places(o, otable), c.new.places(n, ntable)
	if o.size == n.size && o.offset == n.offset {
		// The target is unambiguous if relocations name symbols. Code is never called at the address after its end. If both
		// targets have no symbol, both are compared by content.
		certain := os[0].isUnnamed() && ns[0].isUnnamed() || o.name != "" || n.name != "" || o.offset || isCertain(os[0]) || isCertain(ns[0]) || c.old.pieceOf(o.sym) != nil && c.new.pieceOf(n.sym) != nil
		for i, op := range os {
			for j, np := range ns {
				if (i == 0 && j == 0 || !certain) && c.samePlace(op, np, o.takes && n.takes) {
					return ""
				}
			}
		}
	}
	return fmt.Sprintf("leads to %s, and led to %s", ns[0], os[0])
}

// isCertain reports whether a place is the only possible interpretation of a reference.
func isCertain(p place) bool {
	return p.through != "" || p.sec != nil && p.sec.Flags&elf.SHF_EXECINSTR != 0
}

// isUnnamed reports whether a place has no symbol and can only be identified by its content.
func (p *place) isUnnamed() bool {
	return p.through == "" && p.name == "" && p.piece == nil && p.sec != nil
}

// samePlace reports whether two places correspond.
func (c *comparer) samePlace(o, n place, takes bool) bool {
	switch {
	case o.through != n.through || o.name != n.name:
		return false
	case o.name != "":
		return o.off == n.off
	case o.piece != nil && n.piece != nil && o.piece.byContent() && n.piece.byContent():
		return o.off == n.off && o.piece.size() == n.piece.size() && withoutNumber(o.piece.name()) == withoutNumber(n.piece.name()) &&
			c.equalRange(o.sec, n.sec, o.piece.start, n.piece.start, o.piece.size()) == ""
	case o.piece != nil && n.piece != nil:
		return c.sameOffset(o, n) && c.pair(o.piece, n.piece)
	case o.piece != nil || n.piece != nil || (o.sec == nil) != (n.sec == nil):
		return false
	case o.sec == nil:
		return o.addr == n.addr
	}
	return c.sameUnnamed(o, n, takes)
}

// sameOffset reports whether two places have the same offset in their pieces.
func (c *comparer) sameOffset(o, n place) bool {
	if l := c.layouts[o.piece]; l != nil && o.off > 0 && n.off > 0 && c.newOf[o.piece] == n.piece {
		return l.same(uint64(o.off), uint64(n.off))
	}
	return o.off == n.off
}

// unnamedPair is a pair of places without symbols. takes tells whether both references take the address.
type unnamedPair struct {
	old, new uint64
	takes    bool
}

// sameUnnamed compares places without a symbol by content: strings up to their terminator, other data up to the next
// referenced or named address. A writable location corresponds to exactly one location in the other image.
func (c *comparer) sameUnnamed(o, n place, takes bool) bool {
	key := unnamedPair{o.addr, n.addr, takes}
	if same, ok := c.unnamed[key]; ok {
		return same
	}
	c.unnamed[key] = true // assumed while the comparison is running; that comparison finds any difference
	same := c.equalUnnamed(o, n, takes)
	c.unnamed[key] = same
	return same
}

func (c *comparer) equalUnnamed(o, n place, takes bool) bool {
	if o.sec.Flags&kindFlags != n.sec.Flags&kindFlags {
		return false
	}
	if o.sec.Flags&elf.SHF_WRITE != 0 {
		was, isStored := c.stored[o.addr]
		is, isTaken := c.taken[n.addr]
		if isStored && was != n.addr || isTaken && is != o.addr {
			return false
		}
		c.stored[o.addr], c.taken[n.addr] = n.addr, o.addr
	}
	if takes && o.sec.Flags&(elf.SHF_WRITE|elf.SHF_EXECINSTR) == 0 && c.old.mayBeText(o.addr) && c.new.mayBeText(n.addr) {
		if was := text(bytesAt(o.sec, o.addr)); was != "" && len(c.old.fieldsIn(o.addr, o.addr+1)) == 0 {
			return was == text(bytesAt(n.sec, n.addr))
		}
	}
	oe, ne := c.old.extent(o.sec, o.addr), c.new.extent(n.sec, n.addr)
	size := min(oe-o.addr, ne-n.addr)
	if takes && size == 0 { // the end of something
		return oe == o.addr && ne == n.addr
	}
	return c.equalRange(o.sec, n.sec, o.addr, n.addr, size) == ""
}
