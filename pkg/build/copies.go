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

// hasOwnCode reports whether a stripped target, in which code of an object was found, contains code of it that no linked
// object explains. The programs of a package have equal functions, such as usage() and static functions of common headers, so
// that code of one program appears to be part of all of them.
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

// isNotThere reports whether match.Locate found nothing in a stripped target: either the code does not occur, or there is
// other code at the address of the name, as for main. Code that occurs several times may belong to the object and does not
// count.
func isNotThere(err error) bool {
	var why diff.Refusals
	return err != nil && !isAmbiguous(err) && (errors.As(err, &why) || errors.Is(err, match.ErrNotLinked))
}

// isAmbiguous reports whether the code that match.Locate found may belong to several objects.
func isAmbiguous(err error) bool {
	var why diff.Refusals
	return errors.As(err, &why) && slices.ContainsFunc(why, func(r diff.Refusal) bool { return r.Code == codes.ObjectAmbiguous })
}

// codeOf returns the code of a function in an object before relocation. Functions for which it is equal cannot be
// distinguished in the target.
func codeOf(obj *diff.Object, f *lpelf.Symbol) string {
	sec := obj.SectionOf(f)
	if sec == nil || f.Value+f.Size > uint64(len(sec.Data)) {
		return f.Name
	}
	return string(sec.Data[f.Value : f.Value+f.Size])
}
