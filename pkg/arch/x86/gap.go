// SPDX-License-Identifier: GPL-2.0

package x86

import (
	"bytes"

	"lpatch/pkg/arch"
)

// decodeGap decodes the instructions that x86asm does not support. For some of them x86asm returns length 1, Op 0 and no
// error (golang/go#35865). They are recognized by opcode (Intel SDM volume 2, appendix A), and their length follows from the
// ModRM byte.
func decodeGap(code []byte) (arch.Insn, bool) {
	if len(code) >= 3 && code[0] == 0xc5 && code[2] == 0x77 { // vzeroupper, vzeroall: x86asm assumes a ModRM byte
		return arch.Insn{Len: 3}, true
	}
	if code[0] == 0x62 { // EVEX: three bytes, opcode, ModRM; BOUND does not exist in 64-bit mode
		return decodeEVEX(code)
	}
	n := prefixes(code)
	if n+2 >= len(code) || code[n] != 0x0f {
		return arch.Insn{}, false
	}
	rep := bytes.IndexByte(code[:n], 0xf3) >= 0
	switch op := code[n+1]; {
	case op == 0x1e && rep: // endbr64, endbr32, rdsspd, rdsspq
		return modrm(code, n+2, 0)
	case op == 0x01 && code[n+2]>>6 == 3: // rdpkru, wrpkru, xgetbv, xend, ...: no operand except the ModRM byte
		return arch.Insn{Len: n + 3}, true
	case op == 0x0b: // ud2
		return arch.Insn{Len: n + 2, Kind: arch.Trap}, true
	case op == 0x38:
		switch code[n+2] {
		case 0xf5, 0xf6, 0xf8, 0xf9: // wrss, adcx/adox, movdir64b, movdiri
			return modrm(code, n+3, 0)
		}
	}
	return arch.Insn{}, false
}

// decodeVEX3 determines the length of three-byte VEX instructions of map 2 (no immediate) and map 3 (one immediate byte),
// including those of AMD's FMA4, which x86asm lacks.
func decodeVEX3(code []byte) (arch.Insn, bool) {
	if len(code) < 5 || code[0] != 0xc4 {
		return arch.Insn{}, false
	}
	switch code[1] & 0x1f {
	case 2:
		return modrm(code, 4, 0)
	case 3:
		return modrm(code, 4, 1)
	}
	return arch.Insn{}, false
}

// decodeEVEX determines the length of AVX-512 instructions by opcode map: all instructions of map 3 and a few of map 1 have
// an immediate.
func decodeEVEX(code []byte) (arch.Insn, bool) {
	if len(code) < 6 {
		return arch.Insn{}, false
	}
	imm := 0
	switch op := code[4]; code[1] & 7 {
	case 1:
		if op >= 0x70 && op <= 0x73 || op == 0xc2 || op >= 0xc4 && op <= 0xc6 {
			imm = 1
		}
	case 2, 5, 6:
	case 3:
		imm = 1
	default:
		return arch.Insn{}, false
	}
	return modrm(code, 5, imm)
}

// relateVEX sets the RIP-relative operand of a VEX instruction, which x86asm does not report.
func relateVEX(in *arch.Insn, code []byte) {
	at := map[byte]int{0xc5: 3, 0xc4: 4}[code[0]]
	if at != 0 && in.PCRel == 0 && at+5 <= in.Len && code[at]&0xc7 == 5 {
		in.PCRel, in.PCRelOff = 4, at+1
	}
}

// modrm determines the length of an instruction whose ModRM byte is at pos and which ends with imm bytes of immediate.
func modrm(code []byte, pos, imm int) (arch.Insn, bool) {
	if pos >= len(code) {
		return arch.Insn{}, false
	}
	m := code[pos]
	mod, rm := m>>6, m&7
	in := arch.Insn{}
	end := pos + 1
	if mod != 3 && rm == 4 {
		if end >= len(code) {
			return arch.Insn{}, false
		}
		if mod == 0 && code[end]&7 == 5 {
			end += 4
		}
		end++
	}
	switch {
	case mod == 1:
		end++
	case mod == 2:
		end += 4
	case mod == 0 && rm == 5:
		in.PCRel, in.PCRelOff = 4, end
		end += 4
	}
	in.Len = end + imm
	return in, in.Len <= len(code)
}
