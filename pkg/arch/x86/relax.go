// SPDX-License-Identifier: GPL-2.0

package x86

import (
	"debug/elf"
	"encoding/binary"

	"lpatch/pkg/arch"
)

// Use supports the instructions that compilers generate.
func (Arch) Use(code []byte, field uint64) arch.Use {
	if field < 1 {
		return arch.OtherUse
	}
	op := code[:field]
	last := op[field-1]
	switch {
	case last&0xfe == 0xe8:
		return arch.Branches
	case field < 2:
		return arch.OtherUse
	}
	switch before := op[field-2]; {
	case before == 0x0f && last&0xf0 == 0x80:
		return arch.BranchesIf
	case before == 0xff && (last == 0x15 || last == 0x25):
		return arch.BranchesThrough
	case field >= 3 && op[field-3]&0xfb == 0x48 && before == 0x8d && last&0xc7 == 0x05: // lea x(%rip),%reg
		return arch.TakesAddress
	}
	return arch.OtherUse
}

// Load changes lea to mov.
func (Arch) Load(code []byte, field uint64) { code[field-2] = 0x8b }

// Relax changes mov to lea, call *x to addr32 call, and jmp *x to jmp and nop (psABI, "Optimize GOTPCRELX Relocations").
func (Arch) Relax(t arch.Reloc, code []byte, field uint64) (to uint64, ok bool) {
	if elf.R_X86_64(t.Number) == elf.R_X86_64_GOTPCREL || field < 2 {
		return 0, false
	}
	calls := elf.R_X86_64(t.Number) == elf.R_X86_64_GOTPCRELX
	switch b := code[field-2:]; {
	case b[0] == 0x8b && b[1]&0xc7 == 0x05:
		b[0] = 0x8d
	case calls && b[0] == 0xff && b[1] == 0x15:
		b[0], b[1] = 0x67, 0xe8
	case calls && b[0] == 0xff && b[1] == 0x25:
		b[0], b[5] = 0xe9, 0x90
		return field - 1, true
	default:
		return 0, false
	}
	return field, true
}

// Relaxed supports the rewrites in the psABI, "Optimize GOTPCRELX Relocations" and "Thread-Local Storage Linker
// Optimization".
func (Arch) Relaxed(old, linked []byte, oi, ti arch.Insn) (value int64, is arch.Relaxation) {
	rexO, o := splitRex(old)
	rexT, t := splitRex(linked)
	switch {
	case oi.Kind == arch.CallInd && ti.Kind == arch.Call, oi.Kind == arch.JmpInd && ti.Kind == arch.Jmp:
		return ti.Disp(linked), arch.ToNear
	case len(linked) != len(old) || len(o) != 6 || len(t) != 6:
		return 0, arch.NotRelaxed
	}
	v := int64(int32(binary.LittleEndian.Uint32(t[2:])))
	reg := o[1]>>3&7 | rexO&4<<1 // REX.R extends the register field
	rm := t[1]&7 | rexT&1<<3     // REX.B extends r/m
	switch {
	case o[0] == 0x8b && t[0] == 0x8d && o[1] == t[1] && rexO == rexT:
		return v, arch.ToNear
	case o[0] == 0x8b && t[0] == 0xc7 && t[1]&0xf8 == 0xc0 && rm == reg:
		return v, arch.ToNumber
	case o[0] == 0x85 && t[0] == 0xf7 && t[1]&0xf8 == 0xc0 && rm == reg:
		return v, arch.ToNumber
	case o[0]&0xc7 == 0x03 && t[0] == 0x81 && t[1]>>6 == 3 && t[1]>>3&7 == o[0]>>3&7 && rm == reg:
		return v, arch.ToNumber
	case o[0] == 0x03 && t[0] == 0x8d && t[1]>>6 == 2 && t[1]>>3&7 == t[1]&7 && rm == reg:
		return v, arch.ToNumber
	}
	return 0, arch.NotRelaxed
}

// splitRex splits an instruction without other prefixes into its REX prefix, 0 if there is none, and the rest.
func splitRex(b []byte) (byte, []byte) {
	if b[0]&0xf0 == 0x40 {
		return b[0], b[1:]
	}
	return 0, b
}
