// SPDX-License-Identifier: GPL-2.0

package arch

import (
	"errors"
	"iter"
)

// Kind is the class of an instruction.
type Kind uint8

// The classes of instructions.
const (
	Other   Kind = iota
	Nop          // no effect at all
	Jmp          // jump
	Jcc          // conditional jump
	Loop         // jump that counts a register down, or asks whether it is zero
	Call         // call
	JmpInd       // jump through a register or memory
	CallInd      // call through a register or memory
	Ret          // return
	Trap         // ends the program
	Bad          // what Instructions ends with if it does not decode; Decode has an error
)

// Insn is one decoded instruction.
type Insn struct {
	Len  int
	Kind Kind
	Cond byte // Jcc: the condition
	// PCRel is the size in bytes of the field that is relative to the end of the instruction (0: none), PCRelOff where
	// it starts. It is a branch displacement or an operand in memory.
	PCRel    int
	PCRelOff int
	Prefix   int // of a branch: the bytes before its opcode
}

// IsBranch tells whether the PC-relative field is a branch target.
func (i Insn) IsBranch() bool {
	return i.Kind == Jmp || i.Kind == Jcc || i.Kind == Call || i.Kind == Loop
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

// ErrDecode is wrapped by every error of Decode.
var ErrDecode = errors.New("cannot decode instruction")

// Instructions goes over code, instruction by instruction, with the offset of each. One that does not decode is the last, with
// no length and of kind Bad.
func Instructions(a Arch, code []byte) iter.Seq2[int, Insn] {
	return func(yield func(int, Insn) bool) {
		for pos := 0; pos < len(code); {
			in, err := a.Decode(code[pos:])
			if err != nil {
				yield(pos, Insn{Kind: Bad})
				return
			}
			if !yield(pos, in) {
				return
			}
			pos += in.Len
		}
	}
}
