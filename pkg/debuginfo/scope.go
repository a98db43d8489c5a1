// SPDX-License-Identifier: GPL-2.0

package debuginfo

import (
	"debug/dwarf"
	"encoding/binary"
)

// The operations of location expressions that occur in the location of a variable with static storage (DWARF 5, 7.7.1).
const (
	opConst8u = 0x0e // followed by opTLS or opGNUTLS
	opConstu  = 0x10
	opMul     = 0x1e
	opPlus    = 0x22
	opPlusU   = 0x23
	opLit0    = 0x30
	opLit31   = 0x4f
	opPiece   = 0x93
	opDeref   = 0x94
	opTLS     = 0x9b
	opStack   = 0x9f
	opGNUTLS  = 0xe0
)

// Static is a variable with static storage, or one of the pieces into which the compiler has split it.
type Static struct {
	*Entry
	Piece int // number of the piece, starting with 0
}

// Static returns the variable at offset off of a section. If the compiler has split a structure or reduced a variable to a
// one-byte flag, the offset is that of the piece or the flag.
func (i *Info) Static(section int, off uint64) (Static, bool) {
	if i.statics == nil {
		i.statics = map[uint64]Static{}
		i.Walk(func(e *Entry) {
			if e.Tag == dwarf.TagVariable {
				for n, at := range e.addresses() {
					i.statics[at] = Static{e, n}
				}
			}
		})
	}
	s, ok := i.statics[uint64(section)<<SectionShift+off]
	return s, ok
}

// addresses returns the addresses of a variable and of its pieces.
func (e *Entry) addresses() []uint64 {
	loc, _ := e.Val(dwarf.AttrLocation).([]byte)
	var out []uint64
	number := func(from int) (n uint64, next int) {
		n, size := binary.Uvarint(loc[from:])
		return n, from + max(size, 1)
	}
	for at := 0; at < len(loc); {
		op := loc[at]
		at++
		switch {
		case (op == opAddr || op == opConst8u) && at+8 <= len(loc):
			if op == opAddr || at+8 < len(loc) && (loc[at+8] == opTLS || loc[at+8] == opGNUTLS) {
				out = append(out, binary.LittleEndian.Uint64(loc[at:]))
			}
			at += 8
		case op == opAddrx:
			index, next := number(at)
			base, _ := e.Unit.Int(dwarf.AttrAddrBase)
			if i := uint64(base) + 8*index; i+8 <= uint64(len(e.info.addrs)) {
				out = append(out, binary.LittleEndian.Uint64(e.info.addrs[i:]))
			}
			at = next
		case op == opConstu || op == opPlusU || op == opPiece:
			_, at = number(at)
		case op == opDeref:
			at++
		case op == opMul, op == opPlus, op == opTLS, op == opGNUTLS, op == opStack, op >= opLit0 && op <= opLit31:
		default:
			return out
		}
	}
	return out
}

// Function returns the function that declares an entry, independent of where it was inlined; nil for entries outside of
// functions.
func (e *Entry) Function() *Entry {
	for p := e.origin().Parent; p != nil; p = p.origin().Parent {
		if f := p.origin(); f.Tag == dwarf.TagSubprogram {
			return f
		}
	}
	return nil
}

// Source returns the absolute path of the file, and the line, of a declaration. ok is false if they are not recorded.
func (e *Entry) Source() (file string, line int, ok bool) {
	e = e.origin()
	index, ok1 := e.Int(dwarf.AttrDeclFile)
	n, ok2 := e.Int(dwarf.AttrDeclLine)
	if !ok1 || !ok2 || e.Unit == nil {
		return "", 0, false
	}
	if files := e.info.Files(e.Unit); index >= 0 && index < int64(len(files)) && files[index] != "" {
		return files[index], int(n), true
	}
	return "", 0, false
}

// Pieces returns the number of pieces that the variable consists of.
func (s Static) Pieces() int { return len(s.addresses()) }

// EachFunction calls visit for the functions that the file defines, including inlined ones.
func (i *Info) EachFunction(visit func(*Entry)) {
	i.Walk(func(e *Entry) {
		if e.Tag == dwarf.TagSubprogram && e.IsDefined() {
			visit(e)
		}
	})
}

// LinkageName returns the mangled name of a function, or "".
func (e *Entry) LinkageName() string {
	name, _ := e.Val(dwarf.AttrLinkageName).(string)
	if name == "" {
		name, _ = e.origin().Val(dwarf.AttrLinkageName).(string)
	}
	return name
}
