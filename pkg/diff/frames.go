// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"bytes"
	"debug/elf"
	"slices"
	"strings"

	"lpatch/pkg/ehframe"
	"lpatch/pkg/lpelf"
)

// Frame is an FDE of the .eh_frame section of an object: it describes how to unwind a range of code and, if the code has
// cleanups or handlers, refers to its language-specific data area (LSB, "Exception Frames"; Itanium C++ ABI, "Exception
// Handling").
type Frame struct {
	Section     *lpelf.Section // .eh_frame
	Off, End    uint64         // range of the FDE in Section
	CIE, CIEEnd uint64         // range of its CIE
	Code        Ref            // start of the code
	LSDA        *Ref           // language-specific data area, or nil
	Personality *Ref           // personality routine, or a word that contains its address; nil if there is none
}

// Frames returns the FDEs of .eh_frame that refer to code, in order. It stops at the first malformed entry.
func (o *Object) Frames() []Frame {
	if o.frames == nil {
		o.frames = []Frame{}
		for _, s := range o.Sections {
			if s.Name == ".eh_frame" {
				o.readFrames(s)
			}
		}
	}
	return o.frames
}

func (o *Object) readFrames(s *lpelf.Section) {
	cies := map[uint64]uint64{} // start -> end
	refs := o.Refs(s)
	entries, _, _ := ehframe.Entries(s.Data)
	for _, e := range entries {
		if e.IsCIE() {
			cies[e.Off] = e.End
		} else if cieEnd, ok := cies[e.CIE]; ok {
			f := Frame{Section: s, Off: e.Off, End: e.End, CIE: e.CIE, CIEEnd: cieEnd}
			if f.take(refs) {
				o.frames = append(o.frames, f)
			}
		}
	}
}

// take assigns the relocations of the FDE and its CIE: pc_begin, which compilers write as a 4-byte PC-relative field, the
// LSDA pointer after it, and the personality pointer of the CIE.
func (f *Frame) take(refs []Ref) bool {
	for i, r := range refs {
		switch {
		case r.Off == f.Off+8 && r.Type.Near() && r.Sec != nil:
			f.Code = r
		case r.Off > f.Off+8 && r.Off < f.End && f.LSDA == nil && r.Sec != nil:
			f.LSDA = &refs[i]
		case r.Off >= f.CIE && r.Off < f.CIEEnd:
			f.Personality = &refs[i]
		}
	}
	return f.Code.Sec != nil
}

// IsExceptTable reports whether a section contains language-specific data areas.
func IsExceptTable(s *lpelf.Section) bool {
	return strings.HasPrefix(s.Name, ".gcc_except_table")
}

// Word returns the reference stored in the word that r refers to: exception tables refer to type information and personality
// routines through words that contain their addresses. ok is false if r does not refer to such a word.
func (o *Object) Word(r Ref) (word Ref, ok bool) {
	if r.Sec == nil || r.Sec.Flags&elf.SHF_WRITE == 0 {
		return Ref{}, false
	}
	for _, w := range o.Refs(r.Sec) {
		if int64(w.Off) == r.At && w.Type.Pointer() {
			return w, true
		}
	}
	return Ref{}, false
}

// lsda returns the language-specific data area of the code at offset at of sec: its section and its range.
func (o *Object) lsda(sec *lpelf.Section, at uint64) (s *lpelf.Section, start, end uint64) {
	for _, f := range o.Frames() {
		if f.Code.Sec == sec && f.Code.At == int64(at) && f.LSDA != nil {
			s, start = f.LSDA.Sec, uint64(f.LSDA.At)
		}
	}
	if s == nil || start > s.Size {
		return nil, 0, 0
	}
	end = s.Size
	for _, f := range o.Frames() {
		if f.LSDA != nil && f.LSDA.Sec == s && uint64(f.LSDA.At) > start {
			end = min(end, uint64(f.LSDA.At))
		}
	}
	return s, start, end
}

// equalLSDA reports whether two functions have the same exception handling tables.
func (c *comparer) equalLSDA(o, n *lpelf.Symbol) bool {
	os, ostart, oend := c.old.lsda(c.old.SectionOf(o), o.Value)
	ns, nstart, nend := c.new.lsda(c.new.SectionOf(n), n.Value)
	if os == nil || ns == nil {
		return os == ns
	}
	return oend-ostart == nend-nstart && c.equalRange(os, ns, ostart, nstart, nend-nstart)
}

// equalUnwind tells whether exceptions pass through the old function as they do through the new one. Unwinders end a program
// where a function has no entry, or where the directives of assembly (.cfi_def_cfa_offset) are wrong. That the new one has none
// does no harm.
func (c *comparer) equalUnwind(o, n *lpelf.Symbol) bool {
	old, new := c.old.framesOf(o), c.new.framesOf(n)
	if len(new) == 0 {
		return true
	}
	return slices.EqualFunc(old, new, func(a, b Frame) bool {
		const behind = 8 // the length of an entry, and the distance to its CIE
		return a.Code.At-int64(o.Value) == b.Code.At-int64(n.Value) &&
			bytes.Equal(a.rules(a.Off+behind, a.End), b.rules(b.Off+behind, b.End)) && bytes.Equal(a.rules(a.CIE+behind, a.CIEEnd), b.rules(b.CIE+behind, b.CIEEnd))
	})
}

// framesOf are the entries for the code of a function.
func (o *Object) framesOf(f *lpelf.Symbol) []Frame {
	if o.unwound == nil {
		o.unwound = map[int][]Frame{}
		for _, fr := range o.Frames() {
			o.unwound[fr.Code.Sec.Index] = append(o.unwound[fr.Code.Sec.Index], fr)
		}
	}
	return slices.DeleteFunc(slices.Clone(o.unwound[int(f.Section)]), func(fr Frame) bool {
		at := uint64(fr.Code.At)
		return at < f.Value || at >= f.Value+max(f.Size, 1)
	})
}

// rules are part of an entry or its CIE, without relocated fields and without the no-ops that fill up the last one of a section.
func (f *Frame) rules(from, to uint64) []byte {
	return bytes.TrimRight(maskedBytes(f.Section, from, to-from), "\x00")
}

// unnamedWord tells whether a reference leads to one of the words that compilers make for exception tables: gcc names
// them after what they hold, clang leaves them without a name in .data.
func unnamedWord(r Ref) bool {
	return r.End == 0 && (r.Sym == nil || r.Sym.Name == "" || strings.HasPrefix(r.Sym.Name, "DW.ref."))
}
