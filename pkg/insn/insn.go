// Package insn tells of an x86-64 instruction what a patch builder must know: its length, whether it transfers control,
// and where its PC-relative field is. It stands on golang.org/x/arch/x86/x86asm and repairs what that decoder gets wrong.
package insn

import (
	"errors"
	"fmt"

	"golang.org/x/arch/x86/x86asm"
)

// Kind is the class of an instruction.
type Kind uint8

// The classes of instructions.
const (
	Other   Kind = iota
	Nop          // no effect at all: 90, 66 90, 0f 1f /0, with any prefixes
	Jmp          // jmp rel8 or rel32
	Jcc          // conditional jump, rel8 or rel32
	Loop         // loop, loope, loopne, jrcxz: rel8 only
	Call         // call rel32
	JmpInd       // jmp through a register or memory
	CallInd      // call through a register or memory
	Ret          // ret
	Trap         // int3, ud2, hlt
)

// Insn is one decoded instruction.
type Insn struct {
	Len  int
	Kind Kind
	Cond byte // Jcc: the condition, the low four bits of the opcode
	// PCRel is the size in bytes of the field that is relative to the end of the instruction (0: none), PCRelOff where
	// it starts. It is a branch displacement or a %rip-relative memory operand.
	PCRel    int
	PCRelOff int
}

// IsBranch tells whether the PC-relative field is a branch target.
func (i Insn) IsBranch() bool {
	return i.Kind == Jmp || i.Kind == Jcc || i.Kind == Call || i.Kind == Loop
}

// ErrDecode is wrapped by every error of Decode.
var ErrDecode = errors.New("cannot decode instruction")

var errUnknown = errors.New("the decoder does not know it")

// maxLen is the longest that an instruction can be, in bytes.
const maxLen = 15

// Decode decodes the instruction at the start of code.
func Decode(code []byte) (Insn, error) {
	shown := code[:min(len(code), maxLen)]
	// x86asm takes some of those that are cut off for shorter ones: it gets to see a whole one.
	padded := code
	if len(code) < 2*maxLen {
		padded = make([]byte, 2*maxLen)
		copy(padded, code)
	}
	in, err := decode(padded)
	switch {
	case err != nil:
		return Insn{}, fmt.Errorf("%w (% x): %w", ErrDecode, shown, err)
	case in.Len > maxLen: // by prefixes: a processor refuses it
		return Insn{}, fmt.Errorf("%w (% x): it is longer than %d bytes", ErrDecode, shown, maxLen)
	case in.Len > len(code):
		return Insn{}, fmt.Errorf("%w (% x): it is cut off", ErrDecode, shown)
	}
	return in, nil
}

// decode decodes the instruction at the start of code, behind which there are further bytes.
func decode(code []byte) (Insn, error) {
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
		return Insn{}, err
	}
	if x.Op == 0 || x.Len == 0 {
		return Insn{}, errUnknown
	}
	in := Insn{Len: x.Len, PCRel: x.PCRel, PCRelOff: x.PCRelOff}
	classify(&in, code)
	return in, nil
}

// safeDecode turns a panic of the decoder into an error: code may be anything.
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
func classify(in *Insn, code []byte) {
	n := prefixes(code)
	op := code[n]
	reg := byte(0)
	if n+1 < in.Len {
		reg = code[n+1] >> 3 & 7
	}
	switch {
	case op == 0x90 && (n == 0 || code[n-1]&0xf0 != 0x40) && code[0] != 0xf3:
		in.Kind = Nop
	case op == 0xeb || op == 0xe9:
		in.Kind = Jmp
	case op&0xf0 == 0x70:
		in.Kind, in.Cond = Jcc, op&15
	case op == 0xe8:
		in.Kind = Call
	case op >= 0xe0 && op <= 0xe3:
		in.Kind = Loop
	case op == 0xc3 || op == 0xc2:
		in.Kind = Ret
	case op == 0xcc || op == 0xf4:
		in.Kind = Trap
	case op == 0xff && reg == 2:
		in.Kind = CallInd
	case op == 0xff && reg == 4:
		in.Kind = JmpInd
	case op == 0x0f && n+1 < in.Len:
		classify0F(in, code[n+1:], code[0])
	}
}

func classify0F(in *Insn, code []byte, first byte) {
	switch op := code[0]; {
	case op&0xf0 == 0x80:
		in.Kind, in.Cond = Jcc, op&15
	case op == 0x0b:
		in.Kind = Trap
	case op == 0x1f && first != 0xf3:
		in.Kind = Nop
	}
}

// Disp reads the PC-relative field of the instruction that starts at code.
func (i Insn) Disp(code []byte) int64 {
	f := code[i.PCRelOff:]
	switch i.PCRel {
	case 1:
		return int64(int8(f[0]))
	case 2:
		return int64(int16(uint16(f[0]) | uint16(f[1])<<8))
	case 4:
		return int64(int32(uint32(f[0]) | uint32(f[1])<<8 | uint32(f[2])<<16 | uint32(f[3])<<24))
	}
	return 0
}
