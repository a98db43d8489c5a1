// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"
	"slices"

	"lpatch/pkg/arch"
	"lpatch/pkg/lpelf"
)

// A running process stays in the old body of a function that is not entered again or that does not return. In some cases the
// old code shows this; the behavior of called functions is not known.

// RunsOnce reports whether f runs exactly once, at program start: main, _start, and constructors.
func (o *Object) RunsOnce(f *lpelf.Symbol) bool {
	if f.Bind == elf.STB_GLOBAL && (f.Name == "main" || f.Name == "_start") {
		return true
	}
	return o.Starts(f)
}

// neverReturn lists functions of the C and C++ libraries that compilers know not to return. A thread that calls one leaves
// the calling function or terminates.
var neverReturn = []string{
	"abort", "exit", "_exit", "_Exit", "quick_exit", "pthread_exit", "thrd_exit", "longjmp", "siglongjmp", "__longjmp_chk",
	"__assert_fail", "__assert_perror_fail", "__stack_chk_fail", "__chk_fail", "_Unwind_Resume", "__cxa_throw", "__cxa_rethrow",
	"__cxa_bad_cast", "__cxa_throw_bad_array_new_length", "_ZSt9terminatev",
}

// place is the location of an instruction of a function, which may have parts in several sections.
type place struct {
	section int
	at      uint64
}

// flow is the control flow graph of a function.
type flow struct {
	o      *Object
	parts  []*lpelf.Symbol // the function and its .cold parts
	next   map[place][]place
	leaves map[place]bool // instructions that leave the function, or may do so
	jumps  []place        // indirect jumps: to any instruction if the function has jump tables
}

// HasEndlessLoop reports whether the function contains an instruction that a thread can reach but from which no path leaves
// the function: no return, no jump to another function and no call of a library function that does not return. A thread that
// gets there stays there. An indirect jump counts as an exit unless the function has tables of its own labels. Exceptions are
// ignored, and functions of the program that do not return are not recognized. The result is false if the code cannot be
// decoded.
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

// decode adds the instructions of a part of the function to the graph. It returns false if they cannot be decoded.
func (w *flow) decode(part *lpelf.Symbol) bool {
	sec := w.o.SectionOf(part)
	if sec == nil || !sec.IsText() || part.Value+part.Size > uint64(len(sec.Data)) {
		return false
	}
	refs := map[uint64]Ref{} // end of the instruction -> reference in it
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
			target = place{-1, 0} // outside of the function
			if ref.Sec != nil {
				target = place{ref.Sec.Index, uint64(ref.At)}
			}
		}
		w.add(place{sec.Index, at}, place{sec.Index, end}, target, in.Kind, ref.Sym)
	}
	return true
}

// add records the successors of an instruction.
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

// lead adds an edge between two instructions, or to the outside of the function. The latter includes the end of the code
// after a call, which then does not return.
func (w *flow) lead(from, to place) {
	for _, part := range w.parts {
		if int(part.Section) == to.section && to.at >= part.Value && to.at < part.Value+part.Size {
			w.next[from] = append(w.next[from], to)
			return
		}
	}
	w.leaves[from] = true
}

// spread adds an edge from each indirect jump to every instruction if the function has tables of labels, else to the outside.
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

// hasTables reports whether the function refers to data that refers to locations within the function.
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

// comingFrom returns the instructions from which a path leaves the function.
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

// reachable returns the instructions that are reachable from from.
func (w *flow) reachable(from place) map[place]bool {
	return walk([]place{from}, w.next, map[place]bool{})
}

// walk adds all instructions that are reachable from todo to seen, and returns it.
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
