// SPDX-License-Identifier: GPL-2.0

package match

import (
	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// unnamedPlace is an offset in unnamed data of an object that its code refers to.
type unnamedPlace struct {
	sec *lpelf.Section
	at  int64
}

// Unnamed returns the address in the image of unnamed data that did not change. It follows from the references of the
// object's functions.
func (l *Located) Unnamed(sec *lpelf.Section, at int64) (addr uint64, ok bool) {
	m := newMatcher(l.m.im, l.Obj, l.Block)
	found := map[uint64]bool{}
	for _, f := range m.obj.Functions() {
		if _, cold := diff.ColdParent(f.Name); cold || len(m.addresses(f)) != 1 {
			continue
		}
		m.unnamed = map[unnamedPlace]uint64{}
		if m.function(f) != nil {
			continue
		}
		if a, there := m.unnamed[unnamedPlace{sec, at}]; there {
			addr = a
			found[a] = true
		}
	}
	return addr, len(found) == 1
}
