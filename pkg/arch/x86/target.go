// SPDX-License-Identifier: GPL-2.0

package x86

import (
	"golang.org/x/arch/x86/x86asm"

	"lpatch/pkg/arch"
)

// tracer follows registers back through the instructions in front of a jump, in the order of the code.
type tracer struct {
	insns   []x86asm.Inst
	at      []int // where they are
	isTable func(from, to uint64) bool
}

// JumpsByTable looks back from the jump for what wrote the registers that lead to its target.
func (a Arch) JumpsByTable(code []byte, jump int, isTable func(from, to uint64) bool) bool {
	t := tracer{isTable: isTable}
	for pos, in := range arch.Instructions(a, code[:jump]) {
		if in.Kind == arch.Bad {
			return false
		}
		x, err := safeDecode(code[pos:])
		if err != nil {
			x = x86asm.Inst{Len: in.Len} // one of those that decode without it, none of which moves an address
		}
		t.insns, t.at = append(t.insns, x), append(t.at, pos)
	}
	x, err := safeDecode(code[jump:])
	if err != nil {
		return false
	}
	t.insns, t.at = append(t.insns, x), append(t.at, jump)
	return t.fromTable(len(t.insns)-1, x.Args[0])
}

// fromTable tells whether what an instruction gets at an operand is read from a table, or computed from its parts.
func (t *tracer) fromTable(i int, from x86asm.Arg) bool {
	switch arg := from.(type) {
	case x86asm.Mem:
		if isSlot(arg) {
			return t.storedFromTable(i, arg)
		}
		return t.refersToTable(i) || t.isTableRegister(i, arg.Base) || t.isTableRegister(i, arg.Index)
	case x86asm.Reg:
		w := t.writer(i, arg)
		if w < 0 {
			return false
		}
		switch x := t.insns[w]; x.Op {
		case x86asm.MOV:
			return t.fromTable(w, x.Args[1])
		case x86asm.ADD, x86asm.SUB: // distances of a table
			return true
		}
	}
	return false
}

// isTableRegister tells whether a register has the address of a table when an instruction uses it.
func (t *tracer) isTableRegister(i int, reg x86asm.Reg) bool {
	for w := t.writer(i, reg); w >= 0; w = t.writer(w, reg) {
		x := t.insns[w]
		if x.Op == x86asm.LEA || x.Op == x86asm.MOV && !isMove(x) {
			return t.refersToTable(w)
		}
		if x.Op != x86asm.MOV {
			return false
		}
		from, ok := x.Args[1].(x86asm.Reg)
		if mem, is := x.Args[1].(x86asm.Mem); is {
			if ok = isSlot(mem); ok {
				w, from, ok = t.store(w, mem)
			}
		}
		if !ok {
			return false
		}
		reg = from
	}
	return false
}

// isMove tells whether a MOV is from a register or memory, and not of a number.
func isMove(x x86asm.Inst) bool {
	_, isImm := x.Args[1].(x86asm.Imm)
	return !isImm
}

// isSlot tells whether an operand is a place on the stack.
func isSlot(m x86asm.Mem) bool { return (m.Base == x86asm.RSP || m.Base == x86asm.RBP) && m.Index == 0 }

// storedFromTable tells whether all that was stored at a place on the stack was read from tables, as where all jumps of a function
// are made one.
func (t *tracer) storedFromTable(i int, slot x86asm.Mem) bool {
	found := false
	for w, reg, ok := t.store(i, slot); w >= 0; w, reg, ok = t.store(w, slot) {
		if !ok || !t.fromTable(w, reg) {
			return false
		}
		found = true
	}
	return found
}

// store is the last instruction in front of one that stores something at a place on the stack, or -1, and the register that it
// stores; ok is false if it stores something else.
func (t *tracer) store(i int, slot x86asm.Mem) (at int, reg x86asm.Reg, ok bool) {
	for i--; i >= 0; i-- {
		if to, is := t.insns[i].Args[0].(x86asm.Mem); is && t.insns[i].Op == x86asm.MOV && to == slot {
			reg, ok = t.insns[i].Args[1].(x86asm.Reg)
			return i, reg, ok
		}
	}
	return -1, 0, false
}

func (t *tracer) refersToTable(i int) bool {
	return t.isTable(uint64(t.at[i]), uint64(t.at[i]+t.insns[i].Len))
}

// writer is the last instruction in front of one that writes a register of 8 bytes, or -1.
func (t *tracer) writer(i int, reg x86asm.Reg) int {
	if reg == 0 {
		return -1
	}
	for i--; i >= 0; i-- {
		x := t.insns[i]
		if to, is := x.Args[0].(x86asm.Reg); is && wide(to) == wide(reg) && x.Op != x86asm.CMP && x.Op != x86asm.TEST && x.Op != x86asm.PUSH {
			return i
		}
	}
	return -1
}

// wide is the register of 8 bytes that one of 4 is the half of.
func wide(r x86asm.Reg) x86asm.Reg {
	if r >= x86asm.EAX && r <= x86asm.R15L {
		return r - x86asm.EAX + x86asm.RAX
	}
	return r
}
