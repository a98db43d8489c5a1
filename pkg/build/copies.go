// SPDX-License-Identifier: GPL-2.0

package build

import (
	"errors"
	"slices"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/match"
)

// hasOwnCode tells whether a stripped target, in which code of an object was found, has some that no linked object explains. The programs
// of one package have functions alike: each its usage(), and the static ones of a common header. By such code an object of one
// program seems to be in all of them.
func (b *builder) hasOwnCode(im *match.Target, obj *diff.Object) bool {
	linked := map[string]bool{}
	for name := range b.oldIn.objects {
		other, err := b.old.get(name)
		if b.old.raw[name] == nil {
			continue
		}
		if err != nil {
			return true
		}
		for _, f := range other.Functions() {
			linked[codeOf(other, f)] = true
		}
	}
	for _, f := range obj.Functions() {
		if _, cold := diff.ColdParent(f.Name); cold || linked[codeOf(obj, f)] {
			continue
		}
		if _, err := match.Locate(im, obj, []*lpelf.Symbol{f}); !isNotThere(err) {
			return true
		}
	}
	return false
}

// isNotThere tells whether match.Locate found nothing of what it was to find in a stripped target: no symbol, for its code is nowhere, or
// other code at its name, as each program's start has for main. Code that is there more than once may be the object's own as well.
func isNotThere(err error) bool {
	var why diff.Refusals
	return err != nil && !isAmbiguous(err) && (errors.As(err, &why) || errors.Is(err, match.ErrNotLinked))
}

// isAmbiguous tells whether it is not known whose the code is that match.Locate found.
func isAmbiguous(err error) bool {
	var why diff.Refusals
	return errors.As(err, &why) && slices.ContainsFunc(why, func(r diff.Refusal) bool { return r.Code == codes.ObjectAmbiguous })
}

// codeOf is what an object has of a function, without what the linker puts in: what one that was found in the target may be as well.
func codeOf(obj *diff.Object, f *lpelf.Symbol) string {
	sec := obj.SectionOf(f)
	if sec == nil || f.Value+f.Size > uint64(len(sec.Data)) {
		return f.Name
	}
	return string(sec.Data[f.Value : f.Value+f.Size])
}
