// SPDX-License-Identifier: GPL-2.0

package match

import (
	"debug/elf"
	"slices"

	"lpatch/pkg/diff"
	"lpatch/pkg/image"
	"lpatch/pkg/lpelf"
)

// Leads says where the image's code leads each name that is not local to an object. A linker may send a reference
// elsewhere than to the symbol of its name (--wrap), and the symbol table does not tell.
type Leads map[string][]image.Lead

func (a Leads) add(name string, l image.Lead) {
	if !slices.Contains(a[name], l) {
		a[name] = append(a[name], l)
	}
}

// Of returns where a symbol is led.
func (a Leads) Of(s *lpelf.Symbol) []image.Lead { return a[meaning(s)] }

// meaning is the key of a symbol in leads: its name, and the version if it asks for one.
func meaning(s *lpelf.Symbol) string {
	if s.Version == "" {
		return s.Name
	}
	return s.Name + "@" + s.Version
}

// note takes down where a reference leads. Only the matcher of leadsOf does; it takes any place that a name leads to.
func (m *matcher) note(s *lpelf.Symbol, l image.Lead) bool {
	if m.leads == nil || s == nil || s.Bind == elf.STB_LOCAL || s.Name == "" {
		return false
	}
	if g := m.im.Global(l.Name); g != nil && !m.im.Shared() {
		l = image.Lead{Vaddr: g.Value} // nobody comes before the program
	}
	m.leads.add(meaning(s), l)
	return true
}

// LeadsOf reads where the image leads the names that an old object's functions refer to: those functions of which the
// symbol table knows the place, and whose code is there.
func (t *Target) LeadsOf(obj *diff.Object, block int) Leads {
	all := Leads{}
	m := newMatcher(t, obj, block)
	for _, f := range obj.Functions() {
		if _, cold := diff.ColdParent(f.Name); cold || len(m.addresses(f)) != 1 {
			continue
		}
		m.leads = Leads{}
		if m.function(f) != nil {
			continue
		}
		for name, list := range m.leads {
			for _, l := range list {
				all.add(name, l)
			}
		}
	}
	return all
}
