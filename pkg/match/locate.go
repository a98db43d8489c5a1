// SPDX-License-Identifier: GPL-2.0

// Package match verifies that the image contains the code of the old objects (run-pre matching as in Ksplice). The comparison
// also yields the addresses of symbols that the image's symbol table does not contain.
package match

import (
	"debug/elf"
	"errors"
	"fmt"
	"slices"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// ErrNotLinked is returned if an object is not part of the image.
var ErrNotLinked = errors.New("not part of the target")

// Located is an old object that was found in the image: the code of each requested function matches the image, instruction by
// instruction.
type Located struct {
	Obj     *diff.Object
	Block   int      // block of the image's symbol table; 0 if it has none for the object
	Missing []string // functions that the image does not contain
	// Others gives the reason why instances of functions that several objects contain (diff.Object.Shared) differ from those
	// in the image: the linker kept the instance of another object.
	Others map[string]diff.Refusal
	m      *matcher
}

// Locate finds the functions funcs of an old object in the image and compares their code. The error is ErrNotLinked or
// diff.Refusals.
func Locate(im *Target, obj *diff.Object, funcs []*lpelf.Symbol) (*Located, error) {
	if err := im.doubt(obj); err != nil {
		return nil, err
	}
	blocks := im.BlocksFor(obj)
	if len(blocks) == 0 {
		return nil, fmt.Errorf("%s (source %s): %w", obj.Name, obj.Source, ErrNotLinked)
	}
	if len(funcs) == 0 {
		return im.locateVariables(obj, blocks)
	}
	var found []*Located
	var failed diff.Refusals
	for _, b := range blocks {
		loc, refusals := tryBlock(im, obj, funcs, b)
		switch {
		case len(refusals) > 0:
			if failed == nil || len(refusals) < len(failed) {
				failed = refusals
			}
		case len(loc.Missing)+len(loc.Others) < len(funcs):
			found = append(found, loc)
		}
	}
	found = fullest(found)
	if len(found) > 1 && !im.anyLocal(obj, blocks) {
		found[0], _ = tryBlock(im, obj, funcs, 0)
		found = found[:1]
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, diff.Refusals{{Code: codes.ObjectAmbiguous, File: obj.Name, Symbol: funcs[0].Name,
			Text: fmt.Sprintf("%s was linked %d times into %s, and the old code fits more than one of them; no patch can tell them apart", obj.Source, len(found), im.Path)}}
	case failed != nil && !(!im.NamesSources() && im.Named && im.lacks(obj)):
		return nil, failed
	}
	return nil, fmt.Errorf("%s (source %s): %w", obj.Name, obj.Source, ErrNotLinked)
}

// locateVariables finds an object without functions by the initial values of its variables. If all variables are global,
// their names identify them in any block of the symbol table.
func (t *Target) locateVariables(obj *diff.Object, blocks []int) (*Located, error) {
	if !slices.ContainsFunc(obj.Variables(), func(v *lpelf.Symbol) bool { return v.Bind == elf.STB_LOCAL && !diff.ByContent(v) }) {
		blocks = []int{0}
	}
	var found []*Located
	differs := ""
	for _, b := range blocks {
		loc := &Located{Obj: obj, Block: b, m: newMatcher(t, obj, b)}
		fits, wrong := loc.compareVariables()
		if wrong != "" {
			differs = wrong
		} else if fits > 0 {
			found = append(found, loc)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, diff.Refusals{{Code: codes.ObjectAmbiguous, File: obj.Name,
			Text: fmt.Sprintf("%s was linked %d times into %s, and the old data fits more than one of them; no patch can tell them apart", obj.Source, len(found), t.Path)}}
	case differs != "":
		return nil, diff.Refusals{{Code: codes.TargetDiffers, File: obj.Name, Symbol: differs,
			Text: "the initial value of the variable in the old object is not what " + t.Path + " has; the old objects must be built from the target's source"}}
	}
	return nil, fmt.Errorf("%s (source %s): %w", obj.Name, obj.Source, ErrNotLinked)
}

// compareVariables returns the number of variables of the object that have the same initial value in the image, and the name
// of one that has a different value. Static variables are compared only if there is a block for the object.
func (l *Located) compareVariables() (fits int, differs string) {
	for _, v := range l.Obj.Variables() {
		addrs := l.m.addresses(v)
		if len(addrs) != 1 || v.Type == elf.STT_TLS || diff.ByContent(v) {
			continue
		}
		if !l.m.im.HasContent(addrs[0], l.Obj, v) {
			return 0, v.Name
		}
		if l.Block == 0 || v.Bind == elf.STB_LOCAL {
			fits++
		}
	}
	return fits, ""
}

// Has reports whether an object may be part of the image according to the names of its source files.
func (t *Target) Has(obj *diff.Object) bool { return len(t.BlocksFor(obj)) > 0 }

// lacks reports, for a symbol table without STT_FILE symbols, whether most functions of an object are missing from the image.
// Those with a matching name, such as main, then belong to another object.
func (t *Target) lacks(obj *diff.Object) bool {
	have, want := 0, 0
	for _, f := range obj.Functions() {
		want++
		if t.Global(f.Name) != nil {
			have++
		}
	}
	return have*2 < want
}

// anyLocal reports whether any of these blocks contains a local symbol of the object. If none does, the choice of the block
// does not matter, because the image has one global symbol of each name.
func (t *Target) anyLocal(obj *diff.Object, blocks []int) bool {
	for _, s := range obj.Symbols {
		if s.Bind != elf.STB_LOCAL || s.Name == "" || s.Type == elf.STT_FILE || s.Type == elf.STT_SECTION {
			continue
		}
		if slices.ContainsFunc(blocks, func(b int) bool { return len(t.Local(b, s.Name)) > 0 }) {
			return true
		}
	}
	return false
}

// fullest returns the candidates whose block contains the most local functions of the object and the fewest others, judged by
// code: another source file of the same name may have functions of the same names.
func fullest(found []*Located) []*Located {
	if len(found) == 1 {
		return found
	}
	best, keep := -1, []*Located{}
	for _, l := range found {
		n := 0
		for _, name := range l.m.im.LocalFunctions(l.Block) {
			f := l.Obj.Lookup(name)
			if f != nil && f.IsFunc() && newMatcher(l.m.im, l.Obj, l.Block).function(f) == nil {
				n++
			} else {
				n--
			}
		}
		switch {
		case n > best:
			best, keep = n, []*Located{l}
		case n == best:
			keep = append(keep, l)
		}
	}
	return keep
}

func tryBlock(im *Target, obj *diff.Object, funcs []*lpelf.Symbol, block int) (*Located, diff.Refusals) {
	loc := &Located{Obj: obj, Block: block, Others: map[string]diff.Refusal{}, m: newMatcher(im, obj, block)}
	var refusals diff.Refusals
	for _, f := range funcs {
		addrs := loc.m.addresses(f)
		switch {
		case len(addrs) == 0 && im.Named && f.Bind == elf.STB_LOCAL && !im.NamesLocals():
			refusals = append(refusals, diff.Refusal{Code: codes.NeedsSymbols, File: obj.Name, Symbol: f.Name,
				Text: im.Path + " names no static functions in its symbol table (ld or strip -x): name an unstripped build of exactly the target with --symbols"})
			continue
		case len(addrs) == 0 && !im.Named:
			refusals = append(refusals, diff.Refusal{Code: codes.NeedsSymbols, File: obj.Name, Symbol: f.Name,
				Text: im.Path + " is stripped, and " + im.whyNotFound() + ": name an unstripped build of exactly the target with --symbols"})
			continue
		case len(addrs) == 0, im.overrides(obj, f):
			loc.Missing = append(loc.Missing, f.Name)
			continue
		}
		if err := loc.m.function(f); err != nil {
			r := diff.Refusal{Code: codes.TargetDiffers, File: obj.Name, Symbol: f.Name,
				Text: err.Error() + "; the old objects must be built from the target's source with its compiler and flags"}
			if obj.Shared(f) {
				loc.Others[f.Name] = r
				continue
			}
			refusals = append(refusals, r)
		}
	}
	return loc, refusals
}

// overrides reports whether a strong definition in another object replaced the weak function f of this object.
func (t *Target) overrides(obj *diff.Object, f *lpelf.Symbol) bool {
	g := t.Global(f.Name)
	return f.Bind == elf.STB_WEAK && !obj.Shared(f) && t.Named && g != nil && g.Bind == elf.STB_GLOBAL
}

// Match returns the location of an old function in the image, or nil.
func (l *Located) Match(f *lpelf.Symbol) *Match { return l.m.matches[l.Obj.SectionOf(f)] }

// Address returns the address in the image of a function or variable of the old object. ok is false if the image does not
// contain it. The error is not nil if there are several candidates.
func (l *Located) Address(s *lpelf.Symbol) (addr uint64, ok bool, err error) {
	if m := l.m.matches[l.Obj.SectionOf(s)]; m != nil && s.IsFunc() && s.Value == 0 { // bound by its code
		return m.Start, true, nil
	}
	if err := l.m.doubt(s); err != nil {
		return 0, false, err
	}
	addrs := l.m.addresses(s)
	if len(addrs) > 1 && s.IsFunc() && l.m.function(s) == nil {
		return l.Address(s)
	}
	switch len(addrs) {
	case 0:
		return 0, false, nil
	case 1:
		return addrs[0], true, nil
	}
	return 0, false, fmt.Errorf("the symbol table has %d symbols of this name for %s", len(addrs), l.Obj.Source)
}
