// SPDX-License-Identifier: GPL-2.0

package debuginfo

import (
	"debug/dwarf"
	"errors"
	"slices"

	"lpatch/pkg/lpelf"
)

// Returned is the type of what a function returns.
type Returned struct {
	Known  bool
	Void   bool
	Name   string // of the type, for messages, "" if it has none
	Tag    dwarf.Tag
	Size   int64 // bytes, 0 if it is not told
	Coding int64 // DW_AT_encoding of a base type
}

// DW_ATE of table 7.11, those that are told apart.
const (
	EncodingBoolean    = 0x02
	EncodingSigned     = 0x05
	EncodingSignedChar = 0x06
	EncodingUnsigned   = 0x07
	EncodingUnsignedCh = 0x08
	EncodingUTF        = 0x10
)

// Linked is what the debug information of a linked file says of one of its functions.
type Linked struct {
	Returns        Returned // not known if NoReturn is not
	NoReturn       bool
	Inlined        int      // how often a copy of it is inside another function
	In             []string // some of these
	InlinedUnknown bool     // there may be more
}

// maxIn is how many functions are named that have a copy of another.
const maxIn = 3

// ReadLinked looks for the function at an address of a linked file, f being that or its debug file. It is nil if that does not tell of
// it. The error is ErrNone, wrapped with why, or says what is damaged.
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

// linkedReader goes once through the entries of a file, which may be many, and keeps few.
type linkedReader struct {
	data    *dwarf.Data
	at      uint64
	found   *dwarf.Entry
	copies  map[dwarf.Offset]*Linked // of functions, by the entry that inlined calls name
	inside  string
	unknown bool // of an inlined call, which function it is of
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

// attr looks an attribute up in an entry, or in those that have what it leaves out (DWARF 5, 2.13 and 3.3.8). It is nil if none has it;
// known is false if not all of them are read, as those in a file that several have in common are not (dwz).
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

// returned follows the type of a function to what it is without its names and qualifiers.
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
		if !ok { // in a file that several have in common (dwz)
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
