// SPDX-License-Identifier: GPL-2.0

package closedworld

import (
	"cmp"
	"debug/elf"
	"slices"

	"lpatch/pkg/lpelf"
)

// label is a symbol that only says where something begins or ends: a linker script puts it there, or it is a variable without
// size. A program may go from one label to the next, so what is between them is a table, whatever the section is called.
type label struct {
	name string
	sec  *lpelf.Section
	addr uint64
}

// labels are those of data, by address.
func (im *Image) labels() []label {
	var out []label
	for _, s := range im.Symbols {
		sec := im.SectionOf(s)
		empty := s.Type == elf.STT_OBJECT && s.Size == 0 && s.Bind != elf.STB_LOCAL
		if sec == nil || s.Name == "" || isMark(s.Name) || !empty && !im.assigned[s.Name] || sec.Data == nil || sec.Flags&elf.SHF_ALLOC == 0 || sec.Flags&elf.SHF_EXECINSTR != 0 {
			continue
		}
		out = append(out, label{s.Name, sec, s.Value})
	}
	slices.SortStableFunc(out, func(a, b label) int { return cmp.Compare(a.addr, b.addr) })
	return out
}

// between is what there is from a label to another one. Of two at one place, the first ends nothing.
func (im *Image) between(from, to label) span {
	s := span{sec: from.sec, from: from.addr, to: to.addr}
	for _, p := range im.in[from.sec] {
		if p.start >= from.addr && p.start < to.addr {
			s.pieces = append(s.pieces, p)
		}
	}
	return s
}

// compareLabels compares what is between each label and the next, in order.
func (c *comparer) compareLabels() {
	news := map[string]label{}
	for _, l := range c.new.labels() {
		news[l.name] = l
	}
	olds := c.old.labels()
	for i, from := range olds {
		for _, to := range olds[i+1:] {
			newFrom, newTo := news[from.name], news[to.name]
			if to.sec != from.sec || to.addr == from.addr && newTo.addr == newFrom.addr || newFrom.sec == nil || newTo.sec != newFrom.sec {
				continue
			}
			c.compareOrder(c.old.between(from, to), c.new.between(newFrom, newTo))
			break
		}
	}
}
