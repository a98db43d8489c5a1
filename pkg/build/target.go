// SPDX-License-Identifier: GPL-2.0

package build

import (
	"debug/elf"
	"errors"
	"fmt"
	"slices"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/match"
)

// checkTarget refuses conclusions about a target that is not known to be built from the old objects. nothing is set if the
// conclusion is that nothing has to be done.
func (b *builder) checkTarget(nothing bool) error {
	if b.old == nil {
		return nil // the patch only sets values
	}
	if b.o.Links != nil && (!b.oldIn.known || !b.newIn.known) {
		complete, err := b.complete()
		if err != nil {
			return err
		}
		if !complete {
			b.refusals = append(b.refusals, diff.Refusal{Code: codes.ObjectUnseen, File: b.im.Path,
				Text: "no compiler was seen to link a file of this name, with its needed libraries and exports, so it is not known what it is made of; " +
					"have it linked by " + seenCompilers(b.untraced) + ", and give it the name that the build gives it"})
			return nil
		}
	}
	if nothing && !b.oldIn.identical {
		return b.checkOld()
	}
	return nil
}

// checkOld refuses to conclude that nothing differs if the target does not match the old objects: it may contain code of
// another configuration.
func (b *builder) checkOld() error {
	found := len(b.res.LeftOut) > 0 || len(b.values) > 0
	for _, name := range b.old.names() {
		if b.excluded(name) != "" || b.oldIn.known && !b.oldIn.objects[name] {
			continue
		}
		obj, err := b.old.get(name)
		if err != nil {
			return err
		}
		functions := slices.DeleteFunc(obj.Functions(), func(f *lpelf.Symbol) bool {
			_, cold := diff.ColdParent(f.Name)
			return cold || obj.Shared(f)
		})
		loc, err := match.Locate(b.im, obj, functions)
		var refusals diff.Refusals
		switch {
		case err == nil:
			found = true
			b.checkMore(obj, loc)
		case errors.As(err, &refusals):
			b.refusals = append(b.refusals, slices.DeleteFunc(refusals, func(r Refusal) bool { return r.Code != codes.TargetDiffers })...)
		}
	}
	if !found && len(b.refusals) == 0 {
		b.refusals = append(b.refusals, diff.Refusal{Code: codes.ObjectNotFound, File: b.im.Path,
			Text: "old and new do not differ, but none of the old objects was found in it; give the objects that it was linked from, or name an unstripped build of it with --symbols"})
	}
	return nil
}

// checkMore refuses an object that lacks a static function which the target has from the same source file.
func (b *builder) checkMore(obj *diff.Object, loc *match.Located) {
	for _, name := range b.im.LocalFunctions(loc.Block) {
		if loc.Block == 0 || slices.ContainsFunc(obj.Functions(), func(f *lpelf.Symbol) bool { return baseOf(f.Name) == baseOf(name) }) {
			continue
		}
		b.refusals = append(b.refusals, diff.Refusal{Code: codes.TargetDiffers, File: obj.Name, Symbol: name,
			Text: fmt.Sprintf("%s has this function of %s, and the old object has none; the old objects must be built from the target's source with its compiler and flags", b.im.Path, obj.Source)})
	}
}

// defined reports whether an old object defines a global symbol.
func (b *builder) defined(object, symbol string) bool {
	obj, err := b.old.get(object)
	if err != nil {
		return false
	}
	s := obj.Lookup(symbol)
	return s != nil && s.Bind != elf.STB_LOCAL
}

// isThere reports whether a target that differs from the output of the build may contain parts of an object that no link of
// the build used. The link assumed to be that of the target may be another one, or may have used an equivalent object.
func (b *builder) isThere(old *diff.Object) bool {
	switch {
	case b.oldIn.identical, old.IsLate(): // it is the complete output of another link
		return false
	case !b.im.Named:
		return b.isThereByCode(old)
	}
	for _, s := range slices.Concat(old.Functions(), old.Variables()) {
		_, cold := diff.ColdParent(s.Name)
		if cold || diff.ByContent(s) {
			continue
		}
		if s.Bind != elf.STB_LOCAL {
			if g := b.im.Global(s.Name); g != nil && !b.isLinked(s.Name, func(other *diff.Object, def *lpelf.Symbol) bool { return b.isDefinition(g, other, def) }) {
				return true
			}
			continue
		}
		named := slices.ContainsFunc(b.im.Blocks(old.Source), func(block int) bool { return len(b.im.Local(block, s.Name)) > 0 })
		if named && !b.isLinked(s.Name, func(other *diff.Object, def *lpelf.Symbol) bool {
			return other.Source == old.Source && def.Bind == elf.STB_LOCAL
		}) {
			return true
		}
	}
	return false
}

// isThereByCode is like isThere, for a stripped target: a function of the object is found by its code, or the object defines
// the same symbols as a linked object that was not found.
func (b *builder) isThereByCode(old *diff.Object) bool {
	for _, s := range slices.Concat(old.Functions(), old.Variables()) {
		if s.Bind != elf.STB_LOCAL && !old.Shared(s) && b.isLinked(s.Name, func(other *diff.Object, def *lpelf.Symbol) bool {
			return def.Bind != elf.STB_LOCAL && !b.im.Found(other)
		}) {
			return true
		}
	}
	im, err := match.Open(b.o.Target, "")
	if err != nil {
		return true
	}
	found, _ := im.Recover([]*diff.Object{old})
	_, err = match.Locate(im, old, old.Functions())
	return isAmbiguous(err) || found > 0 && b.hasOwnCode(im, old)
}

// isLinked reports whether an object used by the links of the build defines a symbol called name for which is returns true.
func (b *builder) isLinked(name string, is func(*diff.Object, *lpelf.Symbol) bool) bool {
	others, err := b.old.naming(name)
	return err == nil && slices.ContainsFunc(others, func(other *diff.Object) bool {
		def := other.Lookup(name)
		return b.oldIn.objects[other.Name] && def != nil && is(other, def)
	})
}

// isDefinition reports whether a global symbol of the target matches the definition in an object: the same code or initial
// value.
func (b *builder) isDefinition(g *lpelf.Symbol, obj *diff.Object, def *lpelf.Symbol) bool {
	if def.Bind == elf.STB_LOCAL {
		return false
	}
	if !def.IsFunc() {
		return b.im.HasContent(g.Value, obj, def)
	}
	_, err := match.Locate(b.im, obj, []*lpelf.Symbol{def})
	return err == nil
}
