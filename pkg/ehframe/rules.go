// SPDX-License-Identifier: GPL-2.0

package ehframe

import (
	"bytes"
	"errors"
	"slices"
)

// Rules are what an FDE says of a function, place by place: how an unwinder finds the frame of its caller.
type Rules struct {
	Range
	Steps []Step
}

// Step is a rule that holds from a place on: an instruction of the tables, none of those that only say where.
type Step struct {
	At   uint64 // bytes from the start of the function
	Rule []byte
}

// CFA is how the caller's frame is told from a register, or, of the zero value, in a way that is not known here.
type CFA struct{ Register, Offset uint64 }

// AtEntry is what holds where a function is called: the return address is on top of the stack (psABI, table 3.36).
var AtEntry = CFA{Register: 7, Offset: 8}

// The instructions that are told apart (DWARF 5, table 7.29). Of the first three the low six bits are an operand.
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

// operands are those of the other instructions, and of those above: u is a number in LEB128, b a block with its length.
var operands = map[byte]string{
	0x00: "", 0x05: "uu", 0x06: "u", 0x07: "u", 0x08: "u", 0x09: "uu", cfaRemember: "", cfaRestoreState: "", cfaDef: "uu", cfaDefRegister: "u",
	cfaDefOffset: "u", cfaDefExpression: "b", 0x10: "ub", 0x11: "uu", cfaDefSigned: "uu", cfaDefOffsetS: "u", 0x14: "uu", 0x15: "uu", 0x16: "ub",
	0x2e: "u",
}

// usual is the CIE that compilers for x86-64 write, from its version on, without what they add for languages: FDEs relative to
// themselves, and where a function is called the frame of the caller is 8 bytes above %rsp, with the return address below it.
var usual = []byte("\x01zR\x00\x01\x78\x10\x01\x1b\x0c\x07\x08\x90\x01")

// RulesOf reads the FDE of the function that begins at an address, from a section at an address. There is none if both are nil. The
// error says why it is not understood.
func RulesOf(data []byte, addr, pc uint64) (*Rules, error) {
	entries, _, _ := Entries(data) // behind what is damaged none is known
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

// read takes the instructions of an FDE.
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

// CFAAt tells how the caller's frame is found from the place that is off bytes behind the start.
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

// PushOne is the rule that holds from a place on where the caller's frame is found from %rsp, which an instruction in front of it has
// let one word down.
func (c CFA) PushOne() (rule []byte, ok bool) {
	return appendLEB([]byte{cfaDefOffset}, c.Offset+8), c.Register == AtEntry.Register
}

func appendLEB(to []byte, n uint64) []byte {
	for ; n > 0x7f; n >>= 7 {
		to = append(to, byte(n)|0x80)
	}
	return append(to, byte(n))
}

// Write makes a section of one function, which is for an address. The function is called as all are, and its steps are in order.
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

// entry is an FDE or a CIE, filled up with DW_CFA_nop.
func entry(id uint32, body []byte) []byte {
	const align = 8
	size := (8+len(body)+align-1)&^(align-1) - 4
	out := le.AppendUint32(le.AppendUint32(nil, uint32(size)), id)
	return append(append(out, body...), make([]byte, size-4-len(body))...)
}
