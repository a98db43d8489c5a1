// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"bytes"
	"debug/elf"

	"lpatch/pkg/codes"
	"lpatch/pkg/lpelf"
)

// compareVariables refuses changes of existing variables that a patch cannot make, such as those of their size or kind. The
// program has modified these variables since it started. A different content becomes a Value if Options.Data is set.
func (c *comparer) compareVariables() {
	for _, n := range c.new.Variables() {
		if ByContent(n) {
			continue
		}
		o := c.res.OldOf[n]
		switch {
		case o != nil:
			c.compareVariable(o, n)
		case n.Type == elf.STT_TLS:
			c.refuse(n.Name, codes.NewTLS, "a new thread-local variable has no room in the threads that run; use ordinary storage")
		}
	}
	c.compareAlignment()
}

func (c *comparer) compareVariable(o, n *lpelf.Symbol) {
	switch {
	case IsTypeData(n.Name):
		c.compareTypeData(o, n)
	case (o.Type == elf.STT_TLS) != (n.Type == elf.STT_TLS):
		c.refuse(n.Name, codes.TLSChanged, "the variable became thread-local or ceased to be; give it another name")
	case o.Size != n.Size:
		c.refuse(n.Name, codes.DataSizeChanged,
			"the variable has %d bytes in the program and %d in the new source; put the addition into a new variable", o.Size, n.Size)
	default:
		c.compareContent(o, n)
	}
}

// compareTypeData refuses classes whose virtual functions or bases changed: existing instances point to the vtables of the
// program.
func (c *comparer) compareTypeData(o, n *lpelf.Symbol) {
	osec, nsec := c.old.SectionOf(o), c.new.SectionOf(n)
	if osec == nil || nsec == nil || o.Size == n.Size && c.equalRange(osec, nsec, o.Value, n.Value, n.Size) {
		return
	}
	c.refuse(n.Name, codes.ClassChanged, "the table of virtual functions or the type information of a class changed, and the program's objects refer to the old one; "+
		"leave the class's bases and the number and order of its virtual functions as they were, change the functions' bodies, or derive a new class")
}

// Value is a variable whose initial value differs in the new source. Its pointers are unchanged.
type Value struct {
	Old, New *lpelf.Symbol
	From, To []byte // whole content; zeros where Linked
	Linked   []bool // bytes that the linker or the dynamic linker fills in
}

func (c *comparer) compareContent(o, n *lpelf.Symbol) {
	osec, nsec := c.old.SectionOf(o), c.new.SectionOf(n)
	const kind = elf.SHF_WRITE | elf.SHF_ALLOC | elf.SHF_TLS
	if osec != nil && nsec != nil && osec.Flags&kind != nsec.Flags&kind {
		c.refuse(n.Name, codes.DataSectionChanged, "the variable moved from section %s to %s (const or not); give it another name", osec.Name, nsec.Name)
		return
	}
	if holdsNothing(osec) && holdsNothing(nsec) {
		return
	}
	v := Value{Old: o, New: n}
	v.From, v.Linked = c.old.Content(o)
	v.To, _ = c.new.Content(n)
	sameRefs := c.equalRefs(osec, nsec, startOf(osec, o), startOf(nsec, n), n.Size)
	if sameRefs && bytes.Equal(v.From, v.To) {
		return
	}
	const other = "set the value in code that runs after the patch, or give the variable another name"
	switch {
	case n.Type == elf.STT_TLS:
		c.refuse(n.Name, codes.DataInitialiserChanged, "the initial value of a thread-local variable differs, and each thread has a copy of its own; "+other)
	case !sameRefs:
		c.refuse(n.Name, codes.DataPointerChanged, "the initial value of a variable that the program already has differs in a pointer, "+
			"and pointers are not the same in each process; "+other)
	case mergeable(osec) || mergeable(nsec):
		c.refuse(n.Name, codes.DataMerged, "the value of a constant differs that the linker may have merged with others; give it another name")
	case !c.opts.Data:
		c.refuse(n.Name, codes.DataInitialiserChanged, "the initial value of a variable that the program already has differs; "+
			"ask for the new value with --data, or "+other)
	default:
		c.res.Values = append(c.res.Values, v)
	}
}

// holdsNothing reports whether a variable in s is initialised with zeros: SHT_NOBITS, or a common symbol (nil).
func holdsNothing(s *lpelf.Section) bool { return s == nil || s.Type == elf.SHT_NOBITS }

// Content returns the initial value of a variable, with zeros where the linker or the dynamic linker fills it in. These bytes
// are marked in linked.
func (o *Object) Content(s *lpelf.Symbol) (b []byte, linked []bool) {
	sec := o.SectionOf(s)
	start := startOf(sec, s)
	b, linked = maskedBytes(sec, start, s.Size), make([]bool, s.Size)
	for _, r := range o.refsAt(sec, start, s.Size) {
		for i := r.Off - start; i < min(r.Off-start+uint64(r.Type.Size), s.Size); i++ {
			linked[i] = true
		}
	}
	return b, linked
}

// startOf returns the offset of a variable in its section. It is 0 for a common symbol, which has no section and whose value
// is its alignment.
func startOf(sec *lpelf.Section, s *lpelf.Symbol) uint64 {
	if sec == nil {
		return 0
	}
	return s.Value
}

func mergeable(s *lpelf.Section) bool { return s != nil && s.Flags&elf.SHF_MERGE != 0 }
