package build

import (
	"debug/elf"
	"errors"
	"fmt"
	"slices"

	"lpatch/pkg/diff"
	"lpatch/pkg/link"
	"lpatch/pkg/lpelf"
)

// checkTarget refuses what cannot be said of a target that is not known to be made of the old objects. With nothing, that
// nothing is to be done.
func (b *builder) checkTarget(nothing bool) error {
	if b.old == nil {
		return nil // a patch of values alone
	}
	if b.o.Links != nil && (!b.oldIn.known || !b.newIn.known) {
		complete, err := b.complete()
		if err != nil {
			return err
		}
		if !complete {
			b.refusals = append(b.refusals, diff.Refusal{Code: "object-unseen", File: b.im.Path,
				Text: "no compiler was seen to link a file of this name, with its needed libraries and exports, so it is not known what it is made of; " +
					"have it linked by gcc, g++ or clang, called by name, and give it the name that the build gives it"})
			return nil
		}
	}
	if nothing && !b.oldIn.identical {
		return b.checkOld()
	}
	return nil
}

// checkOld refuses to say that old and new do not differ of a target that the old objects do not fit: it may have what no
// object has, of another configuration.
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
		loc, err := link.Locate(b.im, obj, functions)
		var refusals diff.Refusals
		switch {
		case err == nil:
			found = true
			b.checkMore(obj, loc)
		case errors.As(err, &refusals):
			b.refusals = append(b.refusals, slices.DeleteFunc(refusals, func(r Refusal) bool { return r.Code != "target-differs" })...)
		}
	}
	if !found && len(b.refusals) == 0 {
		b.refusals = append(b.refusals, diff.Refusal{Code: "object-not-found", File: b.im.Path,
			Text: "old and new do not differ, but none of the old objects was found in it; give the objects that it was linked from, or name an unstripped build of it with --symbols"})
	}
	return nil
}

// checkMore refuses an object that lacks a static function which the target has from its source file.
func (b *builder) checkMore(obj *diff.Object, loc *link.Located) {
	for _, name := range b.im.LocalFunctions(loc.Block) {
		if loc.Block == 0 || slices.ContainsFunc(obj.Functions(), func(f *lpelf.Symbol) bool { return baseOf(f.Name) == baseOf(name) }) {
			continue
		}
		b.refusals = append(b.refusals, diff.Refusal{Code: "target-differs", File: obj.Name, Symbol: name,
			Text: fmt.Sprintf("%s has this function of %s, and the old object has none; the old objects must be built from the target's source with its compiler and flags", b.im.Path, obj.Source)})
	}
}

// checkGone refuses definitions that go away where what refers to them goes to another one of the name from then on, which
// code that does not change would not.
func (b *builder) checkGone(res *diff.Result, pairs []pair) error {
	if b.excluded(res.New.Name) != "" {
		return nil
	}
	for _, s := range slices.Concat(res.Old.Functions(), res.Old.Variables()) {
		if now := res.New.Lookup(s.Name); s.Bind == elf.STB_LOCAL || res.Old.Shared(s) || now != nil && now.Bind != elf.STB_LOCAL {
			continue
		}
		other, err := b.stillNamed(s.Name, pairs)
		if err != nil {
			return err
		}
		if other != "" {
			b.refusals = append(b.refusals, diff.Refusal{Code: "definition-gone", File: res.New.Name, Symbol: s.Name,
				Text: fmt.Sprintf("its definition is gone, and %s takes another one of this name from then on, which code that does not change would not; keep it, or give the other one a name of its own", other)})
		}
	}
	return nil
}

// stillNamed names an object that refers to a symbol after the fix, or defines it, as it did before; "" if there is none, or
// if the definition only moved to another object.
func (b *builder) stillNamed(symbol string, pairs []pair) (string, error) {
	other := ""
	for _, p := range pairs {
		if p.new == nil || b.excluded(p.name) != "" || !mayName(p.new, symbol) {
			continue
		}
		f, err := lpelf.Parse("new "+p.name, p.new)
		if err != nil {
			return "", err
		}
		for _, s := range f.Symbols {
			if s.Name != symbol || s.Bind == elf.STB_LOCAL {
				continue
			}
			if s.Section != elf.SHN_UNDEF && !b.defined(p.name, symbol) {
				return "", nil
			}
			other = p.name
		}
	}
	return other, nil
}

// defined tells whether an old object defines a symbol for others.
func (b *builder) defined(object, symbol string) bool {
	obj, err := b.old.get(object)
	if err != nil {
		return false
	}
	s := obj.Lookup(symbol)
	return s != nil && s.Bind != elf.STB_LOCAL
}
