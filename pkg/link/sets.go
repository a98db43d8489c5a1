// SPDX-License-Identifier: GPL-2.0

package link

import "lpatch/pkg/codes"

// checkTextSets refuses code in sections whose start or end the program refers to, because it may classify code by address.
// Code in the patch is outside of this range.
func (l *linker) checkTextSets() {
	for _, c := range l.chunks {
		if c.kind != kindText || c.sec == nil {
			continue
		}
		for _, mark := range []string{"__start_" + c.sec.Name, "__stop_" + c.sec.Name} {
			if l.im.Global(mark) != nil || l.old(mark) {
				name := c.sec.Name
				if syms := c.in.Diff.New.SymbolsIn(c.sec); len(syms) > 0 {
					name = syms[0].Name
				}
				l.refuse(c.in, name, codes.TableChanged, "the program refers to %s, to tell code of section %s by its address, and new code of the patch is elsewhere; leave the function as it was, or restart the program", mark, c.sec.Name)
				break
			}
		}
	}
}
