// SPDX-License-Identifier: GPL-2.0

package link

import (
	"debug/elf"
	"strings"

	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/match"
)

// Input is one changed object with what is known of its old version.
type Input struct {
	Diff *diff.Result
	Loc  *match.Located // nil if the object is new as a whole
	// Moved are functions that other objects had.
	Moved []Moved
}

// Moved is a function whose definition is in another object from now on.
type Moved struct {
	diff.Change
	Loc *match.Located // of the old one
}

// changes are all functions that get a new body from an object, those that other files may use before hidden aliases.
func (in *Input) changes() []Moved {
	var out []Moved
	for _, ch := range publicFirst(in.Diff.Changed) {
		out = append(out, Moved{ch, in.Loc})
	}
	return append(out, in.Moved...)
}

// kind is the part of the patch that a chunk lies in.
type kind int

const (
	kindROData kind = iota
	kindGot
	kindText
	kindData
	kinds
)

// chunk is a piece of the patch: a section of a new object, a literal, or something the linker makes.
type chunk struct {
	kind  kind
	name  string
	in    *Input
	sec   *lpelf.Section // nil for literals and what the linker makes
	data  []byte
	align uint64
	vaddr uint64
	// lo is the offset within sec where data starts.
	lo uint64
}

// dest is what a reference means: a place in the patch, in the image, or an import.
type dest struct {
	chunk *chunk // in the patch, at off
	off   int64
	image bool // in an image, at vaddr
	lib   int  // which one: 0 is the target, others are libraries
	word  bool // not that place but what the word there holds
	vaddr uint64
	abs   bool // an absolute number, vaddr
	// imported is the name of a symbol that another file defines and the image has a slot for; version is "" for any.
	imported string
	version  string
}

func inPatch(c *chunk, off int64) dest { return dest{chunk: c, off: off} }

func inImage(vaddr uint64) dest { return dest{image: true, vaddr: vaddr} }

// add returns the destination n bytes further.
func (d dest) add(n int64) dest {
	d.off += n
	d.vaddr += uint64(n)
	return d
}

// kindOf says where a section goes. Relocated constants (.data.rel.ro) are read-only here: the kernel writes fix-ups
// before anybody can run the patch.
func kindOf(s *lpelf.Section) kind {
	switch {
	case s.IsText():
		return kindText
	case s.Flags&elf.SHF_WRITE == 0 || strings.HasPrefix(s.Name, ".data.rel.ro"):
		return kindROData
	}
	return kindData
}

// addSection puts a section of a new object into the patch, once.
func (l *linker) addSection(in *Input, s *lpelf.Section) *chunk {
	if c := l.bySection[s]; c != nil {
		return c
	}
	data := make([]byte, s.Size)
	copy(data, s.Data)
	c := &chunk{kind: kindOf(s), name: s.Name, in: in, sec: s, data: data, align: s.Align}
	l.bySection[s] = c
	l.chunks = append(l.chunks, c)
	l.work = append(l.work, c)
	return c
}

// literalKey tells literals apart.
type literalKey struct {
	content string
	align   uint64
}

// addLiteral puts a string or constant into the patch, once per content and alignment.
func (l *linker) addLiteral(content string, align uint64) *chunk {
	k := literalKey{content, align}
	if c := l.literals[k]; c != nil {
		return c
	}
	c := &chunk{kind: kindROData, data: []byte(content), align: align}
	l.literals[k] = c
	l.chunks = append(l.chunks, c)
	return c
}

// constantKey tells constants that hold addresses apart.
type constantKey struct {
	sec   *lpelf.Section
	start uint64
}

// addConstant puts an entry of a section of constants that hold addresses into the patch, once.
func (l *linker) addConstant(in *Input, s *lpelf.Section, start, size uint64) *chunk {
	k := constantKey{s, start}
	if c := l.constants[k]; c != nil {
		return c
	}
	c := &chunk{kind: kindROData, in: in, data: append([]byte{}, s.Data[start:start+size]...), align: s.Align, lo: start}
	l.constants[k] = c
	l.chunks = append(l.chunks, c)
	for _, r := range in.Diff.New.RefsIn(s, start, size) {
		l.relocate(c, r)
	}
	return c
}

// addSlot makes a private word in the patch's .got, once per content.
func (l *linker) addSlot(d dest) *chunk {
	if c := l.slots[d]; c != nil {
		return c
	}
	c := &chunk{kind: kindGot, data: make([]byte, 8), align: 8}
	l.slots[d] = c
	l.chunks = append(l.chunks, c)
	l.fixups64 = append(l.fixups64, pointerFix{c, 0, d})
	return c
}

// addStub makes a jump through the slot for an import that the image calls through a GOT slot and not through a PLT entry.
func (l *linker) addStub(slot uint64) *chunk {
	if c := l.stubs[slot]; c != nil {
		return c
	}
	code, at := l.im.Arch.Through(false)
	c := &chunk{kind: kindText, data: code, align: 16}
	l.stubs[slot] = c
	l.chunks = append(l.chunks, c)
	l.fixupsPC = append(l.fixupsPC, pcFix{c: c, off: at, to: slot, end: 4})
	return c
}

// pointerFix is a word of the patch that holds an address.
type pointerFix struct {
	c   *chunk
	off uint64
	to  dest
}

// pcFix is a 32-bit field that is relative to the byte `end` behind its start and means an address of an image.
type pcFix struct {
	c   *chunk
	off uint64
	to  uint64
	end uint64
	lib int
}

// absFix is a 32-bit field that holds an address of the patch (non-PIE code).
type absFix struct {
	c   *chunk
	off uint64
	to  dest
}
