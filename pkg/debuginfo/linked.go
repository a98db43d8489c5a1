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
	Returns  Returned
	NoReturn bool
	Inlined  int      // how often a copy of it is inside another function
	In       []string // some of these
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
	data   *dwarf.Data
	at     uint64
	found  *dwarf.Entry
	copies map[dwarf.Offset]*Linked // of functions, by the entry that inlined calls name
	inside string
}

func (w *linkedReader) scan() error {
	for r := w.data.Reader(); ; {
		e, err := r.Next()
		if err != nil || e == nil {
			return err
		}
		switch e.Tag {
		case dwarf.TagSubprogram:
			w.inside = w.name(e)
			ranges, err := w.data.Ranges(e)
			if err == nil && slices.ContainsFunc(ranges, func(r [2]uint64) bool { return r[0] == w.at }) {
				w.found = e
			}
		case dwarf.TagInlinedSubroutine:
			if off, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset); ok {
				w.copied(off)
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

// attr looks an attribute up in an entry, or in those that have what it leaves out (DWARF 5, 2.13 and 3.3.8).
func (w *linkedReader) attr(e *dwarf.Entry, a dwarf.Attr) any {
	for range 8 {
		if v := e.Val(a); v != nil {
			return v
		}
		off, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset)
		if !ok {
			off, ok = e.Val(dwarf.AttrSpecification).(dwarf.Offset)
		}
		if !ok {
			return nil
		}
		if e = w.entry(off); e == nil {
			return nil
		}
	}
	return nil
}

func (w *linkedReader) name(e *dwarf.Entry) string {
	name, _ := w.attr(e, dwarf.AttrName).(string)
	return name
}

func (w *linkedReader) linkage(e *dwarf.Entry) string {
	name, _ := w.attr(e, dwarf.AttrLinkageName).(string)
	return name
}

func (w *linkedReader) describe() *Linked {
	out := &Linked{Returns: w.returned(w.found)}
	out.NoReturn, _ = w.attr(w.found, dwarf.AttrNoreturn).(bool)
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
	v := w.attr(e, dwarf.AttrType)
	out := Returned{Void: v == nil, Known: v == nil}
	for range 32 {
		off, ok := v.(dwarf.Offset)
		if v == nil { // const void and the like
			return Returned{Void: true, Known: true}
		}
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
