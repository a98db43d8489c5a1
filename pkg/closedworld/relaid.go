// SPDX-License-Identifier: GPL-2.0

package closedworld

import (
	"bytes"
	"maps"
	"sort"

	"lpatch/pkg/arch"
)

// An assembler lays out a section as a whole: where a function in front changes, it may fill another one otherwise, though the
// compiler made the same of both (gas lets no jump shrink again once it was long, whatever alignment has moved since). So code whose
// bytes differ is compared by instructions: filling counts for nothing, and jumps within it lead to the same instruction.

// instruction is one that is no filling.
type instruction struct {
	off  uint64 // from the begin of the piece
	in   arch.Insn
	code []byte
}

// layout is where two pieces of the same instructions have each of them.
type layout struct{ old, new []instruction }

// same tells whether offsets in the two pieces are those of one instruction, or of the filling in front of it.
func (l *layout) same(was, is uint64) bool { return index(l.old, was) == index(l.new, is) }

func index(list []instruction, off uint64) int {
	return sort.Search(len(list), func(i int) bool { return list[i].off >= off })
}

// instructions decodes a piece; nil if it is not all code.
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

// relaid tells whether two pieces of code, whose bytes differ, have the same instructions. What they refer to is not compared.
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

// sameInstruction compares what is no reference, and where a jump within the piece leads.
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

// target is where a branch within a piece leads.
func (i *instruction) target(p *piece) (off uint64, inside bool) {
	if !i.in.IsBranch() || i.in.PCRel == 0 {
		return 0, false
	}
	off = i.off + uint64(i.in.Len) + uint64(i.in.Disp(i.code))
	return off, off < p.size()
}

// sameJump tells whether two branches are the same but for the size of the distance, which assemblers choose.
func sameJump(a, b *instruction) bool {
	if a.in.Kind == arch.Jmp || a.in.Kind == arch.Jcc {
		return a.in.Kind == b.in.Kind && a.in.Cond == b.in.Cond && bytes.Equal(a.code[:a.in.Prefix], b.code[:b.in.Prefix])
	}
	return a.in.PCRelOff == b.in.PCRelOff && bytes.Equal(a.code[:a.in.PCRelOff], b.code[:b.in.PCRelOff])
}

// sameReferences compares those of pieces that relaid has taken for the same. Tables of jumps into them were compared as if
// nothing had moved.
func (c *comparer) sameReferences(o, n *piece) bool {
	maps.DeleteFunc(c.unnamed, func(_ unnamedPair, same bool) bool { return !same })
	of, nf := c.old.fieldsIn(o.start, o.end), c.new.fieldsIn(n.start, n.end)
	for i := range of { // as many on both sides: relaid
		if c.sameField(&of[i], &nf[i], o.start, n.start) != "" {
			return false
		}
	}
	return true
}
