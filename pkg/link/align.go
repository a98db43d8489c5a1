// SPDX-License-Identifier: GPL-2.0

package link

import (
	"slices"

	"lpatch/pkg/arch"
	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
)

// checkAlignment refuses chunks with an alignment larger than a page: a patch is mapped at any free page near the image.
// Replaced functions are exempt, because they are still called at their old address.
func (l *linker) checkAlignment() {
	for _, c := range l.chunks {
		if c.align <= arch.PageSize || c.in == nil {
			continue
		}
		replaces := slices.ContainsFunc(c.in.Diff.Changed, func(ch diff.Change) bool { return c.sec != nil && c.in.Diff.New.SectionOf(ch.New) == c.sec })
		if replaces {
			continue
		}
		name := c.name
		if c.sec != nil {
			if syms := c.in.Diff.New.SymbolsIn(c.sec); len(syms) > 0 {
				name = syms[0].Name
			}
		}
		l.refuse(c.in, name, codes.AlignmentTooLarge, "the new source aligns it to %d bytes, and a patch is aligned to pages of %d; get it aligned at run time (aligned_alloc), or align it less", c.align, arch.PageSize)
	}
}
