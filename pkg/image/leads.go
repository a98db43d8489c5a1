// SPDX-License-Identifier: GPL-2.0

package image

import (
	"debug/elf"
	"slices"
	"strings"

	"lpatch/pkg/arch"
	"lpatch/pkg/lpelf"
)

// Lead is the destination of a reference in the code of the image: an address of the image, or a symbol that the dynamic
// linker resolves.
type Lead struct {
	Vaddr         uint64
	Name, Version string
}

// LeadTo returns what a reference to addr resolves to. For a PLT entry this is the symbol of its GOT word, or the resolver of
// an indirect function (STT_GNU_IFUNC).
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

// Versioned returns the definition in the image of the symbol s of an object file: the default version, or exactly the
// version that s asks for.
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

// The prefixes that the linker option --wrap uses.
const (
	WrapPrefix = "__wrap_"
	realPrefix = "__real_"
)

// Doubtful reports whether the symbol table may be wrong about the destination of a reference to name: with --wrap, the
// linker resolves NAME to __wrap_NAME and __real_NAME to NAME, and an exported function of a shared object may be interposed.
func (im *Image) Doubtful(name string) bool {
	return im.Global(WrapPrefix+name) != nil || strings.HasPrefix(name, realPrefix) && im.Global(name) == nil || im.ExportsFunction(name)
}

// IsWrap reports whether the linker option --wrap resolves name to the destination to.
func (im *Image) IsWrap(name string, to Lead) bool {
	other := WrapPrefix + name
	if bare, ok := strings.CutPrefix(name, realPrefix); ok && im.Global(name) == nil {
		other = bare
	}
	g := im.Global(other)
	return to.Name == other || to.Name == "" && g != nil && g.Value == to.Vaddr
}

// LeadNames returns the sorted names of destinations, separated by commas, for a message.
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

// SymbolAt returns the global symbol at addr, the first one by name if there are several, or nil.
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

// Same reports whether the symbol called name of a GOT word is the one that the symbol s of an object file refers to.
func (im *Image) Same(s *lpelf.Symbol, name string) bool {
	return s.Name == name || s.Section == elf.SHN_UNDEF && name != "" && im.IsWrap(s.Name, Lead{Name: name})
}
