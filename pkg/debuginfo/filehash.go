// SPDX-License-Identifier: GPL-2.0

package debuginfo

import (
	"debug/dwarf"
	"encoding/binary"
)

// FileHash returns the MD5 of the source file that declares an entry, as it was when compiled. ok is false if the line table
// does not contain it: clang records it, gcc does not (DWARF 5, 6.2.4).
func (e *Entry) FileHash() (hash [16]byte, ok bool) {
	defer func() {
		if recover() != nil { // the table is truncated
			ok = false
		}
	}()
	e = e.origin()
	index, ok1 := e.Int(dwarf.AttrDeclFile)
	if e.Unit == nil || !ok1 {
		return hash, false
	}
	at, ok2 := e.Unit.Int(dwarf.AttrStmtList)
	const version, lengths = 4, 17 // offsets and sizes in the header of 32-bit DWARF
	if !ok2 || binary.LittleEndian.Uint16(e.info.lines[at+version:]) != 5 {
		return hash, false
	}
	b := e.info.lines[at:]
	t := fileTable{b: b, at: lengths + int(b[lengths])}
	t.list(func(int, uint64, []byte) {}) // directories
	t.list(func(entry int, content uint64, value []byte) {
		const md5 = 5 // DW_LNCT_MD5
		if entry == int(index) && content == md5 && len(value) == len(hash) {
			ok = true
			copy(hash[:], value)
		}
	})
	return hash, ok
}

// fileTable decodes the directory and file tables of a line number program header.
type fileTable struct {
	b  []byte
	at int
}

func (t *fileTable) number() uint64 {
	v, n := binary.Uvarint(t.b[t.at:])
	if n <= 0 {
		panic("damaged")
	}
	t.at += n
	return v
}

// list decodes one of the tables.
func (t *fileTable) list(visit func(entry int, content uint64, value []byte)) {
	formats := make([][2]uint64, t.b[t.at])
	t.at++
	for i := range formats {
		formats[i] = [2]uint64{t.number(), t.number()}
	}
	for entry := range int(t.number()) {
		for _, f := range formats {
			visit(entry, f[0], t.value(f[1]))
		}
	}
}

// value reads a value of one of the forms that line tables use (DWARF 5, 7.5.6).
func (t *fileTable) value(form uint64) []byte {
	const formData2, formString, formBlock, formData1, formStrp, formUdata, formData16, formLineStrp = 0x05, 0x08, 0x09, 0x0b, 0x0e, 0x0f, 0x1e, 0x1f
	start, n := t.at, 0
	switch form {
	case formData1:
		n = 1
	case formData2:
		n = 2
	case formStrp, formLineStrp:
		n = 4
	case formData16:
		n = 16
	case formUdata:
		t.number()
	case formBlock:
		n = int(t.number())
	case formString:
		for t.b[t.at] != 0 {
			t.at++
		}
		n = 1
	default:
		panic("unknown form")
	}
	t.at += n
	return t.b[start:t.at]
}
