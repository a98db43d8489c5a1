package closedworld

import (
	"debug/elf"

	"lpatch/pkg/lpelf"
)

// frame is an entry of .eh_frame: how to unwind a part of a piece.
type frame struct {
	off, size uint64 // of the code within the piece
	lsda      uint64 // address of its table of call sites, or 0
	rules     string // of the entry and the one that it has in common with others, without addresses
	handler   place  // the personality routine
}

// reader reads an entry of .eh_frame; what is beyond its end reads as 0.
type reader struct {
	data []byte
	at   uint64 // address of data
}

func (r *reader) take(n uint64) []byte {
	n = min(n, uint64(len(r.data)))
	b := r.data[:n]
	r.data, r.at = r.data[n:], r.at+n
	return b
}

func (r *reader) uleb() uint64 {
	v, shift := uint64(0), 0
	for len(r.data) > 0 {
		b := r.take(1)[0]
		v |= uint64(b&0x7f) << shift
		shift += 7
		if b&0x80 == 0 {
			break
		}
	}
	return v
}

// pointer reads an encoded address (LSB "DWARF Exception Header Encoding").
func (r *reader) pointer(enc byte) uint64 {
	if enc == 0xff {
		return 0
	}
	at, v := r.at, uint64(0)
	switch enc & 0xf {
	case 1:
		v = r.uleb()
	case 2, 10:
		v = read(r.take(2), 2)
	case 3, 11:
		v = read(r.take(4), 4)
		if enc&0x70 == 0 {
			v = uint64(uint32(v))
		}
	default:
		v = read(r.take(8), 8)
	}
	if v != 0 && enc&0x70 == 0x10 {
		v += at
	}
	return v
}

// common is a CIE.
type common struct {
	rules           string
	handler         place
	code, lsda      byte // encodings
	augmented, isOK bool
}

// readFrames finds the unwind entries of each piece.
func (im *Image) readFrames() {
	for _, sec := range im.sections {
		if sec.Name != ".eh_frame" {
			continue
		}
		commons := map[uint64]common{}
		for r := (reader{sec.Data, sec.Addr}); len(r.data) >= 4; {
			start := r.at
			n := uint64(uint32(read(r.take(4), 4)))
			if n == 0xffffffff {
				n = read(r.take(8), 8)
			}
			idAt := r.at
			body := reader{r.take(n), idAt}
			if n < 4 {
				continue
			}
			if id := uint64(uint32(read(body.take(4), 4))); id == 0 {
				commons[start] = im.readCommon(body)
			} else {
				im.readFrame(body, commons[idAt-id])
			}
		}
	}
}

func (im *Image) readCommon(r reader) common {
	c := common{code: 0, lsda: 0xff, isOK: true}
	c.rules = string(r.take(1))
	aug := ""
	for len(r.data) > 0 {
		b := r.take(1)
		if b[0] == 0 {
			break
		}
		aug += string(b)
	}
	c.rules += aug
	for range 2 { // alignments of code and data
		for len(r.data) > 0 {
			b := r.take(1)
			c.rules += string(b)
			if b[0]&0x80 == 0 {
				break
			}
		}
	}
	c.rules += string(r.take(1)) // return register
	if aug != "" && aug[0] == 'z' {
		c.augmented = true
		n := r.uleb()
		a := reader{r.data[:min(n, uint64(len(r.data)))], r.at}
		r.take(n)
		for _, ch := range aug[1:] {
			switch ch {
			case 'R':
				c.code = first(a.take(1))
			case 'L':
				c.lsda = first(a.take(1))
			case 'P':
				enc := first(a.take(1))
				c.handler = im.locate(a.pointer(enc))
			}
		}
	}
	c.rules += string(trimFrame(r.data))
	return c
}

func first(b []byte) byte {
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

// trimFrame takes off DW_CFA_nop, which fills entries up.
func trimFrame(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return b
}

func (im *Image) readFrame(r reader, c common) {
	if !c.isOK {
		return
	}
	start := r.pointer(c.code)
	size := r.pointer(c.code & 0xf)
	f := frame{size: size, handler: c.handler}
	if c.augmented {
		n := r.uleb()
		a := reader{r.data[:min(n, uint64(len(r.data)))], r.at}
		r.take(n)
		f.lsda = a.pointer(c.lsda)
	}
	f.rules = c.rules + "\n" + string(trimFrame(r.data))
	sec := im.sectionAt(start)
	if sec == nil {
		return
	}
	if at, _ := im.pieceAt(sec, start); at != nil {
		f.off = start - at.start
		im.frames[at] = append(im.frames[at], f)
	}
}

// equalFrames compares how two pieces are unwound.
func (c *comparer) equalFrames(o, n *piece) (bool, string) {
	of, nf := c.old.frames[o], c.new.frames[n]
	if len(of) != len(nf) {
		return false, "it has an unwind entry on one side only"
	}
	for i := range of {
		a, b := &of[i], &nf[i]
		switch {
		case a.off != b.off || a.size != b.size || a.rules != b.rules:
			return false, "its unwind entry differs"
		case (a.handler == place{}) != (b.handler == place{}) || a.handler != (place{}) && !c.samePlace(a.handler, b.handler, false):
			return false, "another function handles its exceptions"
		case (a.lsda == 0) != (b.lsda == 0):
			return false, "it has a table of exceptions on one side only"
		case a.lsda != 0 && !c.equalTable(a.lsda, b.lsda):
			return false, "its table of exceptions differs"
		}
	}
	return true, ""
}

func (c *comparer) equalTable(o, n uint64) bool {
	so, sn := c.old.sectionAt(o), c.new.sectionAt(n)
	return so != nil && sn != nil && c.sameUnnamed(place{sec: so, addr: o}, place{sec: sn, addr: n}, false)
}

// isFramed tells sections that are accounted for by unwind entries.
func isFramed(s *lpelf.Section) bool {
	return s.Name == ".eh_frame" || s.Name == ".eh_frame_hdr" || s.Name == ".gcc_except_table" || s.Type == unwind
}

// unwind is SHT_X86_64_UNWIND of the psABI.
const unwind elf.SectionType = 0x70000001
