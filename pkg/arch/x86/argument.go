// SPDX-License-Identifier: GPL-2.0

package x86

import (
	"encoding/binary"

	"lpatch/pkg/arch"
)

// arguments lists the register numbers of the first arguments: %rdi and %rsi.
var arguments = [...]byte{7, 6}

// Argument supports the first two arguments.
func (a Arch) Argument(code []byte, call uint64, n int, relocated func(from, to uint64) bool) arch.Value {
	reg := arguments[n]
	var starts []int
	into := map[int]bool{}
	last := -1
	for pos, in := range arch.Instructions(a, code) {
		if in.Kind == arch.Bad {
			return arch.Value{}
		}
		if in.IsBranch() {
			into[pos+in.Len+int(in.Disp(code[pos:]))] = true
		}
		if uint64(pos) <= call && call < uint64(pos+in.Len) {
			last = len(starts)
			if in.Kind != arch.Call && in.Kind != arch.CallInd && in.Kind != arch.Jmp && in.Kind != arch.JmpInd {
				return arch.Value{} // the address of an instruction is taken
			}
		}
		starts = append(starts, pos)
	}
	for i := last - 1; i >= 0; i-- {
		pos, end := starts[i], starts[i+1]
		in, _ := a.Decode(code[pos:])
		if into[end] || in.Kind != arch.Other && in.Kind != arch.Nop {
			return arch.Value{}
		}
		v, writes := written(code[pos:end], reg, relocated(uint64(pos), uint64(end)))
		if v.End != 0 {
			v.Start, v.End = uint64(pos), uint64(end)
		}
		if writes {
			return v
		}
	}
	return arch.Value{}
}

// written reports whether an instruction may write reg, one of the low eight registers, and returns the value if it is known.
// v.End is not 0 if the value is the address that the relocated field refers to.
func written(code []byte, reg byte, relocated bool) (v arch.Value, writes bool) {
	rex, op := splitRex(code)
	switch {
	case len(op) == 5 && op[0] == 0xb8|reg && rex&1 == 0: // mov $imm,%r32
		if relocated {
			return arch.Value{End: 1}, true
		}
		return arch.Value{Known: true, Number: int64(binary.LittleEndian.Uint32(op[1:]))}, true
	case len(op) == 6 && op[0] == 0xc7 && op[1] == 0xc0|reg && rex == 0x48: // mov $imm,%r64
		if relocated {
			return arch.Value{End: 1}, true
		}
		return arch.Value{Known: true, Number: int64(int32(binary.LittleEndian.Uint32(op[2:])))}, true
	case len(op) == 2 && (op[0] == 0x31 || op[0] == 0x33) && op[1] == 0xc0|reg|reg<<3 && rex&5 == 0: // xor %r,%r
		return arch.Value{Known: true}, true
	case len(op) == 3 && op[0] == 0x83 && op[1] == 0xc8|reg && op[2] == 0xff && rex == 0x48: // or $-1,%r64
		return arch.Value{Known: true, Number: -1}, true
	case len(op) == 6 && op[0] == 0x8d && op[1] == 0x05|reg<<3 && rex == 0x48 && relocated: // lea x(%rip),%r64
		return arch.Value{End: 1}, true
	case len(op) > 0 && (op[0] == 0x58|reg || op[0] == 0xb8|reg): // pop
		return arch.Value{}, true
	}
	return arch.Value{}, mayWrite(op, reg)
}

// mayWrite reports whether an instruction may write a register: its ModRM byte names the register other than as part of an
// address, whatever the instruction does.
func mayWrite(op []byte, reg byte) bool {
	at := 1
	if len(op) > 1 && op[0] == 0x0f {
		at = 2
	}
	if len(op) > 0 && (op[0] == 0x66 || op[0] == 0xf2 || op[0] == 0xf3) { // string instructions have implicit register operands
		return true
	}
	return len(op) > at && (op[at]>>3&7 == reg || op[at]>>6 == 3 && op[at]&7 == reg)
}

// AllOnes recognizes the instructions that compilers use for this.
func (a Arch) AllOnes(code []byte) bool {
	for pos, in := range arch.Instructions(a, code) {
		if in.Kind == arch.Bad {
			return true
		}
		rex, op := splitRex(code[pos : pos+in.Len])
		switch n := len(op); {
		case rex&8 != 0 && n > 4 && op[0] == 0xc7 && string(op[n-4:]) == "\xff\xff\xff\xff", // mov $-1 to a register or memory
			rex&8 != 0 && n == 3 && op[0] == 0x83 && op[1]>>3 == 0x19 && op[2] == 0xff, // or $-1,%r64
			n == 2 && op[0] == 0x6a && op[1] == 0xff:                                   // push $-1
			return true
		}
	}
	return false
}
