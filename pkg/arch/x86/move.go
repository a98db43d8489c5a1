// SPDX-License-Identifier: GPL-2.0

package x86

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"lpatch/pkg/arch"
)

// Count returns "lock addq $1,word(%rip)". It modifies the flags, which are not preserved across calls.
func (Arch) Count() (code []byte, field uint64) {
	return []byte{0xf0, 0x48, 0x83, 0x05, 0, 0, 0, 0, 1}, 4
}

// Return sets all of %rax, which is also correct for narrower types. Without a number it preserves %rax, because the caller
// may know that a function without result does not clobber it (-fipa-ra).
func (Arch) Return(number *uint64) []byte {
	const ret = 0xc3
	switch {
	case number == nil:
		return []byte{ret}
	case *number <= math.MaxUint32: // mov $imm,%eax
		return append(binary.LittleEndian.AppendUint32([]byte{0xb8}, uint32(*number)), ret)
	case *number >= 1<<64-1<<31: // mov $simm,%rax
		return append(binary.LittleEndian.AppendUint32([]byte{0x48, 0xc7, 0xc0}, uint32(*number)), ret)
	}
	return append(binary.LittleEndian.AppendUint64([]byte{0x48, 0xb8}, *number), ret) // movabs $imm,%rax
}

// Move clobbers no register or flag that the original instruction does not.
func (a Arch) Move(code []byte, at uint64) (arch.Moved, error) {
	in, err := a.Decode(code)
	if err != nil {
		return arch.Moved{}, err
	}
	code = slices.Clone(code[:in.Len])
	next := at + uint64(in.Len)
	if !in.IsBranch() && slices.Contains(code[:prefixes(code)], 0x67) { // the decoder does not report %eip-relative operands
		return arch.Moved{}, errors.New("it computes its address in 32 bits")
	}
	switch {
	case in.Kind == arch.Loop:
		return arch.Moved{}, errors.New("its jump reaches 128 bytes only")
	case in.PCRel == 2, in.IsBranch() && slices.Contains(code[:prefixes(code)], 0x66):
		return arch.Moved{}, errors.New("its jump is of 16 bits on some processors")
	case in.Kind == arch.Jmp:
		return moved([]byte{0xe9, 0, 0, 0, 0}, 1, next+uint64(in.Disp(code))), nil
	case in.Kind == arch.Jcc:
		return moved([]byte{0x0f, 0x80 | in.Cond, 0, 0, 0, 0}, 2, next+uint64(in.Disp(code))), nil
	case in.Kind == arch.Call:
		return called(moved([]byte{0xe9, 0, 0, 0, 0}, 1, next+uint64(in.Disp(code))), next), nil
	case in.Kind == arch.CallInd && in.PCRel == 0:
		return arch.Moved{}, errors.New("it calls through a register, or memory that one points to")
	case in.PCRel == 0:
		return arch.Moved{Code: code}, nil
	}
	target := next + uint64(in.Disp(code))
	if in.Kind == arch.CallInd { // FF /2 becomes FF /4
		code[in.PCRelOff-1] ^= 0x10 ^ 0x20
		return called(moved(code, in.PCRelOff, target), next), nil
	}
	return moved(code, in.PCRelOff, target), nil
}

// moved returns one instruction with a field.
func moved(code []byte, field int, to uint64) arch.Moved {
	return arch.Moved{Code: code, Refs: []arch.MovedRef{{Field: uint64(field), End: uint64(len(code)), To: to}}}
}

// called converts a jump to a call that returns to the address after the original instruction, where unwinders find the FDE
// of its function. It pushes this address from a word, "pushq word(%rip)".
func called(jump arch.Moved, back uint64) arch.Moved {
	push := []byte{0xff, 0x35, 0, 0, 0, 0}
	size := uint64(len(push))
	for i := range jump.Refs {
		jump.Refs[i].Field += size
		jump.Refs[i].End += size
	}
	word := arch.MovedRef{Field: 2, End: size, To: back, Word: true}
	return arch.Moved{Code: append(push, jump.Code...), Refs: append([]arch.MovedRef{word}, jump.Refs...)}
}
