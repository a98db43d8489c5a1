// SPDX-License-Identifier: GPL-2.0

package match

import (
	"debug/elf"

	"lpatch/pkg/lpelf"
)

// isLateHidden reports whether a symbol is global in the source and local in the image, because of link-time optimisation. It
// may then be in any block of the symbol table.
func (m *matcher) isLateHidden(s *lpelf.Symbol) bool {
	if !m.obj.IsLate() || m.im.recovered || s.Bind == elf.STB_LOCAL || s.Vis != elf.STV_HIDDEN || !s.Defined() {
		return false
	}
	g := m.im.Global(s.Name)
	return g == nil || g.Bind == elf.STB_LOCAL || g.Vis == elf.STV_HIDDEN
}

// LocalHere reports whether a symbol of the object is local in the image: because it is local in the object, or because
// link-time optimisation made it local.
func (l *Located) LocalHere(s *lpelf.Symbol) bool {
	return s.Bind == elf.STB_LOCAL || l.m.isLateHidden(s)
}

// Locals returns the local symbols of the image that may correspond to a symbol of the object.
func (l *Located) Locals(s *lpelf.Symbol) []*lpelf.Symbol { return l.m.locals(s) }
