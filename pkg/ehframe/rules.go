// SPDX-License-Identifier: GPL-2.0

package ehframe

import (
	"bytes"
	"errors"
	"slices"
)

// Rules is the decoded program of an FDE: for each location in a function, the rules by which an unwinder finds the frame of
// the caller.
type Rules struct {
	Range
	Steps []Step
}

// Step is a call frame instruction other than an advance, and the location at which it takes effect.
type Step struct {
	At   uint64 // offset from the start of the function in bytes
	Rule []byte
}

// CFA is a canonical frame address given as register plus offset. The zero value stands for an unsupported rule.
type CFA struct{ Register, Offset uint64 }

// AtEntry is the CFA at function entry, where the return address is on top of the stack (psABI, table 3.36).
var AtEntry = CFA{Register: 7, Offset: 8}

// Call frame instructions that are interpreted (DWARF 5, table 7.29). The low six bits of the first three contain an operand.
const (
	cfaAdvance       = 0x40
	cfaOffset        = 0x80
	cfaRestore       = 0xc0
	cfaHigh          = 0xc0 // mask
	cfaAdvance1      = 0x02
	cfaAdvance2      = 0x03
	cfaAdvance4      = 0x04
	cfaRemember      = 0x0a
	cfaRestoreState  = 0x0b
	cfaDef           = 0x0c
	cfaDefRegister   = 0x0d
	cfaDefOffset     = 0x0e
	cfaDefExpression = 0x0f
	cfaDefSigned     = 0x12
	cfaDefOffsetS    = 0x13
)

// operands lists the operands of instructions: u is a LEB128 number, b a block preceded by its length.
var operands = map[byte]string{
	0x00: "", 0x05: "uu", 0x06: "u", 0x07: "u", 0x08: "u", 0x09: "uu", cfaRemember: "", cfaRestoreState: "", cfaDef: "uu", cfaDefRegister: "u",
	cfaDefOffset: "u", cfaDefExpression: "b", 0x10: "ub", 0x11: "uu", cfaDefSigned: "uu", cfaDefOffsetS: "u", 0x14: "uu", 0x15: "uu", 0x16: "ub",
	0x2e: "u",
}

// usual is the CIE that compilers for x86-64 generate, from its version field on and without language-specific augmentation:
// FDE pointers are PC-relative; at entry the CFA is %rsp+8 with the return address below it.
var usual = []byte("\x01zR\x00\x01\x78\x10\x01\x1b\x0c\x07\x08\x90\x01")

// RulesOf returns the rules of the function at address pc, from an .eh_frame at address addr. Both results are nil if the
// function has no FDE. The error is the reason why the FDE is not supported.
func RulesOf(data []byte, addr, pc uint64) (*Rules, error) {
	entries, _, _ := Entries(data) // entries after a malformed one are ignored
	for _, e := range entries {
		if e.IsCIE() || e.CIE >= e.Off {
			continue
		}
		head := &reader{data: data, at: e.CIE + 8}
		if i := slices.IndexFunc(entries, func(c Entry) bool { return c.Off == e.CIE }); i >= 0 {
			head.data = data[:entries[i].End:entries[i].End]
		}
		c := head.readCIE(addr)
		body := &reader{data: data[:e.End:e.End], at: e.Off + 8}
		f := body.readFDE(c, addr)
		if f.PC != pc || head.err != nil || body.err != nil {
			continue
		}
		start := bytes.TrimRight(head.data[head.program:], "\x00")
		if c.units != [3]uint64{1, 0x78, 16} || !bytes.HasSuffix(usual, start) || len(start) != 5 {
			return nil, errors.New("its frames begin in a way of their own")
		}
		out := &Rules{Range: Range{pc, pc + f.Size}}
		return out, out.read(data[body.program:e.End])
	}
	return nil, nil
}

// read decodes the instructions of an FDE.
func (l *Rules) read(program []byte) error {
	r := &reader{data: program}
	at := uint64(0)
	for r.at < uint64(len(program)) && r.err == nil {
		start := r.at
		op := r.byte()
		switch {
		case op&cfaHigh == cfaAdvance:
			at += uint64(op &^ cfaHigh)
			continue
		case op == cfaAdvance1:
			at += uint64(r.byte())
			continue
		case op == cfaAdvance2:
			at += uint64(le.Uint16(r.bytes(2)))
			continue
		case op == cfaAdvance4:
			at += uint64(le.Uint32(r.bytes(4)))
			continue
		case op&cfaHigh == cfaOffset:
			r.leb()
		case op&cfaHigh == cfaRestore:
		default:
			r.operands(op)
		}
		if op != 0 && r.err == nil {
			l.Steps = append(l.Steps, Step{at, slices.Clone(program[start:r.at])})
		}
	}
	return r.err
}

func (r *reader) operands(op byte) {
	kinds, ok := operands[op]
	if !ok {
		r.fail("instruction %#x is not known", op)
	}
	for _, kind := range kinds {
		n := r.leb()
		if kind == 'b' {
			r.bytes(n)
		}
	}
}

// CFAAt returns the CFA at offset off of the function.
func (l *Rules) CFAAt(off uint64) CFA {
	now := AtEntry
	var kept []CFA
	for _, s := range l.Steps {
		if s.At > off {
			break
		}
		r := &reader{data: s.Rule}
		switch op := r.byte(); op {
		case cfaRemember:
			kept = append(kept, now)
		case cfaRestoreState:
			if len(kept) == 0 {
				return CFA{}
			}
			now, kept = kept[len(kept)-1], kept[:len(kept)-1]
		case cfaDef:
			now = CFA{Register: r.leb(), Offset: r.leb()}
		case cfaDefRegister:
			now.Register = r.leb()
		case cfaDefOffset:
			now.Offset = r.leb()
		case cfaDefExpression, cfaDefSigned, cfaDefOffsetS:
			now = CFA{}
		}
	}
	return now
}

// PushOne returns the instruction that describes the CFA after a push of one word. ok is false unless the CFA is relative to
// %rsp.
func (c CFA) PushOne() (rule []byte, ok bool) {
	return appendLEB([]byte{cfaDefOffset}, c.Offset+8), c.Register == AtEntry.Register
}

func appendLEB(to []byte, n uint64) []byte {
	for ; n > 0x7f; n >>= 7 {
		to = append(to, byte(n)|0x80)
	}
	return append(to, byte(n))
}

// Write returns an .eh_frame at address addr with the FDE of one function, and the offset of the FDE. The function must have
// the usual state at entry, and its steps must be sorted.
func (l *Rules) Write(addr uint64) (data []byte, fde uint64) {
	data = entry(0, usual)
	fde = uint64(len(data))
	body := le.AppendUint32(nil, uint32(l.Start-(addr+fde+8)))
	body = le.AppendUint32(body, uint32(l.End-l.Start))
	body = append(body, 0) // no augmentation data
	at := uint64(0)
	for _, s := range l.Steps {
		if s.At > at {
			body = le.AppendUint32(append(body, cfaAdvance4), uint32(s.At-at))
			at = s.At
		}
		body = append(body, s.Rule...)
	}
	data = append(data, entry(uint32(fde+4), body)...)
	return append(data, 0, 0, 0, 0), fde
}

// entry returns a CIE or an FDE, padded with DW_CFA_nop.
func entry(id uint32, body []byte) []byte {
	const align = 8
	size := (8+len(body)+align-1)&^(align-1) - 4
	out := le.AppendUint32(le.AppendUint32(nil, uint32(size)), id)
	return append(append(out, body...), make([]byte, size-4-len(body))...)
}
