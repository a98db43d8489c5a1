package x86

import (
	"bytes"

	"lpatch/pkg/arch"
)

// decodeGap handles the instructions that x86asm does not know: it answers some of them with length 1, Op 0 and no error
// (golang/go#35865). They are recognised by opcode (Intel SDM volume 2, appendix A) and measured by their ModRM byte.
func decodeGap(code []byte) (arch.Insn, bool) {
	if len(code) >= 3 && code[0] == 0xc5 && code[2] == 0x77 { // vzeroupper, vzeroall: x86asm counts a ModRM byte
		return arch.Insn{Len: 3}, true
	}
	n := prefixes(code)
	if n+2 >= len(code) || code[n] != 0x0f {
		return arch.Insn{}, false
	}
	rep := bytes.IndexByte(code[:n], 0xf3) >= 0
	switch op := code[n+1]; {
	case op == 0x1e && rep: // endbr64, endbr32, rdsspd, rdsspq
		return modrm(code, n+2, 0)
	case op == 0x01 && code[n+2]>>6 == 3: // rdpkru, wrpkru, xgetbv, xend, ...: no operand but the ModRM byte
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

// decodeVEX3 measures three-byte VEX instructions of the maps 2 (no immediate) and 3 (one byte of it), among them AMD's
// FMA4, which x86asm does not list.
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

// modrm measures an instruction whose ModRM byte is at pos and which ends with imm bytes of immediate.
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
