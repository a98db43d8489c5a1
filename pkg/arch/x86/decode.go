// SPDX-License-Identifier: GPL-2.0

// Package x86 implements arch.Arch for x86-64. Its decoder is based on golang.org/x/arch/x86/x86asm and corrects its errors.
package x86

import (
	"errors"
	"fmt"

	"golang.org/x/arch/x86/x86asm"

	"lpatch/pkg/arch"
)

var errUnknown = errors.New("the decoder does not know it")

// Arch is the x86-64 architecture.
type Arch struct{}

// maxLen is the maximum length of an instruction in bytes.
const maxLen = 15

// Decode decodes the instruction at the start of code.
func (Arch) Decode(code []byte) (arch.Insn, error) {
	shown := code[:min(len(code), maxLen)]
	// x86asm may decode a truncated instruction as a shorter one, so pass it a padded one
	padded := code
	if len(code) < 2*maxLen {
		padded = make([]byte, 2*maxLen)
		copy(padded, code)
	}
	in, err := decode(padded)
	switch {
	case err != nil:
		return arch.Insn{}, fmt.Errorf("%w (% x): %w", arch.ErrDecode, shown, err)
	case in.Len > maxLen: // too many prefixes, which the processor rejects
		return arch.Insn{}, fmt.Errorf("%w (% x): it is longer than %d bytes", arch.ErrDecode, shown, maxLen)
	case in.Len > len(code):
		return arch.Insn{}, fmt.Errorf("%w (% x): it is cut off", arch.ErrDecode, shown)
	}
	return in, nil
}

// decode decodes the instruction at the start of code, which must be followed by further bytes.
func decode(code []byte) (arch.Insn, error) {
	if in, ok := decodeGap(code); ok {
		return in, nil
	}
	x, err := safeDecode(code)
	if err != nil || x.Op == 0 {
		if in, ok := decodeVEX3(code); ok {
			return in, nil
		}
	}
	if err != nil {
		return arch.Insn{}, err
	}
	if x.Op == 0 || x.Len == 0 {
		return arch.Insn{}, errUnknown
	}
	in := arch.Insn{Len: x.Len, PCRel: x.PCRel, PCRelOff: x.PCRelOff}
	relateVEX(&in, code)
	classify(&in, code)
	if in.IsBranch() {
		in.Prefix = in.PCRelOff - 1
		if in.Kind == arch.Jcc && in.PCRel == 4 {
			in.Prefix--
		}
	}
	return in, nil
}

// safeDecode converts a panic of the decoder to an error, because code may contain arbitrary bytes.
func safeDecode(code []byte) (x x86asm.Inst, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decoder failed: %v", r)
		}
	}()
	return x86asm.Decode(code, 64)
}

// prefixes returns the number of legacy and REX prefixes.
func prefixes(code []byte) int {
	n := 0
	for n < len(code) {
		switch code[n] {
		case 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65:
			n++
			continue
		}
		break
	}
	if n < len(code) && code[n]&0xf0 == 0x40 {
		n++
	}
	return n
}

// classify sets Kind and Cond from the opcode bytes.
func classify(in *arch.Insn, code []byte) {
	n := prefixes(code)
	op := code[n]
	reg := byte(0)
	if n+1 < in.Len {
		reg = code[n+1] >> 3 & 7
	}
	switch {
	case op == 0x90 && (n == 0 || code[n-1]&0xf0 != 0x40) && code[0] != 0xf3:
		in.Kind = arch.Nop
	case op == 0xeb || op == 0xe9:
		in.Kind = arch.Jmp
	case op&0xf0 == 0x70:
		in.Kind, in.Cond = arch.Jcc, op&15
	case op == 0xe8:
		in.Kind = arch.Call
	case op >= 0xe0 && op <= 0xe3:
		in.Kind = arch.Loop
	case op == 0xc3 || op == 0xc2:
		in.Kind = arch.Ret
	case op == 0xcc || op == 0xf4:
		in.Kind = arch.Trap
	case op == 0xff && reg == 2:
		in.Kind = arch.CallInd
	case op == 0xff && reg == 4:
		in.Kind = arch.JmpInd
	case op == 0x0f && n+1 < in.Len:
		classify0F(in, code[n+1:], code[0])
	}
}

func classify0F(in *arch.Insn, code []byte, first byte) {
	switch op := code[0]; {
	case op&0xf0 == 0x80:
		in.Kind, in.Cond = arch.Jcc, op&15
	case op == 0x0b:
		in.Kind = arch.Trap
	case op == 0x1f && first != 0xf3:
		in.Kind = arch.Nop
	}
}
