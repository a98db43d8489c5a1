// SPDX-License-Identifier: GPL-2.0

package image

import (
	"debug/elf"
	"slices"
	"strings"

	"lpatch/pkg/arch"
	"lpatch/pkg/lpelf"
)

// Lead is where the image's code leads a name: an address of the image, or, through a word that the dynamic linker fills,
// a symbol that it looks up.
type Lead struct {
	Vaddr         uint64
	Name, Version string
}

// LeadTo says what a reference to an address of the image means: through a PLT entry, the symbol of its word, or the indirect
// function whose choice it holds.
func (im *Image) LeadTo(addr uint64) Lead {
	if slot, ok := im.Slots.PLT[addr]; ok {
		switch s := im.Slots.ByVaddr[slot]; {
		case s.Symbol != "":
			return Lead{Name: s.Symbol, Version: s.Version}
		case s.Type.Meaning == arch.Indirect:
			return Lead{Vaddr: uint64(s.Addend)}
		}
	}
	return Lead{Vaddr: addr}
}

// Versioned returns what the image defines for a symbol of an object: the default version, or exactly the one that it asks for.
func (im *Image) Versioned(s *lpelf.Symbol) *lpelf.Symbol {
	for _, d := range im.dyn[s.Name] {
		if s.Version == d.Version && s.Version != "" || s.Version == "" && !d.Hidden && len(im.dyn[s.Name]) > 1 {
			return d
		}
	}
	g := im.Global(s.Name)
	if g != nil && s.Version != "" && s.Version != g.Version {
		return nil
	}
	return g
}

// What --wrap puts before names.
const (
	WrapPrefix = "__wrap_"
	realPrefix = "__real_"
)

// Doubtful tells of a name that the symbol table may not say the truth about: with --wrap, a linker leads NAME to
// __wrap_NAME and __real_NAME to NAME; and another file may define what a library exports.
func (im *Image) Doubtful(name string) bool {
	return im.Global(WrapPrefix+name) != nil || strings.HasPrefix(name, realPrefix) && im.Global(name) == nil || im.ExportsFunction(name)
}

// IsWrap tells whether --wrap leads a name to a place.
func (im *Image) IsWrap(name string, to Lead) bool {
	other := WrapPrefix + name
	if bare, ok := strings.CutPrefix(name, realPrefix); ok && im.Global(name) == nil {
		other = bare
	}
	g := im.Global(other)
	return to.Name == other || to.Name == "" && g != nil && g.Value == to.Vaddr
}

// LeadNames lists places by the names that they have.
func (im *Image) LeadNames(list []Lead) string {
	var out []string
	for _, a := range list {
		s := im.SymbolAt(a.Vaddr)
		switch {
		case a.Name != "":
			out = append(out, a.Name)
		case s != nil:
			out = append(out, s.Name)
		default:
			out = append(out, "unnamed code or data")
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// SymbolAt returns a global symbol at an address, or nil.
func (im *Image) SymbolAt(addr uint64) *lpelf.Symbol {
	var best *lpelf.Symbol
	for _, list := range im.global {
		for _, s := range list {
			if s.Value == addr && s.Type != elf.STT_TLS && (best == nil || s.Name < best.Name) {
				best = s
			}
		}
	}
	return best
}

// Same tells whether the symbol of a word is what an object's symbol means.
func (im *Image) Same(s *lpelf.Symbol, name string) bool {
	return s.Name == name || s.Section == elf.SHN_UNDEF && name != "" && im.IsWrap(s.Name, Lead{Name: name})
}
