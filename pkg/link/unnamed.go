// SPDX-License-Identifier: GPL-2.0

package link

import "lpatch/pkg/diff"

// oldUnnamed finds unnamed writable data that did not change in the image: where the old functions refer to it.
func (l *linker) oldUnnamed(c *chunk, r diff.Ref) (addr uint64, ok bool) {
	old := c.in.Diff.Unnamed[r.Sec]
	if old == nil || c.in.Loc == nil {
		return 0, false
	}
	return c.in.Loc.Unnamed(old, r.At)
}
