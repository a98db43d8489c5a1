// SPDX-License-Identifier: GPL-2.0

package closedworld

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"lpatch/pkg/arch"
	"lpatch/pkg/lpelf"
)

// isPlain reports whether the order of the content of a section is irrelevant, because each part is reached through
// references.
func isPlain(s *lpelf.Section) bool {
	for _, p := range []string{".text", ".rodata", ".data", ".bss", ".tdata", ".tbss", ".lrodata", ".ldata", ".lbss", ".ltext", ".dynbss", ".init", ".fini", ".relro_padding", ".sdata", ".sbss"} {
		if s.Name == p || strings.HasPrefix(s.Name, p+".") {
			return true
		}
	}
	return false
}

func isArray(s *lpelf.Section) bool {
	switch s.Type {
	case elf.SHT_INIT_ARRAY, elf.SHT_FINI_ARRAY, elf.SHT_PREINIT_ARRAY:
		return true
	}
	return s.Name == ".ctors" || s.Name == ".dtors"
}

// compareSections compares sections that are used as a whole: lists of functions that run at start and exit, notes, and
// tables that are located by their section.
func (c *comparer) compareSections() {
	names := map[string][2]*lpelf.Section{}
	for i, im := range []*Image{c.old, c.new} {
		for _, s := range im.sections {
			pair := names[s.Name]
			pair[i] = s
			names[s.Name] = pair
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		o, n := names[name][0], names[name][1]
		s := n
		if s == nil {
			s = o
		}
		switch {
		case name == ".note.gnu.build-id" || isPlain(s) || isFramed(s):
		case isArray(s):
			c.compareArray(o, n)
		case s.Type == elf.SHT_NOTE || name == ".interp":
			if o == nil || n == nil || !bytes.Equal(o.Data, n.Data) {
				c.find("note", s, nil, "the section differs")
			}
		case !isMade(s):
			c.compareTable(o, n)
		}
	}
}

// compareArray compares the functions that run at start or exit, in order.
func (c *comparer) compareArray(o, n *lpelf.Section) {
	if c.carried.Start {
		return
	}
	var of, nf []field
	s := n
	if o != nil {
		of, s = c.old.fieldsIn(o.Addr, o.Addr+o.Size), o
	}
	if n != nil {
		nf = c.new.fieldsIn(n.Addr, n.Addr+n.Size)
	}
	for i := range max(len(of), len(nf)) {
		switch {
		case i >= len(of):
			c.find("array", s, nil, "its entry %d is %s, and there was none", i, c.new.places(&nf[i], 0)[0])
		case i >= len(nf):
			c.find("array", s, nil, "its entry %d was %s, and there is none", i, c.old.places(&of[i], 0)[0])
		default:
			if why := c.sameField(&of[i], &nf[i], 0, 0); why != "" {
				c.find("array", s, nil, "its entry %d %s", i, why)
			}
		}
	}
}

// compareTable compares sections with other names in order, because code may iterate over them.
func (c *comparer) compareTable(o, n *lpelf.Section) {
	if o == nil || n == nil {
		c.tableOfOne(o, n)
		return
	}
	news := slices.DeleteFunc(slices.Clone(c.new.in[n]), func(p *piece) bool {
		return c.has(p) && (c.oldOf[p] == nil) && !slices.ContainsFunc(c.old.in[o], func(q *piece) bool { return c.related(q, p) })
	})
	os, ns := span{o, o.Addr, o.Addr + o.Size, c.old.in[o]}, span{n, n.Addr, n.Addr + n.Size, news}
	if len(news) < len(c.new.in[n]) {
		os.to, ns.to = 0, 0
	}
	c.compareOrder(os, ns)
}

// span is a part of a section in which the order of things matters. to is 0 if it does not matter what is behind the last piece.
type span struct {
	sec      *lpelf.Section
	from, to uint64
	pieces   []*piece
}

func (c *comparer) compareOrder(o, n span) {
	oat, nat := o.from, n.from
	for i := range max(len(o.pieces), len(n.pieces)) {
		if i >= len(o.pieces) || i >= len(n.pieces) || !c.pair(o.pieces[i], n.pieces[i]) {
			c.find("table", n.sec, nil, "it has %s, and had %s", nameAt(n.pieces, i), nameAt(o.pieces, i))
			return
		}
		if why := c.equalGap(o.sec, n.sec, oat, nat, o.pieces[i].start, n.pieces[i].start); why != "" {
			c.find("table", n.sec, n.pieces[i], "in front of it in the section: %s", why)
		}
		oat, nat = o.pieces[i].end, n.pieces[i].end
	}
	if o.to > oat && n.to > nat {
		if why := c.equalGap(o.sec, n.sec, oat, nat, o.to, n.to); why != "" {
			c.find("table", n.sec, nil, "%s", why)
		}
	}
}

func (c *comparer) tableOfOne(o, n *lpelf.Section) {
	if n == nil {
		c.find("table", o, nil, "the section is gone")
	} else if len(c.new.in[n]) == 0 || slices.ContainsFunc(c.new.in[n], func(p *piece) bool { return !c.has(p) }) {
		c.find("table", n, nil, "the section is new")
	}
}

func nameAt(list []*piece, i int) string {
	if i >= len(list) {
		return "nothing at that place"
	}
	return list[i].name()
}

// equalGap compares the bytes between two pieces, without padding.
func (c *comparer) equalGap(osec, nsec *lpelf.Section, os, ns, oe, ne uint64) string {
	code := osec.Flags&elf.SHF_EXECINSTR != 0
	ob, nb := bytesUpTo(osec, os, oe), bytesUpTo(nsec, ns, ne)
	if isBlank(c.old.Arch, ob, code) && isBlank(c.old.Arch, nb, code) && len(c.old.fieldsIn(os, oe))+len(c.new.fieldsIn(ns, ne)) == 0 {
		return ""
	}
	size := min(oe-os, ne-ns)
	if !isBlank(c.old.Arch, bytesUpTo(osec, os+size, oe), code) || !isBlank(c.old.Arch, bytesUpTo(nsec, ns+size, ne), code) {
		return "what has no name there is longer on one side"
	}
	return c.equalRange(osec, nsec, os, ns, size)
}

// isBlank reports whether b contains only padding: zeros and, in code, no-ops.
func isBlank(a arch.Arch, b []byte, code bool) bool {
	if !code {
		return len(bytes.Trim(b, "\x00")) == 0
	}
	for len(b) > 0 {
		n := a.Filler(b)
		if n == 0 {
			return false
		}
		b = b[n:]
	}
	return true
}

// compareGaps compares code without symbols that follows each piece of code.
func (c *comparer) compareGaps() {
	for _, sec := range c.new.sections {
		if sec.Flags&elf.SHF_EXECINSTR == 0 || isMade(sec) {
			continue
		}
		list := c.new.in[sec]
		if len(list) == 0 {
			c.compareBare(sec)
			continue
		}
		for i, n := range list {
			o := c.oldOf[n]
			if o == nil || c.has(o) || c.has(n) {
				continue
			}
			end := sec.Addr + sec.Size
			if i+1 < len(list) {
				end = list[i+1].start
			}
			oend := o.sec.Addr + o.sec.Size
			if _, next := c.old.pieceAt(o.sec, o.end-1); next != nil {
				oend = next.start
			}
			// code of another object that follows is only reached through references
			oend, end = max(o.end, c.old.endOfOrigin(o.start, oend)), max(n.end, c.new.endOfOrigin(n.start, end))
			if why := c.equalGap(o.sec, sec, o.end, n.end, oend, end); why != "" {
				c.find("gap", sec, n, "in the code behind it that has no name: %s", why)
			}
		}
	}
}

// compareBare compares a section of code without any symbols.
func (c *comparer) compareBare(n *lpelf.Section) {
	o := c.old.Section(n.Name)
	if o == nil {
		c.find("gap", n, nil, "the section is new, and nothing in it has a name")
		return
	}
	if why := c.equalGap(o, n, o.Addr, n.Addr, o.Addr+o.Size, n.Addr+n.Size); why != "" {
		c.find("gap", n, nil, "%s", why)
	}
}

// isPlace tells entries of the dynamic section that are places and sizes, which are compared as what is there. Others are compared by
// value.
var isPlace = map[elf.DynTag]bool{
	elf.DT_PLTRELSZ: true, elf.DT_PLTGOT: true, elf.DT_HASH: true, elf.DT_STRTAB: true, elf.DT_SYMTAB: true, elf.DT_RELA: true, elf.DT_RELASZ: true, elf.DT_RELAENT: true,
	elf.DT_STRSZ: true, elf.DT_SYMENT: true, elf.DT_DEBUG: true, elf.DT_JMPREL: true, elf.DT_INIT_ARRAY: true, elf.DT_FINI_ARRAY: true, elf.DT_INIT_ARRAYSZ: true,
	elf.DT_FINI_ARRAYSZ: true, elf.DT_PREINIT_ARRAY: true, elf.DT_PREINIT_ARRAYSZ: true, elf.DT_GNU_HASH: true, elf.DT_VERSYM: true, elf.DT_VERDEF: true, elf.DT_VERDEFNUM: true,
	elf.DT_VERNEED: true, elf.DT_VERNEEDNUM: true, elf.DT_RELACOUNT: true, elf.DT_PLTREL: true, elf.DT_TLSDESC_PLT: true, elf.DT_TLSDESC_GOT: true,
	elf.DT_NULL: true, 35: true, 36: true, 37: true, // DT_RELRSZ, DT_RELR, DT_RELRENT
	0x70000000: true, 0x70000001: true, 0x70000003: true, // DT_X86_64_PLT, DT_X86_64_PLTSZ, DT_X86_64_PLTENT of the psABI
}

var isString = map[elf.DynTag]bool{elf.DT_NEEDED: true, elf.DT_SONAME: true, elf.DT_RPATH: true, elf.DT_RUNPATH: true, elf.DT_AUXILIARY: true, elf.DT_FILTER: true,
	elf.DT_AUDIT: true, elf.DT_DEPAUDIT: true, elf.DT_CONFIG: true}

// compareLinkage compares the external interface of the images: dependencies, exported symbols and entry point.
func (c *comparer) compareLinkage() {
	if o, n := c.old.dynamic(), c.new.dynamic(); !slices.Equal(o, n) {
		c.find("dynamic", c.new.Section(".dynamic"), nil, "it says %q, and said %q", without(n, o), without(o, n))
	}
	c.compareExports()
	at := func(im *Image) place { return im.locate(binary.LittleEndian.Uint64(im.Data[0x18:])) }
	if o, n := at(c.old), at(c.new); o.addr+n.addr != 0 && !c.samePlace(o, n, false) {
		c.find("entry", nil, nil, "it starts at %s, and started at %s", n, o)
	}
	if o, n := c.old.stack(), c.new.stack(); o != n {
		c.find("stack", nil, nil, "its stack is %v, and was %v", n, o)
	}
	c.compareSegments()
}

func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// dynamic returns the relevant entries of the dynamic section as text.
func (im *Image) dynamic() []string {
	var out []string
	sec := im.Section(".dynamic")
	if sec == nil || int(sec.Link) >= len(im.Sections) {
		return nil
	}
	names := im.Sections[sec.Link].Data
	for d := sec.Data; len(d) >= 16; d = d[16:] {
		tag, v := elf.DynTag(read(d, 8)), read(d[8:], 8)
		switch {
		case isString[tag]:
			out = append(out, tag.String()+" "+text(names[min(v, uint64(len(names))):]))
		case tag == elf.DT_INIT || tag == elf.DT_FINI:
			out = append(out, tag.String()+" "+im.locate(v).String())
		case !isPlace[tag]:
			out = append(out, tag.String()+" "+elf.DynFlag(v).String())
		}
	}
	return out
}

type export struct {
	bind   elf.SymBind
	typ    elf.SymType
	vis    elf.SymVis
	hidden bool
}

func (im *Image) exports() map[string]*lpelf.Symbol {
	out := map[string]*lpelf.Symbol{}
	for _, s := range im.DynSymbols {
		if s.Name != "" && s.Section != elf.SHN_UNDEF && !isMark(s.Name) && im.slots.Copies[s.Name] == 0 {
			out[s.Name+"@"+s.Version] = s
		}
	}
	return out
}

// compareExports compares what other programs and libraries may find.
func (c *comparer) compareExports() {
	olds, news := c.old.exports(), c.new.exports()
	sec := c.new.Section(".dynsym")
	all := maps.Clone(olds)
	maps.Copy(all, news)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		o, n := olds[key], news[key]
		name := strings.TrimSuffix(key, "@")
		switch {
		case o == nil && c.old.lacksInline(n) || n == nil && c.new.lacksInline(o):
			// an inline function's body, which others have as well
		case n == nil:
			c.find("export", sec, nil, "%s was exported, and is not", name)
		case o == nil:
			c.newExport(n, name)
		case exportOf(o) != exportOf(n):
			c.find("export", sec, nil, "%s is exported as %v, and was as %v", name, exportOf(n), exportOf(o))
		case o.Section == elf.SHN_ABS || n.Section == elf.SHN_ABS:
			if o.Section != n.Section || o.Value != n.Value {
				c.find("export", sec, nil, "%s is %#x, and was %#x", name, n.Value, o.Value)
			}
		default:
			op, np := c.old.placeOf(o), c.new.placeOf(n)
			if op.piece != nil && np.piece != nil && !c.samePlace(op, np, false) {
				c.find("export", sec, nil, "%s is %s, and was %s", name, np, op)
			}
		}
	}
}

// lacksInline tells of what another image exports that it is a body of an inline function or template, which this one has not.
func (im *Image) lacksInline(s *lpelf.Symbol) bool {
	return s.Bind == elf.STB_WEAK && strings.HasPrefix(s.Name, "_Z") && !im.defines[s.Name]
}

// placeOf is where a symbol is, in the piece that has it.
func (im *Image) placeOf(s *lpelf.Symbol) place {
	p := place{piece: im.pieceOf(s), addr: im.addressOf(s)}
	if p.piece != nil {
		p.sec, p.off = p.piece.sec, int64(p.addr-p.piece.start)
	}
	return p
}

// newExport decides about an export that is new. The dynamic linker does not find what a patch brings: nothing may look for it. A
// program exports what its libraries refer to, unless it exports all it has; and who looks up a name has it as a text.
func (c *comparer) newExport(n *lpelf.Symbol, name string) {
	sec := c.new.Section(".dynsym")
	switch p := c.new.pieceOf(n); {
	case p == nil || !c.has(p):
		c.find("export", sec, nil, "%s is exported, and was not", name)
	case c.new.isProgram() && !c.new.exportsAll():
		c.find("export", sec, nil, "%s is exported, and was not: a library refers to it", name)
	case c.old.mentions(n.Name) || c.new.mentions(n.Name):
		c.find("export", sec, nil, "%s is exported, and was not, and its name is there as a text, by which it may be looked up", name)
	case n.Bind != elf.STB_GLOBAL:
		// an inline function's body, or what it has, of which whoever uses it has one as well
	default:
		c.report.Exports = append(c.report.Exports, name)
	}
}

func (im *Image) isProgram() bool {
	return im.Type == elf.ET_EXEC || slices.ContainsFunc(im.Progs, func(p lpelf.Prog) bool { return p.Type == elf.PT_INTERP })
}

// exportsAll tells whether a program was linked with -rdynamic: then it exports where it starts, which no library refers to.
func (im *Image) exportsAll() bool {
	entry := binary.LittleEndian.Uint64(im.Data[0x18:])
	return slices.ContainsFunc(im.DynSymbols, func(s *lpelf.Symbol) bool { return s.Section != elf.SHN_UNDEF && s.Value == entry })
}

// mentions tells whether a text is there that is a name, other than for the dynamic linker.
func (im *Image) mentions(name string) bool {
	text := append([]byte(name), 0)
	return slices.ContainsFunc(im.sections, func(s *lpelf.Section) bool {
		return !isMade(s) && (bytes.HasPrefix(s.Data, text) || bytes.Contains(s.Data, append([]byte{0}, text...)))
	})
}

func exportOf(s *lpelf.Symbol) export { return export{s.Bind, s.Type, s.Vis, s.Hidden} }

// account determines the rule that accounts for each byte of the new image.
func (c *comparer) account() {
	for _, s := range c.new.sections {
		left := s.Size
		for _, p := range c.new.in[s] {
			rule := "new: only what the patch has refers to it"
			switch {
			case c.has(p):
				rule = "in the patch"
			case c.oldOf[p] != nil:
				rule = "the same"
			case p.byContent():
				rule = "a constant of the compiler's: by who refers to it"
			}
			c.report.Bytes[rule] += p.size()
			left -= min(left, p.size())
		}
		switch {
		case s.Name == ".note.gnu.build-id":
			c.report.Bytes["build-id"] += left
		case isFramed(s):
			c.report.Bytes["unwinding, with its code"] += left
		case isMade(s):
			c.report.Bytes["made by the linker, by what it says"] += left
		case isArray(s) || !isPlain(s):
			c.report.Bytes["in order"] += left
		default:
			c.report.Bytes["without a name: by who refers to it"] += left
		}
	}
}
