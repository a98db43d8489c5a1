package link

import (
	"cmp"
	"maps"
	"slices"

	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// artificial is how gcc's back end calls its source; linkers leave it out.
const artificial = "<artificial>"

// lateBlocks are the parts of the symbol table that may name a local symbol of an object that link-time optimisation made: those
// of its source file where there is one, and those without a name, which have what the linker made local.
func (im *Image) lateBlocks(s *lpelf.Symbol) []int {
	out := slices.Concat(im.blocks[s.File], im.blocks[""])
	switch s.File {
	case artificial:
		out = append(out, im.blocks[artificial]...)
	case "": // it was not local before
		out = slices.Concat(slices.Collect(maps.Values(im.blocks))...)
	}
	slices.Sort(out)
	return slices.Compact(append(out, 0))
}

// LateLocals returns what a local symbol of an object that link-time optimisation made may be in the image: those of its name,
// or if there is none, those whose name has other numbers. The code tells which one it is.
func (im *Image) LateLocals(s *lpelf.Symbol) []*lpelf.Symbol {
	linked := cmp.Or(s.Linked, s.Name)
	var exact, alike []*lpelf.Symbol
	for _, b := range im.lateBlocks(s) {
		exact = append(exact, im.local[b][linked]...)
		for name, list := range im.local[b] {
			if name != linked && diff.Unnumbered(name) == diff.Unnumbered(linked) {
				alike = append(alike, list...)
			}
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return alike
}
