// SPDX-License-Identifier: GPL-2.0

package match

import (
	"debug/elf"
	"slices"

	"lpatch/pkg/diff"
	"lpatch/pkg/image"
	"lpatch/pkg/lpelf"
)

// Leads maps each name that is not local to an object to the destinations of references to it in the image's code. A linker
// may redirect a reference to a symbol of another name (--wrap), which the symbol table does not show.
type Leads map[string][]image.Lead

func (a Leads) add(name string, l image.Lead) {
	if !slices.Contains(a[name], l) {
		a[name] = append(a[name], l)
	}
}

// Of returns the destinations of references to s.
func (a Leads) Of(s *lpelf.Symbol) []image.Lead { return a[meaning(s)] }

// meaning returns the key of a symbol in Leads: its name, and its version if it has one.
func meaning(s *lpelf.Symbol) string {
	if s.Version == "" {
		return s.Name
	}
	return s.Name + "@" + s.Version
}

// note records the destination of a reference. It only does so for the matcher of LeadsOf, which accepts any destination; the
// result reports whether it was recorded.
func (m *matcher) note(s *lpelf.Symbol, l image.Lead) bool {
	if m.leads == nil || s == nil || s.Bind == elf.STB_LOCAL || s.Name == "" {
		return false
	}
	if g := m.im.Global(l.Name); g != nil && !m.im.Shared() {
		l = image.Lead{Vaddr: g.Value} // the definition of the program preempts all others
	}
	m.leads.add(meaning(s), l)
	return true
}

// LeadsOf determines the destinations of the names that the functions of an old object refer to. It uses the functions whose
// address is in the symbol table and whose code matches.
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
