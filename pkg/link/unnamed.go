// SPDX-License-Identifier: GPL-2.0

package link

import "lpatch/pkg/diff"

// oldUnnamed returns the address in the image of unnamed writable data that did not change. It follows from the references of
// old functions.
func (l *linker) oldUnnamed(c *chunk, r diff.Ref) (addr uint64, ok bool) {
	old := c.in.Diff.Unnamed[r.Sec]
	if old == nil || c.in.Loc == nil {
		return 0, false
	}
	return c.in.Loc.Unnamed(old, r.At)
}
