package link

import (
	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// unnamedPlace is a place of unnamed data of an object, as its code refers to it.
type unnamedPlace struct {
	sec *lpelf.Section
	at  int64
}

// oldUnnamed finds unnamed writable data that did not change in the image: where the old functions refer to it.
func (l *linker) oldUnnamed(c *chunk, r diff.Ref) (addr uint64, ok bool) {
	old := c.in.Diff.Unnamed[r.Sec]
	if old == nil || c.in.Loc == nil {
		return 0, false
	}
	m := newMatcher(l.im, c.in.Loc.Obj, c.in.Loc.Block)
	found := map[uint64]bool{}
	for _, f := range m.obj.Functions() {
		if _, cold := diff.ColdParent(f.Name); cold || len(m.addresses(f)) != 1 {
			continue
		}
		m.unnamed = map[unnamedPlace]uint64{}
		if m.function(f) != nil {
			continue
		}
		if at, there := m.unnamed[unnamedPlace{old, r.At}]; there {
			addr = at
			found[at] = true
		}
	}
	return addr, len(found) == 1
}
