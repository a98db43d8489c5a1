// SPDX-License-Identifier: GPL-2.0

package image

import (
	"debug/elf"
	"slices"
	"strings"

	"lpatch/pkg/lpelf"
)

// The prefixes of the symbols with which the linker delimits a section.
const (
	StartPrefix = "__start_"
	StopPrefix  = "__stop_"
)

// LinkerAddress computes the address that the linker would have assigned to one of its own symbols. ok is false if this is
// not certain.
func (im *Image) LinkerAddress(name string) (uint64, bool) {
	if set, ok := strings.CutPrefix(name, StartPrefix); ok {
		s, ok := im.only(set)
		return s.Addr, ok
	}
	if set, ok := strings.CutPrefix(name, StopPrefix); ok {
		s, ok := im.only(set)
		return s.Addr + s.Size, ok
	}
	switch name {
	case "__ehdr_start":
		return im.headers()
	case "_DYNAMIC":
		i := slices.IndexFunc(im.Progs, func(p lpelf.Prog) bool { return p.Type == elf.PT_DYNAMIC })
		if i < 0 {
			return 0, false
		}
		return im.Progs[i].Vaddr, true
	case "__GNU_EH_FRAME_HDR":
		s, ok := im.only(".eh_frame_hdr")
		return s.Addr, ok
	}
	if im.Shared() {
		return 0, false // linkers differ on whether the symbol resolves to that of the program
	}
	switch name {
	case "__executable_start":
		return im.headers()
	case "etext", "_etext", "__etext":
		return im.alias("etext", "_etext", "__etext", im.textEnd)
	case "edata", "_edata":
		return im.alias("edata", "_edata", "", nil)
	case "end", "_end":
		return im.alias("end", "_end", "", nil)
	}
	section, edge, ok := strings.Cut(strings.TrimPrefix(name, "__"), "_array_")
	if s, found := im.only("." + section + "_array"); ok && found {
		if edge == "end" {
			return s.Addr + s.Size, true
		}
		return s.Addr, true
	}
	return 0, false
}

// alias returns the address of the first of the symbols a, b and c that the symbol table has, else the result of compute.
func (im *Image) alias(a, b, c string, compute func() (uint64, bool)) (uint64, bool) {
	for _, name := range []string{a, b, c} {
		if g := im.Global(name); g != nil && g.Type == elf.STT_NOTYPE {
			return g.Value, true
		}
	}
	if compute == nil {
		return 0, false
	}
	return compute()
}

// only returns the loaded section called name if there is exactly one; otherwise an empty section and false.
func (im *Image) only(name string) (*lpelf.Section, bool) {
	found := &lpelf.Section{}
	n := 0
	for _, s := range im.Sections {
		if s.Name == name && s.Flags&elf.SHF_ALLOC != 0 {
			found, n = s, n+1
		}
	}
	return found, n == 1
}

// headers returns the address at which the ELF header is loaded.
func (im *Image) headers() (uint64, bool) {
	for _, p := range im.Progs {
		if p.Type == elf.PT_LOAD && p.Off == 0 && p.Filesz > 0 {
			return p.Vaddr, true
		}
	}
	return 0, false
}

// textEnd returns the end of the code. ok is false unless the last executable section is one after which every linker places
// etext, and ends its segment.
func (im *Image) textEnd() (uint64, bool) {
	last := &lpelf.Section{}
	for _, s := range im.Sections {
		if s.Flags&(elf.SHF_ALLOC|elf.SHF_EXECINSTR) == elf.SHF_ALLOC|elf.SHF_EXECINSTR && s.Addr >= last.Addr {
			last = s
		}
	}
	end, seg := last.Addr+last.Size, im.Segment(last.Addr)
	return end, (last.Name == ".fini" || last.Name == ".text") && seg != nil && seg.Vaddr+seg.Memsz == end
}
