// SPDX-License-Identifier: GPL-2.0

package match

import (
	"debug/elf"
	"slices"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/image"
	"lpatch/pkg/lpelf"
)

// Target is an image in which old objects are located.
type Target struct {
	*image.Image
	// recovered is set if the symbol table was built by Recover from the old objects, and therefore is incomplete.
	recovered bool
	ofObject  map[string]int // name of an old object that was found -> its block
	absent    map[string]absence
}

// NewTarget returns a Target for im.
func NewTarget(im *image.Image) *Target { return &Target{Image: im} }

// Open reads the ELF file path. If symbols is not empty, it takes the symbol table from this file, an unstripped twin of
// path.
func Open(path, symbols string) (*Target, error) {
	im, err := image.Open(path, symbols)
	if err != nil {
		return nil, err
	}
	return NewTarget(im), nil
}

// absence is the reason why an object counts as not found.
type absence int

const (
	notThere absence = iota + 1 // almost none of its code is in the image
	partly                      // some of its code is in the image, but not most of it
	tooSmall                    // none of its functions is large enough to be identified by its code
	copied                      // the image contains its code under another name
)

// verdict returns 0 if the object is part of the image, because the image contains most of its code.
func (u *unit) verdict() absence {
	have, want, largest := 0, 0, 0
	for _, w := range u.funcs {
		want += w.fixed
		if w.found {
			have += w.fixed
		}
		largest = max(largest, w.fixed)
	}
	switch {
	case have > 0 && 2*have >= want:
		return 0
	case 10*have >= want && have > 0 || 4*u.fingerprinted() >= len(u.funcs):
		return partly
	case largest < minFixed:
		return tooSmall
	}
	return notThere
}

// fingerprinted returns the number of functions whose fingerprint the image contains.
func (u *unit) fingerprinted() (n int) {
	for _, w := range u.funcs {
		if len(u.places[w.sec]) > 0 && w.fixed >= minFixed {
			n++
		}
	}
	return n
}

// BlocksFor returns the blocks of the symbol table that may belong to an object. Block 0 is that of a table without local
// symbols.
func (t *Target) BlocksFor(obj *diff.Object) []int {
	if t.recovered {
		return t.recoveredBlock(obj)
	}
	if obj.IsLate() {
		return []int{0}
	}
	return t.SourceBlocks(obj.Source)
}

// recoveredBlock returns the block of an object that was found; else block 0, which contains the exported symbols, if the image
// exports a function of the object.
func (t *Target) recoveredBlock(obj *diff.Object) []int {
	if b, ok := t.ofObject[obj.Name]; ok {
		return []int{b}
	}
	if t.exportsOf(obj) {
		return []int{0}
	}
	return nil
}

// exportsOf reports whether the image exports a function of the object.
func (t *Target) exportsOf(obj *diff.Object) bool {
	return slices.ContainsFunc(obj.Functions(), func(s *lpelf.Symbol) bool {
		return s.Bind != elf.STB_LOCAL && !obj.Shared(s) && t.Exports(s.Name) && s.Name != "main"
	})
}

// doubt refuses an object if it is unclear whether it is part of an image without symbols.
func (t *Target) doubt(obj *diff.Object) error {
	refuse := func(code codes.Code, text string) error {
		return diff.Refusals{{Code: code, File: obj.Name, Text: t.Path + " is stripped, and " + text}}
	}
	switch {
	case !t.recovered || t.exportsOf(obj) || len(obj.Functions()) == 0:
		return nil
	case t.absent[obj.Name] == tooSmall:
		return refuse(codes.NeedsSymbols, "the functions of this object are too small to be known by their code: name an unstripped build of exactly the target with --symbols")
	case t.absent[obj.Name] == copied:
		return refuse(codes.ObjectAmbiguous, "the code of this old object is also that of another one, under another name, so whose it is there is not known: name an unstripped build of exactly the target with --symbols")
	case t.absent[obj.Name] == partly:
		return refuse(codes.TargetDiffers, "it has some of the code of this old object, but not most; the old objects must be built from the target's source with its compiler and flags, or give symbols with --symbols")
	}
	return nil
}

// Found reports whether an old object was found in an image without symbols.
func (t *Target) Found(obj *diff.Object) bool {
	_, ok := t.ofObject[obj.Name]
	return ok
}

// Refutes reports whether an image without symbols lacks all or most of the code of an old object.
func (t *Target) Refutes(obj *diff.Object) bool {
	return t.recovered && (t.absent[obj.Name] == notThere || t.absent[obj.Name] == partly)
}

// Unlike reports whether an image without symbols contains no code of any old object.
func (t *Target) Unlike() bool { return t.recovered && len(t.ofObject) == 0 }

// whyNotFound returns the reason why a function was not found in an image without symbols.
func (t *Target) whyNotFound() string {
	if t.recovered {
		return "the old code of the function is nowhere in it, or at several places"
	}
	return "has no unwind tables by which the old code could be found"
}

// WhyLost returns the reason why a symbol was not found in an image without symbols.
func (t *Target) WhyLost() string {
	if t.recovered {
		return "the old code that was found there does not tell where it is"
	}
	return "it has no unwind tables by which the old code could be found there"
}

// HasContent reports whether the image has the initial value of an object's variable at vaddr.
func (t *Target) HasContent(vaddr uint64, obj *diff.Object, v *lpelf.Symbol) bool {
	want, linked := obj.Content(v)
	return t.Holds(vaddr, want, linked)
}
