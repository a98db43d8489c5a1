// SPDX-License-Identifier: GPL-2.0

package ehframe

import (
	"bytes"
	"fmt"
	"math"
	"slices"
)

// Pointer encodings in .eh_frame (LSB "DWARF Exception Header Encoding").
const (
	pePCRel    = 0x10
	peApply    = 0x70 // mask: what the value is relative to
	peFormat   = 0x0f // mask: format of the value
	peOmit     = 0xff
	peAbsolute = 0x00
	peU4       = 0x03
	peU8       = 0x04
	peS4       = 0x0b
	peS8       = 0x0c
)

// nearPointer is the usual encoding: a 4-byte signed PC-relative offset.
const nearPointer = pePCRel | peS4

// Table is an .eh_frame section at a given address.
type Table struct {
	Data   []byte // without the terminator
	addr   uint64
	Frames []Frame
}

// Frame is an FDE together with its CIE.
type Frame struct {
	Row            // start address of the code, and offset of the FDE
	Size    uint64 // size of the code in bytes
	LSDA    uint64 // address of the language-specific data area; 0 if there is none
	Handler uint64 // address of the personality routine, or of the word that contains it; 0 if there is none
	Rules   string // all parts of FDE and CIE that are not addresses
}

// Read reads an .eh_frame at address addr. Every entry must be understood, otherwise it returns an error.
func Read(data []byte, addr uint64) (*Table, error) {
	t := &Table{addr: addr}
	end, err := t.walk(data, nil)
	t.Data = slices.Clone(data[:end])
	return t, err
}

// Move relocates the section to another address.
func (t *Table) Move(addr uint64) error {
	_, err := t.walk(t.Data, func(field []byte, encoding byte) error {
		return shift(field, encoding, t.addr-addr)
	})
	return err
}

// shift adds by to a PC-relative pointer, where by is the negated distance that its location has moved, in bytes.
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

// walk visits the entries up to the terminator and returns its offset. If see is not nil, it is called for each pointer;
// otherwise the entries are recorded.
func (t *Table) walk(data []byte, see func(field []byte, encoding byte) error) (end uint64, err error) {
	entries, end, err := Entries(data)
	if err != nil {
		return end, err
	}
	cies := map[uint64]*cie{}
	for _, e := range entries {
		body := &reader{data: data[:e.End:e.End], at: e.Off + 8, see: see}
		if e.IsCIE() {
			cies[e.Off] = body.readCIE(t.addr)
		} else if c := cies[e.CIE]; c == nil {
			return e.Off, fmt.Errorf("the entry at %#x has no common part before it", e.Off)
		} else if f := body.readFDE(c, t.addr); see == nil {
			f.FDE = e.Off
			t.Frames = append(t.Frames, f)
		}
		if body.err != nil {
			return e.Off, fmt.Errorf("the entry at %#x: %w", e.Off, body.err)
		}
	}
	for _, x := range data[end:] {
		if x != 0 {
			return end, fmt.Errorf("there are entries behind an end mark at %#x", end)
		}
	}
	return end, nil
}

// cie holds the relevant fields of a CIE.
type cie struct {
	code byte // encoding of code addresses
	lsda byte // encoding of the LSDA pointer, peOmit if there is none
	z    bool // there is augmentation data

	units [3]uint64 // code alignment, data alignment as stored, return address register

	handler uint64
	rules   string
}

// reader decodes one entry.
type reader struct {
	data []byte
	at   uint64
	see  func(field []byte, encoding byte) error
	err  error
	// program is the offset of the instructions; 0 until the fields before them have been read.
	program uint64
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// bytes returns the next n bytes.
func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.data))-r.at {
		r.fail("it is cut off")
		return make([]byte, n&0xff)
	}
	r.at += n
	return r.data[r.at-n : r.at]
}

func (r *reader) byte() byte { return r.bytes(1)[0] }

// leb reads an unsigned LEB128 number, or skips a signed one.
func (r *reader) leb() (n uint64) {
	for shift := 0; r.err == nil; shift += 7 {
		b := r.byte()
		n |= uint64(b&0x7f) << shift
		if b&0x80 == 0 {
			break
		}
	}
	return n
}

// rules returns the instructions, from offset from to the end of the entry, without the padding of DW_CFA_nop.
func (r *reader) rules(from uint64) string {
	return string(bytes.TrimRight(r.data[min(from, uint64(len(r.data))):], "\x00"))
}

// pointer reads a pointer, passes it to see, and returns the address that it denotes, or 0 if unknown.
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

// readCIE reads a CIE. Its augmentation determines the encoding of pointers.
func (r *reader) readCIE(addr uint64) *cie {
	c := &cie{lsda: peOmit}
	start := r.at
	version := r.byte()
	var augmentation []byte
	for ch := r.byte(); ch != 0 && r.err == nil; ch = r.byte() {
		augmentation = append(augmentation, ch)
	}
	c.units = [3]uint64{r.leb(), r.leb()}
	if version == 1 {
		c.units[2] = uint64(r.byte())
	} else {
		c.units[2] = r.leb()
	}
	c.rules = string(r.data[start:r.at])
	end := uint64(0) // end of the augmentation data
	for _, ch := range augmentation {
		switch ch {
		case 'z':
			c.z = true
			end = r.leb()
			end += r.at
		case 'R':
			c.code = r.byte()
		case 'L':
			c.lsda = r.byte()
		case 'P':
			c.handler = r.pointer(r.byte(), addr)
		case 'S', 'B':
		default:
			r.fail("its augmentation %q is not known", augmentation)
		}
	}
	r.program = max(end, r.at)
	c.rules += r.rules(r.program)
	return c
}

// readFDE reads an FDE. addr is the address of the section.
func (r *reader) readFDE(c *cie, addr uint64) Frame {
	f := Frame{Row: Row{PC: r.pointer(c.code, addr)}, Handler: c.handler}
	if c.code&peFormat == peU4 || c.code&peFormat == peS4 {
		f.Size = uint64(le.Uint32(r.bytes(4)))
	} else {
		f.Size = le.Uint64(r.bytes(8))
	}
	end := r.at
	if c.z {
		end = r.leb()
		end += r.at
		if c.lsda != peOmit {
			f.LSDA = r.lsda(c.lsda, addr)
		}
	}
	r.program = max(end, r.at)
	f.Rules = c.rules + "\n" + r.rules(r.program)
	return f
}

// lsda reads the LSDA pointer. A stored 0 means that there is none, even if the pointer is relative.
func (r *reader) lsda(encoding byte, addr uint64) uint64 {
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
	at := r.pointer(encoding, addr)
	r.see = see
	if zero {
		return 0
	}
	return at
}
