// SPDX-License-Identifier: GPL-2.0

package ehframe

import (
	"bytes"
	"fmt"
	"math"
	"slices"
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

// nearPointer is the usual encoding: a signed distance of 4 bytes.
const nearPointer = pePCRel | peS4

// Table is a section that is made for an address.
type Table struct {
	Data   []byte // without the end mark
	addr   uint64
	Frames []Frame
}

// Frame is an FDE, with what it has in common with others.
type Frame struct {
	Row            // where its code and, as an offset, the FDE is
	Size    uint64 // of the code
	LSDA    uint64 // address of the language's tables, 0 for none
	Handler uint64 // address of the personality routine, or of the word that has it, 0 for none
	Rules   string // all of both entries that is no address
}

// Read reads a section that is made for an address. All of it must be understood.
func Read(data []byte, addr uint64) (*Table, error) {
	t := &Table{addr: addr}
	end, err := t.walk(data, nil)
	t.Data = slices.Clone(data[:end])
	return t, err
}

// Move makes the section right for another address.
func (t *Table) Move(addr uint64) error {
	_, err := t.walk(t.Data, func(field []byte, encoding byte) error {
		return shift(field, encoding, t.addr-addr)
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

// cie is what is common to several frames.
type cie struct {
	code byte // encoding of addresses of code
	lsda byte // of the language's tables, peOmit if there are none
	z    bool // there is augmentation data

	units [3]uint64 // code alignment, data alignment as it is stored, number of the return address

	handler uint64
	rules   string
}

// reader reads one entry.
type reader struct {
	data []byte
	at   uint64
	see  func(field []byte, encoding byte) error
	err  error
	// program is where the instructions begin, once all in front of them has been read.
	program uint64
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

// leb takes a number in unsigned LEB128, or passes over a signed one.
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

// rules takes the instructions, which end the entry, without the DW_CFA_nop that fill it up. from is where they begin.
func (r *reader) rules(from uint64) string {
	return string(bytes.TrimRight(r.data[min(from, uint64(len(r.data))):], "\x00"))
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
	end := uint64(0) // of the augmentation data
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

// readFDE reads the part of a range of code. addr is that of the section.
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

// lsda takes the pointer to the language's tables; 0 means that there are none, whatever it is relative to.
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
