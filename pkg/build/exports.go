// SPDX-License-Identifier: GPL-2.0

package build

import (
	"debug/elf"
	"slices"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// What a file exports is found by name, with dlsym() or by another file that is loaded later. The dynamic linker knows no patch, so
// to it the exports are those of the target.

// checkExports refuses a changed visibility, and notes what would be exported and is new: if nothing else changes, that is not
// nothing.
func (b *builder) checkExports(results []*diff.Result) error {
	some, err := b.exportsOwn()
	if err != nil || !some {
		return err
	}
	for _, res := range results {
		if b.excluded(res.New.Name) != "" || len(res.Old.Functions())+len(res.Old.Variables()) > 0 && !b.im.Has(res.Old) {
			continue
		}
		for _, n := range slices.Concat(res.New.Functions(), res.New.Variables()) {
			o := res.Old.Lookup(n.Name)
			switch {
			case res.New.Shared(n):
			case o != nil && o.Bind != elf.STB_LOCAL && n.Bind != elf.STB_LOCAL && isVisible(o) != isVisible(n):
				b.refusals = append(b.refusals, diff.Refusal{Code: codes.DefinitionNew, File: res.New.Name, Symbol: n.Name,
					Text: "the new source gives it another visibility, and who looks it up by name (dlsym) goes on to find, or not to find, it as before; leave its visibility, or restart the program"})
			case isVisible(n) && (o == nil || !isVisible(o)) && !b.im.Exports(n.Name):
				b.newExports = append(b.newExports, diff.Refusal{Code: codes.DefinitionNew, File: res.New.Name, Symbol: n.Name,
					Text: "it is new, and no code that changes refers to it, but the target exports what it defines, and no patch can bring in what is looked up by name (dlsym); restart the program, or make it static if nobody does"})
			}
		}
	}
	return nil
}

func isVisible(s *lpelf.Symbol) bool {
	return s.Bind != elf.STB_LOCAL && (s.Vis == elf.STV_DEFAULT || s.Vis == elf.STV_PROTECTED)
}

// exportsOwn tells whether the target exports functions of its objects, as libraries do, and programs that plug-ins use.
func (b *builder) exportsOwn() (bool, error) {
	for _, name := range b.old.names() {
		if b.excluded(name) != "" {
			continue
		}
		obj, err := b.old.get(name)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(obj.Functions(), func(f *lpelf.Symbol) bool { return isVisible(f) && !obj.Shared(f) && b.im.Exports(f.Name) }) {
			return true, nil
		}
	}
	return false, nil
}
