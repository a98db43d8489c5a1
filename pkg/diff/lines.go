package diff

import (
	"bytes"
	"debug/dwarf"
	"encoding/binary"

	"lpatch/pkg/debuginfo"
	"lpatch/pkg/insn"
	"lpatch/pkg/lpelf"
)

// row is a line of the source that an address stems from.
type row struct {
	addr uint64
	line int
}

// lineFilter recognises functions that differ by __LINE__ only: the same code, but constants that are, in both versions,
// a source line of the function, at the same place of both line tables.
type lineFilter struct {
	missing bool                        // no debug information
	oldRows map[uint64][]row            // by section number
	newRows map[uint64]map[uint64][]int // by section number and offset
	read    func()
}

// newLineFilter prepares a filter; the line tables are read when first needed.
func newLineFilter(old, new *Object) *lineFilter {
	f := &lineFilter{}
	f.read = func() {
		f.read = func() {}
		or, err1 := readRows(old)
		nr, err2 := readRows(new)
		if f.missing = err1 != nil || err2 != nil; f.missing {
			return
		}
		f.oldRows = map[uint64][]row{}
		for _, r := range or {
			f.oldRows[r.addr>>debuginfo.SectionShift] = append(f.oldRows[r.addr>>debuginfo.SectionShift], r)
		}
		f.newRows = map[uint64]map[uint64][]int{}
		for _, r := range nr {
			sec := r.addr >> debuginfo.SectionShift
			if f.newRows[sec] == nil {
				f.newRows[sec] = map[uint64][]int{}
			}
			f.newRows[sec][r.addr&(1<<debuginfo.SectionShift-1)] = append(f.newRows[sec][r.addr&(1<<debuginfo.SectionShift-1)], r.line)
		}
	}
	return f
}

func readRows(o *Object) ([]row, error) {
	info, err := o.Debug()
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, u := range info.Units {
		lr, err := info.Data.LineReader(u.Entry)
		if err != nil {
			return nil, err
		}
		if lr == nil {
			continue
		}
		var le dwarf.LineEntry
		for lr.Next(&le) == nil {
			if !le.EndSequence {
				rows = append(rows, row{le.Address, le.Line})
			}
		}
	}
	return rows, nil
}

// isLine tells whether o and n are lines of the function at the same place of both line tables.
func (f *lineFilter) isLine(osec, nsec *lpelf.Section, o, n int) bool {
	if o <= 0 || n <= 0 {
		return false
	}
	for _, r := range f.oldRows[uint64(osec.Index)] {
		if r.line != o {
			continue
		}
		for _, line := range f.newRows[uint64(nsec.Index)][r.addr&(1<<debuginfo.SectionShift-1)] {
			if line == n {
				return true
			}
		}
	}
	return false
}

// only tells whether two different functions differ by line numbers only.
func (f *lineFilter) only(c *comparer, o, n *lpelf.Symbol) bool {
	osec, nsec := c.old.SectionOf(o), c.new.SectionOf(n)
	if osec == nil || nsec == nil || o.Size != n.Size || o.Value != 0 || n.Value != 0 {
		return false
	}
	if c.old.DecodeError(osec) != nil || c.new.DecodeError(nsec) != nil {
		return false
	}
	f.read()
	if f.missing {
		return false
	}
	return f.sameRefs(c, osec, nsec) && f.sameCode(osec, nsec)
}

// sameCode compares instruction by instruction; a different 32-bit constant must be a line number.
func (f *lineFilter) sameCode(osec, nsec *lpelf.Section) bool {
	ob, nb := maskedBytes(osec, 0, osec.Size), maskedBytes(nsec, 0, nsec.Size)
	for pos := 0; pos < len(ob); {
		in, err := insn.Decode(osec.Data[pos:])
		if err != nil || pos+in.Len > len(nb) {
			return false
		}
		oi, ni := ob[pos:pos+in.Len], nb[pos:pos+in.Len]
		pos += in.Len
		if bytes.Equal(oi, ni) {
			continue
		}
		k := len(oi) - 4
		if k < 1 || !bytes.Equal(oi[:k], ni[:k]) || !storesConstant(oi) {
			return false
		}
		if !f.isLine(osec, nsec, int(int32(binary.LittleEndian.Uint32(oi[k:]))), int(int32(binary.LittleEndian.Uint32(ni[k:])))) {
			return false
		}
	}
	return true
}

// storesConstant tells whether an instruction only puts its 32-bit constant into a register or a stack slot, as is done
// for an argument: mov $imm32,%reg; movl $imm32,disp(%rsp); push $imm32.
func storesConstant(code []byte) bool {
	if code[0] == 0x41 || code[0] == 0x48 {
		code = code[1:]
	}
	switch {
	case code[0]&0xf8 == 0xb8 && len(code) == 5, code[0] == 0x68 && len(code) == 5:
		return true
	case code[0] == 0xc7:
		return len(code) >= 3 && code[1]&0x38 == 0
	}
	return false
}

// sameRefs compares the references; a different string must differ by a line number behind a colon ("file.c:123").
func (f *lineFilter) sameRefs(c *comparer, osec, nsec *lpelf.Section) bool {
	or, nr := c.old.Refs(osec), c.new.Refs(nsec)
	if len(or) != len(nr) {
		return false
	}
	for i := range or {
		if or[i].Off != nr[i].Off {
			return false
		}
		if c.equalRef(or[i], nr[i]) {
			continue
		}
		oc, ok1 := Literal(or[i])
		nc, ok2 := Literal(nr[i])
		if or[i].Type != nr[i].Type || !ok1 || !ok2 || oc.Off != nc.Off {
			return false
		}
		o, n, ok := lineInString(oc.Content, nc.Content)
		if !ok || !f.isLine(osec, nsec, o, n) {
			return false
		}
	}
	return true
}

// lineInString finds the one number behind a colon in which two strings differ.
func lineInString(o, n string) (oline, nline int, ok bool) {
	i := 0
	for i < len(o) && i < len(n) && o[i] == n[i] {
		i++
	}
	for i > 0 && o[i-1] >= '0' && o[i-1] <= '9' {
		i--
	}
	if i == 0 || o[i-1] != ':' {
		return 0, 0, false
	}
	oline, orest := leadingNumber(o[i:])
	nline, nrest := leadingNumber(n[i:])
	return oline, nline, orest == nrest
}

func leadingNumber(s string) (int, string) {
	v, i := 0, 0
	for i < len(s) && i < 9 && s[i] >= '0' && s[i] <= '9' {
		v = v*10 + int(s[i]-'0')
		i++
	}
	return v, s[i:]
}
