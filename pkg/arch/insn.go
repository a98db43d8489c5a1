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
	Loop         // jump that decrements a register or tests it for zero
	Call         // call
	JmpInd       // jump through a register or memory
	CallInd      // call through a register or memory
	Ret          // return
	Trap         // terminates the program
	Bad          // last value of Instructions if decoding fails; Decode returns an error instead
)

// Insn is a decoded instruction.
type Insn struct {
	Len  int
	Kind Kind
	Cond byte // Jcc: condition code
	// PCRel is the size in bytes, and PCRelOff the offset, of the field that is relative to the end of the instruction; PCRel
	// is 0 if there is none. The field is a branch displacement or part of a memory operand.
	PCRel    int
	PCRelOff int
	Prefix   int // branches: number of bytes before the opcode
}

// IsBranch reports whether the PC-relative field is a branch displacement.
func (i Insn) IsBranch() bool {
	return i.Kind == Jmp || i.Kind == Jcc || i.Kind == Call || i.Kind == Loop
}

// Disp returns the value of the PC-relative field of the instruction at the start of code.
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

// Instructions iterates over the instructions in code and their offsets. If one cannot be decoded, it is the last one, with
// length 0 and Kind Bad.
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
