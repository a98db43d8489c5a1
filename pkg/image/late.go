// SPDX-License-Identifier: GPL-2.0

package image

import (
	"cmp"
	"debug/elf"
	"maps"
	"slices"

	"lpatch/pkg/lpelf"
)

// artificial is how gcc's back end calls its source; linkers leave it out.
const artificial = "<artificial>"

// hiddenGlobals stands, as a part of the symbol table, for what no other file sees, though it is not local: linkers leave some so.
const hiddenGlobals = -1

// lateBlocks are the parts of the symbol table that may name a local symbol of an object that link-time optimisation made: those
// of its source file where there is one, and those without a name, which have what the linker made local.
func (im *Image) lateBlocks(s *lpelf.Symbol) []int {
	out := slices.Concat(im.blocks[s.File], im.blocks[""])
	if s.File == artificial {
		out = append(out, im.blocks[artificial]...)
	}
	if s.File == "" || s.Bind != elf.STB_LOCAL { // it was not local everywhere
		out = slices.Concat(slices.Collect(maps.Values(im.blocks))...)
	}
	slices.Sort(out)
	return slices.Compact(append(out, 0))
}

// LateLocals returns what a local symbol of an object that link-time optimisation made may be in the image, whatever the numbers in
// its name. The code tells which one it is.
func (im *Image) LateLocals(s *lpelf.Symbol) []*lpelf.Symbol {
	linked := lpelf.Unnumbered(cmp.Or(s.Linked, s.Name))
	var out []*lpelf.Symbol
	for _, b := range im.lateBlocks(s) {
		for _, name := range im.lateNames(b)[linked] {
			out = append(out, im.local[b][name]...)
		}
	}
	for _, name := range im.lateNames(hiddenGlobals)[linked] {
		out = append(out, im.global[name]...)
	}
	return out
}

// lateNames are the names in a part of the symbol table, by what they are without numbers.
func (im *Image) lateNames(block int) map[string][]string {
	if names, ok := im.unnumbered[block]; ok {
		return names
	}
	names := map[string][]string{}
	add := func(name string) {
		key := lpelf.Unnumbered(name)
		names[key] = append(names[key], name)
	}
	for name := range im.local[block] {
		add(name)
	}
	if block == hiddenGlobals {
		for name, list := range im.global {
			if list[0].Bind != elf.STB_LOCAL && list[0].Vis == elf.STV_HIDDEN {
				add(name)
			}
		}
	}
	if im.unnumbered == nil {
		im.unnumbered = map[int]map[string][]string{}
	}
	im.unnumbered[block] = names
	return names
}
