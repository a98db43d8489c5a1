// SPDX-License-Identifier: GPL-2.0

package image

import (
	"debug/elf"

	"lpatch/pkg/lpelf"
)

// EachSymbol calls visit for each function and variable in the symbol table of the image, in unspecified order.
func (im *Image) EachSymbol(visit func(*lpelf.Symbol)) {
	for _, list := range im.global {
		for _, s := range list {
			if s.Bind != elf.STB_LOCAL {
				visit(s)
			}
		}
	}
	for _, block := range im.local {
		for _, list := range block {
			for _, s := range list {
				visit(s)
			}
		}
	}
}
