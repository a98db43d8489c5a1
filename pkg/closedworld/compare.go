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

// Carried says what a patch has.
type Carried struct {
	Has   func(name, file string) bool // a function or variable, and of a static one its source
	Start bool                         // what runs at start may differ
}

// Finding is a difference that nothing explains.
type Finding struct {
	Rule    string // that it does not satisfy
	Section string
	Symbol  string // "" if it has no name
	Object  string // by the linker's map, or the source by the symbol table; "" if it is not known
	Text    string
}

// Report is what came of a comparison.
type Report struct {
	Findings []Finding
	Exports  []string          // new ones, which the patch has and the dynamic linker does not find
	Bytes    map[string]uint64 // of the new image, by the rule that accounts for them
}

// comparer pairs what the two images have, beginning with global names, and follows references from there.
type comparer struct {
	old, new *Image
	carried  Carried
	newOf    map[*piece]*piece
	oldOf    map[*piece]*piece
	queue    []*piece // old ones, paired, that are to be compared
	unnamed  map[unnamedPair]bool
	stored   map[uint64]uint64 // writable places without a name, old to new
	taken    map[uint64]uint64
	layouts  map[*piece]*layout // of old code that is laid out otherwise in the new image
	report   Report
}

// Compare accounts for all that the new image has and does by the old one and what a patch carries.
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

// has tells whether the patch brings a piece.
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

// related tells whether two pieces may be the same thing: they have a global name in common, or are static things of one source
// that differ by the compiler's number at most.
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

// pair takes two pieces for the same thing, of which there is one on each side, and has them compared.
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

// drain compares what has been paired, which pairs more.
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

// pairLeft pairs what nothing that is the same refers to. Static things with a number are not known by it: who refers to
// them is in the patch, and the objects tell which they are.
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
			if len(list) > 0 && len(list) == left[localKey(s)] { // of several sources of one name, in order
				left[localKey(s)]--
				c.pair(o, list[0])
				c.drain()
				break
			}
		}
	}
}

const kindFlags = elf.SHF_WRITE | elf.SHF_EXECINSTR | elf.SHF_TLS

// differ says how two pieces differ, or "".
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

// bytesUpTo are the bytes of [from, to), without those that no file has.
func bytesUpTo(sec *lpelf.Section, from, to uint64) []byte {
	b := bytesAt(sec, from)
	return b[:min(uint64(len(b)), to-from)]
}

// equalRange compares parts of sections: bytes, and what references lead to. It returns how they differ, or "".
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

// sameField says how two references differ, or "".
func (c *comparer) sameField(o, n *field, otable, ntable uint64) string {
	os, ns := c.old.places(o, otable), c.new.places(n, ntable)
	if o.size == n.size && o.offset == n.offset {
		// Where relocations name symbols, those are what is meant; nobody calls what is behind the end of something; and what is
		// there without a name on both sides may be meant, so it must be the same.
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

// isCertain tells a place at which nothing else can be meant.
func isCertain(p place) bool {
	return p.through != "" || p.sec != nil && p.sec.Flags&elf.SHF_EXECINSTR != 0
}

// isUnnamed tells a place of which only what is there tells what it is.
func (p *place) isUnnamed() bool {
	return p.through == "" && p.name == "" && p.piece == nil && p.sec != nil
}

// samePlace tells whether two places are the same thing.
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

// sameOffset tells whether places are at the same one in their pieces.
func (c *comparer) sameOffset(o, n place) bool {
	if l := c.layouts[o.piece]; l != nil && o.off > 0 && n.off > 0 && c.newOf[o.piece] == n.piece {
		return l.same(uint64(o.off), uint64(n.off))
	}
	return o.off == n.off
}

// unnamedPair are two places, and whether both are taken the addresses of.
type unnamedPair struct {
	old, new uint64
	takes    bool
}

// sameUnnamed compares what has no name by what it holds: strings to their end, other things to where the next begins. What the
// program may write to is one thing on each side.
func (c *comparer) sameUnnamed(o, n place, takes bool) bool {
	key := unnamedPair{o.addr, n.addr, takes}
	if same, ok := c.unnamed[key]; ok {
		return same
	}
	c.unnamed[key] = true // while it is compared: the difference, if there is one, is found there
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
