// SPDX-License-Identifier: GPL-2.0

package mitigate

import (
	"iter"
	"slices"
	"strings"

	"lpatch/pkg/arch"
	"lpatch/pkg/ehframe"
)

// part is a range of code with at most one FDE: a function, or a part of it that the compiler has split off.
type part struct {
	start, end uint64
	rules      *ehframe.Rules // nil if there are none or they are not supported
}

// cfaAt returns the CFA at an address.
func (p *part) cfaAt(at uint64) ehframe.CFA {
	if p.rules == nil {
		return ehframe.CFA{}
	}
	return p.rules.CFAAt(at - p.rules.Start)
}

// partAt returns the part that contains an address. For the function itself this is the whole FDE, which may extend beyond
// its symbol.
func (m *maker) partAt(extents []ehframe.Range, at uint64) part {
	p := part{start: at, end: m.im.NextStart(at)}
	if p.end == at { // no code follows
		p.end += uint64(len(m.im.Code(at)))
	}
	inside := at >= m.fn.start && at < m.fn.end
	if inside {
		p.start, p.end = m.fn.start, m.fn.end
	}
	if i := slices.IndexFunc(extents, func(e ehframe.Range) bool { return at >= e.Start && at < e.End }); i >= 0 {
		if e := extents[i]; inside {
			p.end = max(p.end, e.End)
		} else {
			p.start, p.end = e.Start, e.End
		}
	}
	if sec := m.im.Section(".eh_frame"); sec != nil {
		p.rules, _ = ehframe.RulesOf(sec.Data, sec.Addr, p.start)
	}
	if p.rules != nil {
		p.end = max(p.end, p.rules.End)
	}
	return p
}

// code returns the content of a part.
func (m *maker) code(p part) []byte {
	code := m.im.Code(p.start)
	return code[:min(uint64(len(code)), p.end-p.start)]
}

// parts iterates over the function and, transitively, the code that it jumps to, as far as wanted returns true.
func (m *maker) parts(wanted func(part) bool) iter.Seq[part] {
	return func(yield func(part) bool) {
		extents := m.im.Extents()
		todo := []part{m.partAt(extents, m.fn.start)}
		for i := 0; i < len(todo); i++ {
			if !yield(todo[i]) {
				return
			}
			for to := range m.jumps(todo[i]) {
				p := m.partAt(extents, to)
				if !slices.ContainsFunc(todo, func(o part) bool { return o.start == p.start }) && wanted(p) {
					todo = append(todo, p)
				}
			}
		}
	}
}

// jumps iterates over the addresses outside of a part to which its instructions jump. It ends at an instruction that cannot
// be decoded.
func (m *maker) jumps(p part) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		code := m.code(p)
		for pos, in := range arch.Instructions(m.im.Arch, code) {
			to := p.start + uint64(pos+in.Len)
			if !in.IsBranch() || in.Kind == arch.Call {
				continue
			}
			to += uint64(in.Disp(code[pos:]))
			if (to < p.start || to >= p.end) && m.im.Code(to) != nil && !yield(to) {
				return
			}
		}
	}
}

// mayReturn reports whether the function may return to its caller: it, or code that it jumps to, contains a return, or an
// indirect jump without a stack frame. With a frame, an indirect jump is not a tail call, because the frame would have to be
// removed first.
func (m *maker) mayReturn() bool {
	for p := range m.parts(func(part) bool { return true }) {
		for pos, in := range arch.Instructions(m.im.Arch, m.code(p)) {
			cfa := p.cfaAt(p.start + uint64(pos))
			if in.Kind == arch.Ret || in.Kind == arch.JmpInd && (cfa == ehframe.AtEntry || cfa == ehframe.CFA{}) {
				return true
			}
		}
	}
	return false
}

// isOwn reports whether a part may belong to the function, and is not known to be a separate function.
func (m *maker) isOwn(p part) bool {
	if sec := m.sectionAt(p.start); sec != nil && strings.Contains(sec.Name, "plt") {
		return false
	}
	return !slices.ContainsFunc(m.im.FunctionsAt(p.start), func(name string) bool { return !strings.Contains(name, ".cold") })
}
