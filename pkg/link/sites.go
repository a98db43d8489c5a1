// SPDX-License-Identifier: GPL-2.0

package link

import (
	"debug/elf"
	"sort"

	"lpatch/pkg/arch"
	"lpatch/pkg/diff"
	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/match"
	"lpatch/pkg/patch"
)

// addSites makes one jump per old function, and notes the old bodies. Two names of one address are one function.
func (l *linker) addSites(spec *patch.Spec) {
	seen := map[uint64]bool{}
	for _, in := range l.inputs {
		for _, ch := range in.changes() {
			m := ch.Loc.Match(ch.Old)
			if m == nil || seen[m.Start] {
				continue
			}
			seen[m.Start] = true
			site, ok := l.site(in, ch.Change, m)
			if !ok || l.folded(in, ch, m) {
				continue
			}
			site.Target = l.target(in, ch.Change)
			spec.Sites = append(spec.Sites, site)
			fn := patch.Function{Symbol: site.Symbol, Why: ch.Why, Bodies: []patch.Range{{Start: m.Start, End: m.End}}}
			if cold := ch.Loc.Obj.Lookup(ch.Old.Name + ".cold"); cold != nil {
				if cm := ch.Loc.Match(cold); cm != nil {
					fn.Bodies = append(fn.Bodies, patch.Range{Start: cm.Start, End: cm.End})
				}
			}
			fn.MayBeActive = !isClone(site.Symbol) && l.runsOn(fn.Bodies, site)
			spec.Functions = append(spec.Functions, fn)
		}
	}
	l.addRelies(spec)
	sort.Slice(spec.Sites, func(i, j int) bool { return spec.Sites[i].Vaddr < spec.Sites[j].Vaddr })
	sort.SliceStable(spec.Functions, func(i, j int) bool { return spec.Functions[i].Bodies[0].Start < spec.Functions[j].Bodies[0].Start })
}

// cloneMark is in the name of a function that the compiler made of another one, with a signature of its own.
var cloneMark = lazyregexp.New(`\.(isra|constprop|part|lto_priv)\b`)

func isClone(name string) bool { return cloneMark().MatchString(name) }

// runsOn proves that a thread inside the old bodies never comes to the bytes that are overwritten at a site other than
// by their first one, which is a call as any other. Indirect jumps prove nothing.
func (l *linker) runsOn(bodies []patch.Range, site patch.Site) bool {
	for _, b := range bodies {
		code := l.im.Code(b.Start)
		if uint64(len(code)) < b.End-b.Start {
			return false
		}
		if len(branchesInto(l.im.Arch, code[:b.End-b.Start], b.Start, site.Vaddr, site.Vaddr+uint64(len(site.Old)))) > 0 {
			return false
		}
	}
	return true
}

// publicFirst orders names that other files may use before hidden aliases, so that people see the former.
func publicFirst(changes []diff.Change) []diff.Change {
	out := append([]diff.Change{}, changes...)
	sort.SliceStable(out, func(i, j int) bool {
		return out[i].Old.Vis == elf.STV_DEFAULT && out[j].Old.Vis != elf.STV_DEFAULT
	})
	return out
}

// site finds the bytes to overwrite.
func (l *linker) site(in *Input, ch diff.Change, m *match.Match) (patch.Site, bool) {
	off, size := l.im.Arch.Site(l.im.Code(m.Start))
	at := m.Start + off
	code := l.im.Code(at)
	name := ch.Old.Name
	if len(name) > patch.MaxNameLen {
		name = name[:patch.MaxNameLen]
	}
	room := m.End - at
	if room < size && at+size <= l.im.NextStart(m.Start) && uint64(len(code)) >= size && isPadding(l.im.Arch, code[room:], int(size-room)) {
		room = size
	}
	if room < size || uint64(len(code)) < size {
		l.refuse(in, ch.Old.Name, "function-too-short",
			"the function has %d bytes in the target and no padding behind it, a jump needs %d; change its caller instead", m.End-at, size)
		return patch.Site{}, false
	}
	return patch.Site{Kind: patch.SiteJump, Symbol: name, Vaddr: at, Old: append([]byte{}, code[:size]...)}, true
}

// isPadding tells whether the first n bytes of what follows a function can be nothing else than filling: no-ops, int3,
// zeros. The last no-op may be longer.
func isPadding(a arch.Arch, code []byte, n int) bool {
	for n > 0 {
		size := a.Filler(code)
		if size == 0 {
			return false
		}
		code, n = code[size:], n-size
	}
	return true
}

// branchesInto lists the offsets from start of the instructions of the old body that branch, or may branch, strictly
// inside the bytes [from, to).
func branchesInto(a arch.Arch, code []byte, start, from, to uint64) []uint64 {
	var out []uint64
	for pos, in := range arch.Instructions(a, code) {
		if in.Kind == arch.Bad || in.Kind == arch.JmpInd {
			out = append(out, uint64(pos))
		}
		if in.IsBranch() {
			if t := start + uint64(pos+in.Len) + uint64(in.Disp(code[pos:])); t > from && t < to {
				out = append(out, uint64(pos))
			}
		}
	}
	return out
}
