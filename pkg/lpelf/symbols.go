// SPDX-License-Identifier: GPL-2.0

package lpelf

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
	"strings"

	"lpatch/pkg/arch"
)

func le16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }
func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func le64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// Reloc is a RELA entry (psABI AMD64, "Relocation").
type Reloc struct {
	Off    uint64 // offset in the section, or virtual address for dynamic relocations of a program
	Type   arch.Reloc
	Sym    *Symbol
	Addend int64
}

func (f *File) readSymbols(ef *elf.File) error {
	syms, err := ef.Symbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return fmt.Errorf("%s: damaged symbol table: %w", f.Path, err)
	}
	f.Symbols = convertSymbols(syms)
	syms, err = ef.DynamicSymbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return fmt.Errorf("%s: damaged dynamic symbol table: %w", f.Path, err)
	}
	f.DynSymbols = convertSymbols(syms)
	return nil
}

// convertSymbols prepends the null symbol and assigns each local symbol to the STT_FILE symbol that precedes it.
func convertSymbols(syms []elf.Symbol) []*Symbol {
	if len(syms) == 0 {
		return nil
	}
	out := make([]*Symbol, 1, len(syms)+1)
	out[0] = &Symbol{}
	file, block := "", 0
	for _, s := range syms {
		sym := &Symbol{
			Name: s.Name, Version: s.Version, Type: elf.ST_TYPE(s.Info), Bind: elf.ST_BIND(s.Info), Vis: elf.ST_VISIBILITY(s.Other),
			Section: s.Section, Value: s.Value, Size: s.Size, Hidden: s.HasVersion && s.VersionIndex.IsHidden(),
		}
		if i := strings.IndexByte(sym.Name, '@'); i > 0 {
			sym.Name, sym.Version = sym.Name[:i], strings.TrimLeft(sym.Name[i:], "@")
		}
		if sym.Type == elf.STT_FILE {
			file = sym.Name
			block++
		}
		if sym.Bind == elf.STB_LOCAL {
			sym.File, sym.Block = file, block
		}
		out = append(out, sym)
	}
	return out
}

// relaSize is sizeof(Elf64_Rela) in bytes.
const relaSize = 24

// readRelocs attaches the RELA sections of an object file to the sections that they apply to.
func (f *File) readRelocs() error {
	for _, s := range f.Sections {
		if s.Type == elf.SHT_REL {
			return fmt.Errorf("%s: section %s: relocations without addend do not belong in an x86-64 object", f.Path, s.Name)
		}
		if s.Type != elf.SHT_RELA {
			continue
		}
		if int(s.Info) >= len(f.Sections) {
			return fmt.Errorf("%s: section %s applies to section %d, which does not exist; the file is damaged", f.Path, s.Name, s.Info)
		}
		target := f.Sections[s.Info]
		relocs, err := f.parseRela(s, f.Symbols)
		if err != nil {
			return err
		}
		// offsets refer to the decompressed content of a compressed section, which is never loaded
		packed := target.Flags&(elf.SHF_COMPRESSED|elf.SHF_ALLOC) == elf.SHF_COMPRESSED
		for _, r := range relocs {
			if r.Off >= target.Size && !packed {
				return fmt.Errorf("%s: section %s: relocation at %#x is outside the section; the file is damaged", f.Path, target.Name, r.Off)
			}
		}
		sort.SliceStable(relocs, func(i, j int) bool { return relocs[i].Off < relocs[j].Off })
		target.Relocs = relocs
	}
	return nil
}

func (f *File) parseRela(s *Section, syms []*Symbol) ([]Reloc, error) {
	if s.Size%relaSize != 0 {
		return nil, fmt.Errorf("%s: section %s: size %d is not a multiple of %d; the file is damaged", f.Path, s.Name, s.Size, relaSize)
	}
	relocs := make([]Reloc, 0, s.Size/relaSize)
	for d := s.Data; len(d) >= relaSize; d = d[relaSize:] {
		info := le64(d[8:])
		i := int(info >> 32)
		r := Reloc{Off: le64(d), Type: f.Arch.Reloc(uint32(info)), Addend: int64(le64(d[16:]))}
		switch {
		case i < len(syms):
			r.Sym = syms[i]
		case i == 0:
			r.Sym = &Symbol{}
		default:
			return nil, fmt.Errorf("%s: section %s names symbol %d of %d; the file is damaged", f.Path, s.Name, i, len(syms))
		}
		relocs = append(relocs, r)
	}
	return relocs, nil
}

// SourceName returns the name of an object's STT_FILE symbol, or "".
func (f *File) SourceName() string {
	for _, s := range f.Symbols {
		if s.Type == elf.STT_FILE && s.Name != "" {
			return s.Name
		}
	}
	return ""
}
