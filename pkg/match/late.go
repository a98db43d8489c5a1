// SPDX-License-Identifier: GPL-2.0

package match

import (
	"debug/elf"

	"lpatch/pkg/lpelf"
)

// isLateHidden tells of a symbol that is global in the source whether link-time optimisation has made it local in the image: it is
// in whatever part of the symbol table then.
func (m *matcher) isLateHidden(s *lpelf.Symbol) bool {
	if !m.obj.IsLate() || m.im.recovered || s.Bind == elf.STB_LOCAL || s.Vis != elf.STV_HIDDEN || !s.Defined() {
		return false
	}
	g := m.im.Global(s.Name)
	return g == nil || g.Bind == elf.STB_LOCAL || g.Vis == elf.STV_HIDDEN
}

// LocalHere tells whether a symbol of the object is a local one of the image: it is local itself, or link-time optimisation has
// made it so.
func (l *Located) LocalHere(s *lpelf.Symbol) bool {
	return s.Bind == elf.STB_LOCAL || l.m.isLateHidden(s)
}

// Locals returns the local symbols of the image that a symbol of the object may be.
func (l *Located) Locals(s *lpelf.Symbol) []*lpelf.Symbol { return l.m.locals(s) }
