// SPDX-License-Identifier: GPL-2.0

package build

import (
	"debug/elf"
	"slices"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
)

// checkStaticsMoved refuses static variables of Rust that the fix moves to another object of their crate: rustc partitions a
// crate by the sizes of its functions, and names of local statics are not unique across objects.
func (b *builder) checkStaticsMoved(results []*diff.Result) {
	was, is := map[string][]string{}, map[string][]string{}
	for _, res := range results {
		if b.excluded(res.New.Name) == "" {
			noteStatics(was, res.Old)
			noteStatics(is, res.New)
		}
	}
	for name, objects := range is {
		if len(was[name]) == 0 || slices.Equal(was[name], objects) {
			continue
		}
		b.refusals = append(b.refusals, diff.Refusal{Code: codes.FunctionMoved, File: objects[0], Symbol: name,
			Text: "the static variable was in " + was[name][0] + ", for rustc divides the crate in another way with the fix, and what it holds would not be found; " +
				"build the target with codegen-units = 1, or make the fix smaller"})
	}
}

// noteStatics records the objects that define local static variables with state.
func noteStatics(to map[string][]string, o *diff.Object) {
	for _, v := range o.Variables() {
		sec := o.SectionOf(v)
		if sec != nil && sec.Flags&elf.SHF_WRITE != 0 && v.Bind == elf.STB_LOCAL && diff.IsRust(v.Name) && !diff.ByContent(v) && !diff.IsReadOnly(sec) {
			to[v.Name] = append(to[v.Name], o.Name)
		}
	}
}
