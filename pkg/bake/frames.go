package bake

import (
	"debug/elf"
	"fmt"
	"math"
	"slices"
	"sort"
)

// The encodings of pointers in .eh_frame (LSB "DWARF Exception Header Encoding").
const (
	pePCRel    = 0x10
	peApply    = 0x70 // mask: what the value is relative to
	peFormat   = 0x0f // mask: how it is stored
	peOmit     = 0xff
	peAbsolute = 0x00
	peU4       = 0x03
	peU8       = 0x04
	peS4       = 0x0b
	peS8       = 0x0c
)

// frameTable is an .eh_frame section that is moved.
type frameTable struct {
	data    []byte // without the end mark
	old     uint64 // address that it was made for
	new     uint64
	entries []frame
	cies    map[uint64]*cie
}

// frame is an entry for one range of code.
type frame struct{ pc, at uint64 } // at is where it is in the data

// cie is what is common to several frames.
type cie struct {
	code byte // encoding of addresses of code
	lsda byte // of the language's tables, peOmit if there are none
	z    bool // there is augmentation data
}

// collectFrames makes room for the unwind tables of the file with those of the patch behind them. There must be one table:
// debuggers read one section, and unwinders find one by the program headers.
func (b *baker) collectFrames() error {
	addr, frames := b.patch.Frames()
	own := b.file.Section(".eh_frame")
	if len(frames) == 0 || own == nil || own.Data == nil {
		return nil
	}
	old, err := readFrames(own.Data, own.Addr)
	if err != nil {
		return refuse("%s: its .eh_frame cannot be read: %v", b.name, err)
	}
	added, err := readFrames(frames, addr)
	if err != nil {
		return refuse("the .eh_frame of the patch cannot be read: %v", err)
	}
	const endMark = 4
	t := &section{name: ".eh_frame", typ: own.Type, flags: elf.SHF_ALLOC, align: 8, replaces: own}
	t.data = make([]byte, len(old.data)+len(added.data)+endMark)
	for _, p := range b.file.Progs {
		b.hdr = b.hdr || p.Type == elf.PT_GNU_EH_FRAME
	}
	if b.hdr {
		b.tables = append(b.tables, &section{
			name: ".eh_frame_hdr", typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC, align: 4, replaces: b.file.Section(".eh_frame_hdr"),
			data: make([]byte, 12+8*(len(old.entries)+len(added.entries))),
		})
	}
	b.tables = append(b.tables, t)
	return nil
}

// moveFrames writes the tables, now that all addresses are known, and the patch has its fix-ups.
func (b *baker) moveFrames() error {
	t := b.table(".eh_frame")
	if t == nil {
		return nil
	}
	own := t.replaces
	addr, size := b.patch.Frames()
	old, err := readFrames(own.Data, own.Addr)
	if err != nil {
		return err
	}
	added, err := readFrames(b.memory[addr:addr+uint64(len(size))], b.base+addr)
	if err != nil {
		return err
	}
	old.new = t.addr
	added.new = t.addr + uint64(len(old.data))
	for _, f := range []*frameTable{old, added} {
		if err := f.move(); err != nil {
			return refuse("%s: its .eh_frame cannot be moved: %v", b.name, err)
		}
		copy(t.data[f.new-t.addr:], f.data)
	}
	if hdr := b.table(".eh_frame_hdr"); hdr != nil {
		return index(hdr, t.addr, old, added)
	}
	return nil
}

// index writes .eh_frame_hdr (LSB: version 1, pcrel|sdata4, udata4, datarel|sdata4 table, sorted).
func index(hdr *section, addr uint64, tables ...*frameTable) error {
	var rows []frame
	for _, t := range tables {
		for _, e := range t.entries {
			rows = append(rows, frame{e.pc, t.new + e.at})
		}
	}
	sort.SliceStable(rows, func(i, j int) bool { return rows[i].pc < rows[j].pc })
	out := []byte{1, 0x1b, 0x03, 0x3b}
	out = le.AppendUint32(out, uint32(addr-(hdr.addr+4)))
	out = le.AppendUint32(out, uint32(len(rows)))
	for _, r := range rows {
		for _, v := range []uint64{r.pc, r.at} {
			d := int64(v - hdr.addr)
			if d != int64(int32(d)) {
				return refuse("code at %#x is out of reach of the tables of the unwinder", r.pc)
			}
			out = le.AppendUint32(out, uint32(d))
		}
	}
	copy(hdr.data, out)
	return nil
}

// readFrames reads a section that was made for an address.
func readFrames(data []byte, addr uint64) (*frameTable, error) {
	t := &frameTable{old: addr, new: addr, cies: map[uint64]*cie{}}
	end, err := t.walk(data, nil)
	t.data = slices.Clone(data[:end])
	return t, err
}

// move makes the section right for its new address.
func (t *frameTable) move() error {
	_, err := t.walk(t.data, func(field []byte, encoding byte) error {
		return shift(field, encoding, t.old-t.new)
	})
	return err
}

// shift adds to a pointer what its place has moved the other way.
func shift(field []byte, encoding byte, by uint64) error {
	if encoding&peApply != pePCRel {
		return nil
	}
	switch encoding & peFormat {
	case peAbsolute, peU8, peS8:
		le.PutUint64(field, le.Uint64(field)+by)
		return nil
	}
	v := int64(int32(le.Uint32(field))) + int64(by)
	if v < math.MinInt32 || v > math.MaxInt32 {
		return fmt.Errorf("an address is out of reach")
	}
	le.PutUint32(field, uint32(v))
	return nil
}

// walk goes through the entries up to the end mark and returns where that is. Each pointer is given to see, if that is not
// nil; else the entries are noted.
func (t *frameTable) walk(data []byte, see func(field []byte, encoding byte) error) (end uint64, err error) {
	pos := uint64(0)
	for pos+4 <= uint64(len(data)) {
		size := uint64(le.Uint32(data[pos:]))
		if size == 0 {
			break
		}
		if size >= 0xfffffff0 || size < 4 || pos+4+size > uint64(len(data)) {
			return pos, fmt.Errorf("the entry at %#x has an impossible size", pos)
		}
		body := &reader{data: data[: pos+4+size : pos+4+size], at: pos + 8, see: see}
		if id := uint64(le.Uint32(data[pos+4:])); id == 0 {
			t.cies[pos] = body.readCIE()
		} else if c := t.cies[pos+4-id]; c == nil {
			return pos, fmt.Errorf("the entry at %#x has no common part before it", pos)
		} else if pc := body.readFDE(c, t.old); see == nil {
			t.entries = append(t.entries, frame{pc, pos})
		}
		if body.err != nil {
			return pos, fmt.Errorf("the entry at %#x: %w", pos, body.err)
		}
		pos += 4 + size
	}
	for _, x := range data[pos:] {
		if x != 0 {
			return pos, fmt.Errorf("there are entries behind an end mark at %#x", pos)
		}
	}
	return pos, nil
}

// reader reads one entry.
type reader struct {
	data []byte
	at   uint64
	see  func(field []byte, encoding byte) error
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// bytes takes the next n bytes.
func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.data))-r.at {
		r.fail("it is cut off")
		return make([]byte, n&0xff)
	}
	r.at += n
	return r.data[r.at-n : r.at]
}

func (r *reader) byte() byte { return r.bytes(1)[0] }

// leb skips a number in LEB128.
func (r *reader) leb() {
	for r.err == nil && r.byte()&0x80 != 0 {
	}
}

// pointer takes a pointer, shows it, and returns the address that it means, if it can be told.
func (r *reader) pointer(encoding byte, addr uint64) uint64 {
	at := addr + r.at
	var v uint64
	var field []byte
	switch encoding & peFormat {
	case peAbsolute, peU8, peS8:
		field = r.bytes(8)
	case peU4, peS4:
		field = r.bytes(4)
	default:
		r.fail("pointers of encoding %#x are not known", encoding)
	}
	if base := encoding & peApply; base != 0 && base != pePCRel {
		r.fail("pointers of encoding %#x are not known", encoding)
	}
	if r.err != nil {
		return 0
	}
	switch encoding & peFormat {
	case peU4:
		v = uint64(le.Uint32(field))
	case peS4:
		v = uint64(int64(int32(le.Uint32(field))))
	default:
		v = le.Uint64(field)
	}
	if encoding&peApply == pePCRel {
		v += at
	}
	if r.see != nil {
		if err := r.see(field, encoding); err != nil {
			r.fail("%v", err)
		}
	}
	return v
}

// readCIE reads the common part, whose augmentation tells how pointers are encoded.
func (r *reader) readCIE() *cie {
	c := &cie{lsda: peOmit}
	version := r.byte()
	var augmentation []byte
	for ch := r.byte(); ch != 0 && r.err == nil; ch = r.byte() {
		augmentation = append(augmentation, ch)
	}
	r.leb() // code alignment
	r.leb() // data alignment
	if version == 1 {
		r.byte() // return address
	} else {
		r.leb()
	}
	for _, ch := range augmentation {
		switch ch {
		case 'z':
			c.z = true
			r.leb()
		case 'R':
			c.code = r.byte()
		case 'L':
			c.lsda = r.byte()
		case 'P':
			r.pointer(r.byte(), 0)
		case 'S', 'B':
		default:
			r.fail("its augmentation %q is not known", augmentation)
		}
	}
	return c
}

// readFDE reads the part of a range of code and returns its address. addr is that of the section.
func (r *reader) readFDE(c *cie, addr uint64) uint64 {
	pc := r.pointer(c.code, addr)
	if c.code&peFormat == peU4 || c.code&peFormat == peS4 {
		r.bytes(4)
	} else {
		r.bytes(8)
	}
	if !c.z {
		return pc
	}
	r.leb()
	if c.lsda != peOmit {
		r.lsda(c.lsda)
	}
	return pc
}

// lsda takes the pointer to the language's tables; 0 means that there are none, whatever it is relative to.
func (r *reader) lsda(encoding byte) {
	see, zero := r.see, true
	size := uint64(4)
	if f := encoding & peFormat; f == peAbsolute || f == peU8 || f == peS8 {
		size = 8
	}
	for _, x := range r.data[r.at:min(r.at+size, uint64(len(r.data)))] {
		zero = zero && x == 0
	}
	if zero {
		r.see = nil
	}
	r.pointer(encoding, 0)
	r.see = see
}
