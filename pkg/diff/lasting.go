// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"
	"slices"

	"lpatch/pkg/arch"
	"lpatch/pkg/lpelf"
)

// A process that runs goes on in the old body of a function that is not entered again, or that is not left. Both can be seen
// of the old code in some cases; what a function that it calls does is not known.

// RunsOnce tells whether a function runs once, as the program starts, and not again: main, and constructors.
func (o *Object) RunsOnce(f *lpelf.Symbol) bool {
	if f.Bind == elf.STB_GLOBAL && (f.Name == "main" || f.Name == "_start") {
		return true
	}
	return o.Starts(f)
}

// neverReturn are functions of the C and C++ libraries that a compiler knows not to return. A thread that calls one leaves
// its function, or ends.
var neverReturn = []string{
	"abort", "exit", "_exit", "_Exit", "quick_exit", "pthread_exit", "thrd_exit", "longjmp", "siglongjmp", "__longjmp_chk",
	"__assert_fail", "__assert_perror_fail", "__stack_chk_fail", "__chk_fail", "_Unwind_Resume", "__cxa_throw", "__cxa_rethrow",
	"__cxa_bad_cast", "__cxa_throw_bad_array_new_length", "_ZSt9terminatev",
}

// place is an instruction of a function, which may have a part in another section.
type place struct {
	section int
	at      uint64
}

// flow is where the instructions of a function lead.
type flow struct {
	o      *Object
	parts  []*lpelf.Symbol // the function, and its .cold parts
	next   map[place][]place
	leaves map[place]bool // the thread leaves the function, or that is not known
	jumps  []place        // through a jump table: to anywhere
}

// HasEndlessLoop tells whether a thread can come to a place of the function from which no way leads out of it: no return, no
// jump to another function, and no call of a function of the library that does not return. In a loop like that it stays. A
// jump through a register counts as a way out, unless the function has tables of its own labels. Exceptions are not looked
// at, and of a function of the program that does not return it is not known. What does not decode has no such loop.
func (o *Object) HasEndlessLoop(f *lpelf.Symbol) bool {
	w := &flow{o: o, next: map[place][]place{}, leaves: map[place]bool{}, parts: []*lpelf.Symbol{f}}
	for _, s := range o.Functions() {
		if parent, cold := ColdParent(s.Name); cold && parent == f.Name {
			w.parts = append(w.parts, s)
		}
	}
	for _, part := range w.parts {
		if !w.decode(part) {
			return false
		}
	}
	w.spread()
	out := w.comingFrom()
	for p := range w.reachable(place{int(f.Section), f.Value}) {
		if !out[p] {
			return true
		}
	}
	return false
}

// decode follows the instructions of a part.
func (w *flow) decode(part *lpelf.Symbol) bool {
	sec := w.o.SectionOf(part)
	if sec == nil || !sec.IsText() || part.Value+part.Size > uint64(len(sec.Data)) {
		return false
	}
	refs := map[uint64]Ref{} // by the end of their instruction
	for _, r := range w.o.RefsIn(sec, part.Value, part.Size) {
		refs[r.End] = r
	}
	for pos, in := range arch.Instructions(w.o.Arch, sec.Data[part.Value:]) {
		at := part.Value + uint64(pos)
		if at >= part.Value+part.Size {
			break
		}
		if in.Kind == arch.Bad {
			return false
		}
		end := at + uint64(in.Len)
		ref, known := refs[end]
		target := place{sec.Index, end + uint64(in.Disp(sec.Data[at:]))}
		if known && in.IsBranch() {
			target = place{-1, 0} // outside
			if ref.Sec != nil {
				target = place{ref.Sec.Index, uint64(ref.At)}
			}
		}
		w.add(place{sec.Index, at}, place{sec.Index, end}, target, in.Kind, ref.Sym)
	}
	return true
}

// add notes where an instruction leads.
func (w *flow) add(at, end, target place, kind arch.Kind, callee *lpelf.Symbol) {
	switch kind {
	case arch.Ret, arch.Trap:
		w.leaves[at] = true
	case arch.JmpInd:
		w.jumps = append(w.jumps, at)
	case arch.Jmp:
		w.lead(at, target)
	case arch.Jcc, arch.Loop:
		w.lead(at, target)
		w.lead(at, end)
	case arch.Call:
		if callee != nil && slices.Contains(neverReturn, callee.Name) {
			w.leaves[at] = true
			return
		}
		w.lead(at, end)
	default:
		w.lead(at, end)
	}
}

// lead notes that one instruction leads to another, or out of the function: also where the code ends behind a call, which
// then does not return.
func (w *flow) lead(from, to place) {
	for _, part := range w.parts {
		if int(part.Section) == to.section && to.at >= part.Value && to.at < part.Value+part.Size {
			w.next[from] = append(w.next[from], to)
			return
		}
	}
	w.leaves[from] = true
}

// spread lets jumps through a register lead to every instruction, if the function has tables of labels, else out of it.
func (w *flow) spread() {
	if len(w.jumps) == 0 {
		return
	}
	tables := w.hasTables()
	var all []place
	for p := range w.next {
		all = append(all, p)
	}
	for p := range w.leaves {
		all = append(all, p)
	}
	for _, p := range w.jumps {
		if tables {
			w.next[p] = all
		} else {
			w.leaves[p] = true
		}
	}
}

// hasTables tells whether the function refers to data that refers to its own inside.
func (w *flow) hasTables() bool {
	for _, part := range w.parts {
		for _, r := range w.o.RefsIn(w.o.SectionOf(part), part.Value, part.Size) {
			if r.Sec == nil || r.Sec.IsText() {
				continue
			}
			for _, label := range w.o.Refs(r.Sec) {
				if label.Sec != nil && label.Sec.Index == int(part.Section) && label.At != int64(part.Value) {
					return true
				}
			}
		}
	}
	return false
}

// comingFrom are the instructions from which a way leads out of the function.
func (w *flow) comingFrom() map[place]bool {
	before := map[place][]place{}
	for from, list := range w.next {
		for _, to := range list {
			before[to] = append(before[to], from)
		}
	}
	out := map[place]bool{}
	var todo []place
	for p := range w.leaves {
		todo = append(todo, p)
	}
	return walk(todo, before, out)
}

// reachable are the instructions to which a way leads from one.
func (w *flow) reachable(from place) map[place]bool {
	return walk([]place{from}, w.next, map[place]bool{})
}

// walk adds to seen all that can be reached.
func walk(todo []place, next map[place][]place, seen map[place]bool) map[place]bool {
	for len(todo) > 0 {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[p] {
			continue
		}
		seen[p] = true
		todo = append(todo, next[p]...)
	}
	return seen
}
