// SPDX-License-Identifier: GPL-2.0

package x86

import (
	"debug/elf"

	"lpatch/pkg/arch"
)

// relocs lists the relocation types (psABI AMD64, table "Relocation Types").
var relocs = [...]arch.Reloc{
	elf.R_X86_64_NONE: {Meaning: arch.None, Size: 4},
	elf.R_X86_64_64:   {Meaning: arch.Address, Size: 8},
	elf.R_X86_64_32:   {Meaning: arch.Address, Size: 4},
	elf.R_X86_64_32S:  {Meaning: arch.Address, Size: 4, Signed: true},
	elf.R_X86_64_16:   {Meaning: arch.Address, Size: 2},
	elf.R_X86_64_8:    {Meaning: arch.Address, Size: 1},
	elf.R_X86_64_PC64: {Meaning: arch.Address, Size: 8, PCRel: true},
	elf.R_X86_64_PC32: {Meaning: arch.Address, Size: 4, PCRel: true},
	// fields this small are not relative to the end of an instruction
	elf.R_X86_64_PC16:  {Size: 2},
	elf.R_X86_64_PC8:   {Size: 1},
	elf.R_X86_64_PLT32: {Meaning: arch.Branch, Size: 4, PCRel: true},

	elf.R_X86_64_GOTPCREL:      {Meaning: arch.Word, Size: 4, PCRel: true},
	elf.R_X86_64_GOTPCRELX:     {Meaning: arch.Word, Size: 4, PCRel: true},
	elf.R_X86_64_REX_GOTPCRELX: {Meaning: arch.Word, Size: 4, PCRel: true},
	elf.R_X86_64_SIZE32:        {Meaning: arch.SymbolSize, Size: 4},
	elf.R_X86_64_SIZE64:        {Meaning: arch.SymbolSize, Size: 8},

	elf.R_X86_64_TPOFF32:         {Meaning: arch.ThreadOffset, Size: 4},
	elf.R_X86_64_TPOFF64:         {Meaning: arch.ThreadSlot, Size: 8},
	elf.R_X86_64_GOTTPOFF:        {Meaning: arch.ThreadWord, Size: 4, PCRel: true},
	elf.R_X86_64_DTPOFF32:        {Meaning: arch.BlockOffset, Size: 4},
	elf.R_X86_64_DTPOFF64:        {Meaning: arch.BlockOffset, Size: 8},
	elf.R_X86_64_TLSGD:           {Meaning: arch.GeneralDynamic, Size: 4, PCRel: true},
	elf.R_X86_64_TLSLD:           {Meaning: arch.LocalDynamic, Size: 4, PCRel: true},
	elf.R_X86_64_GOTPC32_TLSDESC: {Meaning: arch.Descriptor, Size: 4, PCRel: true},
	elf.R_X86_64_TLSDESC_CALL:    {Meaning: arch.DescriptorCall},

	elf.R_X86_64_GLOB_DAT:  {Meaning: arch.GlobDat, Size: 4},
	elf.R_X86_64_JMP_SLOT:  {Meaning: arch.JumpSlot, Size: 4},
	elf.R_X86_64_RELATIVE:  {Meaning: arch.Relative, Size: 4},
	elf.R_X86_64_IRELATIVE: {Meaning: arch.Indirect, Size: 4},
	elf.R_X86_64_COPY:      {Meaning: arch.Copy, Size: 4},
	elf.R_X86_64_DTPMOD64:  {Meaning: arch.Module, Size: 4},
	elf.R_X86_64_TLSDESC:   {Meaning: arch.DescriptorWord, Size: 4},
}

// Reloc assumes a 4-byte field for unknown types.
func (Arch) Reloc(number uint32) arch.Reloc {
	var r arch.Reloc
	if number < uint32(len(relocs)) {
		r = relocs[number]
	}
	if r == (arch.Reloc{}) {
		r.Size = 4
	}
	r.Number, r.Machine = number, elf.EM_X86_64
	return r
}
