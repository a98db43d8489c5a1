// SPDX-License-Identifier: GPL-2.0

package closedworld

import (
	"bytes"
	"maps"
	"sort"

	"lpatch/pkg/arch"
)

// An assembler lays out a section as a whole. If a function changes, the padding and the sizes of jumps in the following ones
// may change, although the compiler's output for them is the same: gas does not shrink a jump again once it has been relaxed
// to its long form, even if alignment shifts afterwards. Code whose bytes differ is therefore compared by instruction:
// padding is ignored, and jumps within it must lead to corresponding instructions.

// instruction is an instruction other than padding.
type instruction struct {
	off  uint64 // from the start of the piece
	in   arch.Insn
	code []byte
}

// layout holds the offsets of corresponding instructions of two pieces.
type layout struct{ old, new []instruction }

// same reports whether two offsets in the pieces are those of corresponding instructions, or of the padding before them.
func (l *layout) same(was, is uint64) bool { return index(l.old, was) == index(l.new, is) }

func index(list []instruction, off uint64) int {
	return sort.Search(len(list), func(i int) bool { return list[i].off >= off })
}

// instructions decodes a piece. It returns nil if the piece does not consist of code only.
func (im *Image) instructions(p *piece) []instruction {
	code := bytesUpTo(p.sec, p.start, p.end)
	if uint64(len(code)) != p.size() {
		return nil
	}
	var out []instruction
	for pos, in := range arch.Instructions(im.Arch, code) {
		switch in.Kind {
		case arch.Bad:
			return nil
		case arch.Nop:
		default:
			out = append(out, instruction{uint64(pos), in, code[pos : pos+in.Len]})
		}
	}
	return out
}

// relaid reports whether two pieces of code with different bytes consist of corresponding instructions. Their references are
// not compared.
func (c *comparer) relaid(o, n *piece) bool {
	if !o.isCode() {
		return false
	}
	l := &layout{c.old.instructions(o), c.new.instructions(n)}
	if len(l.old) == 0 || len(l.old) != len(l.new) {
		return false
	}
	for i := range l.old {
		if !c.sameInstruction(o, n, l, i) {
			return false
		}
	}
	c.layouts[o] = l
	return true
}

// sameInstruction compares the bytes of an instruction outside of references, and the destination of a jump within the piece.
func (c *comparer) sameInstruction(o, n *piece, l *layout, i int) bool {
	a, b := &l.old[i], &l.new[i]
	of, nf := c.old.fieldsIn(o.start+a.off, o.start+a.off+uint64(a.in.Len)), c.new.fieldsIn(n.start+b.off, n.start+b.off+uint64(b.in.Len))
	if len(of) != len(nf) {
		return false
	}
	to, inside := a.target(o)
	too, insideToo := b.target(n)
	if len(of) == 0 && inside && insideToo {
		return l.same(to, too) && sameJump(a, b)
	}
	if a.in.Len != b.in.Len {
		return false
	}
	was, is := bytes.Clone(a.code), bytes.Clone(b.code)
	for j := range of {
		at := of[j].at - o.start - a.off
		if nf[j].at-n.start-b.off != at || of[j].size != nf[j].size {
			return false
		}
		clear(cut(was, at, at+uint64(of[j].size)))
		clear(cut(is, at, at+uint64(of[j].size)))
	}
	return bytes.Equal(was, is)
}

// target returns the destination of a branch within a piece.
func (i *instruction) target(p *piece) (off uint64, inside bool) {
	if !i.in.IsBranch() || i.in.PCRel == 0 {
		return 0, false
	}
	off = i.off + uint64(i.in.Len) + uint64(i.in.Disp(i.code))
	return off, off < p.size()
}

// sameJump reports whether two branches are equal except for the size of the displacement, which assemblers choose.
func sameJump(a, b *instruction) bool {
	if a.in.Kind == arch.Jmp || a.in.Kind == arch.Jcc {
		return a.in.Kind == b.in.Kind && a.in.Cond == b.in.Cond && bytes.Equal(a.code[:a.in.Prefix], b.code[:b.in.Prefix])
	}
	return a.in.PCRelOff == b.in.PCRelOff && bytes.Equal(a.code[:a.in.PCRelOff], b.code[:b.in.PCRelOff])
}

// sameReferences compares the references of two pieces that relaid accepted. Jump tables that refer to these pieces have been
// compared by unmodified offsets before.
func (c *comparer) sameReferences(o, n *piece) bool {
	maps.DeleteFunc(c.unnamed, func(_ unnamedPair, same bool) bool { return !same })
	of, nf := c.old.fieldsIn(o.start, o.end), c.new.fieldsIn(n.start, n.end)
	for i := range of { // both have the same number of references
		if c.sameField(&of[i], &nf[i], o.start, n.start) != "" {
			return false
		}
	}
	return true
}
