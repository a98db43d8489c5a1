// SPDX-License-Identifier: GPL-2.0

package debuginfo

import (
	"debug/dwarf"
	"errors"
	"slices"

	"lpatch/pkg/lpelf"
)

// Returned is the return type of a function.
type Returned struct {
	Known  bool
	Void   bool
	Name   string // name of the type, for messages; "" if it has none
	Tag    dwarf.Tag
	Size   int64 // in bytes; 0 if unknown
	Coding int64 // DW_AT_encoding of a base type
}

// The values of DW_AT_encoding that are distinguished (DWARF 5, table 7.11).
const (
	EncodingBoolean    = 0x02
	EncodingSigned     = 0x05
	EncodingSignedChar = 0x06
	EncodingUnsigned   = 0x07
	EncodingUnsignedCh = 0x08
	EncodingUTF        = 0x10
)

// Linked describes a function of a linked file according to its debug information.
type Linked struct {
	Returns        Returned // not known if NoReturn is not known
	NoReturn       bool
	Inlined        int      // number of inlined instances in other functions
	In             []string // some of these functions
	InlinedUnknown bool     // there may be further instances
}

// maxIn is the maximum length of Linked.In.
const maxIn = 3

// ReadLinked describes the function at an address of a linked file. f is this file or its separate debug file. The result is
// nil if there is no entry for the function. The error wraps ErrNone with the reason, or describes the damage.
func ReadLinked(f *lpelf.File, vaddr uint64) (l *Linked, err error) {
	defer func() {
		if r := recover(); r != nil {
			l, err = nil, errors.New("its debug information is damaged")
		}
	}()
	i := &Info{}
	if err := i.open(f); err != nil {
		return nil, err
	}
	w := linkedReader{data: i.Data, at: vaddr, copies: map[dwarf.Offset]*Linked{}}
	if err := w.scan(); err != nil || w.found == nil {
		return nil, err
	}
	return w.describe(), nil
}

// linkedReader makes one pass over the entries of a file, which may be numerous, and retains only few of them.
type linkedReader struct {
	data    *dwarf.Data
	at      uint64
	found   *dwarf.Entry
	copies  map[dwarf.Offset]*Linked // functions by the abstract origin that inlined subroutines refer to
	inside  string
	unknown bool // the origin of an inlined subroutine is unknown
}

func (w *linkedReader) scan() error {
	for r := w.data.Reader(); ; {
		e, err := r.Next()
		if err != nil || e == nil {
			return err
		}
		switch e.Tag {
		case dwarf.TagSubprogram:
			w.inside = w.text(e, dwarf.AttrName)
			ranges, err := w.data.Ranges(e)
			if err == nil && slices.ContainsFunc(ranges, func(r [2]uint64) bool { return r[0] == w.at }) {
				w.found = e
			}
		case dwarf.TagInlinedSubroutine:
			if off, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset); ok {
				w.copied(off)
			} else {
				w.unknown = true
			}
		}
	}
}

func (w *linkedReader) copied(of dwarf.Offset) {
	c := w.copies[of]
	if c == nil {
		c = &Linked{}
		w.copies[of] = c
	}
	c.Inlined++
	if len(c.In) < maxIn && w.inside != "" && !slices.Contains(c.In, w.inside) {
		c.In = append(c.In, w.inside)
	}
}

// entry returns the entry at an offset, or nil.
func (w *linkedReader) entry(off dwarf.Offset) *dwarf.Entry {
	r := w.data.Reader()
	r.Seek(off)
	e, err := r.Next()
	if err != nil {
		return nil
	}
	return e
}

// attr returns an attribute of an entry, or of those that provide its missing attributes (DWARF 5, 2.13 and 3.3.8); nil if
// none has it. known is false if some of these entries are not available, because they are in a supplementary file (dwz).
func (w *linkedReader) attr(e *dwarf.Entry, a dwarf.Attr) (v any, known bool) {
	for range 8 {
		if v := e.Val(a); v != nil {
			return v, true
		}
		next := e.Val(dwarf.AttrAbstractOrigin)
		if next == nil {
			next = e.Val(dwarf.AttrSpecification)
		}
		if next == nil {
			return nil, true
		}
		off, ok := next.(dwarf.Offset)
		if !ok {
			return nil, false
		}
		if e = w.entry(off); e == nil {
			return nil, false
		}
	}
	return nil, false
}

func (w *linkedReader) text(e *dwarf.Entry, a dwarf.Attr) string {
	v, _ := w.attr(e, a)
	text, _ := v.(string)
	return text
}

func (w *linkedReader) linkage(e *dwarf.Entry) string { return w.text(e, dwarf.AttrLinkageName) }

func (w *linkedReader) describe() *Linked {
	out := &Linked{InlinedUnknown: w.unknown}
	noReturn, known := w.attr(w.found, dwarf.AttrNoreturn)
	if out.NoReturn, _ = noReturn.(bool); known {
		out.Returns = w.returned(w.found)
	}
	own, linkage := w.found.Offset, w.linkage(w.found)
	if off, ok := w.found.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset); ok {
		own = off
	}
	for off, c := range w.copies {
		if off != own && (linkage == "" || w.entry(off) == nil || w.linkage(w.entry(off)) != linkage) {
			continue
		}
		out.Inlined += c.Inlined
		out.In = append(out.In, c.In...)
	}
	slices.Sort(out.In)
	out.In = slices.Compact(out.In)
	out.In = out.In[:min(len(out.In), maxIn)]
	return out
}

// returned resolves the return type of a function through typedefs and qualifiers.
func (w *linkedReader) returned(e *dwarf.Entry) Returned {
	var out Returned
	v, known := w.attr(e, dwarf.AttrType)
	if !known {
		return out
	}
	for range 32 {
		if v == nil { // void, const void and the like
			return Returned{Void: true, Known: true}
		}
		off, ok := v.(dwarf.Offset)
		if !ok { // in a supplementary file (dwz)
			return out
		}
		t := w.entry(off)
		if t == nil {
			return out
		}
		if name, _ := t.Val(dwarf.AttrName).(string); out.Name == "" {
			out.Name = name
		}
		switch t.Tag {
		case dwarf.TagTypedef, dwarf.TagConstType, dwarf.TagVolatileType, dwarf.TagRestrictType, dwarf.TagAtomicType:
			v = t.Val(dwarf.AttrType)
			continue
		}
		out.Known, out.Tag = true, t.Tag
		out.Size, _ = t.Val(dwarf.AttrByteSize).(int64)
		out.Coding, _ = t.Val(dwarf.AttrEncoding).(int64)
		return out
	}
	return out
}
