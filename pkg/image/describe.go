// SPDX-License-Identifier: GPL-2.0

package image

import (
	"debug/elf"
	"path/filepath"

	"lpatch/pkg/arch"
	"lpatch/pkg/patch"
)

// Describe returns the description of im for a patch: its identity and its executable segment.
func Describe(im *Image) patch.Image {
	d := patch.Image{Name: filepath.Base(im.Path), Soname: im.Soname(), BuildID: im.BuildID(), SHA256: im.Below().LoadSHA256(), Fixed: im.Fixed(), Near: true}
	d.SpanStart = ^uint64(0)
	for _, p := range im.Below().Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		d.SpanStart = min(d.SpanStart, p.Vaddr&^(arch.PageSize-1))
		d.SpanEnd = max(d.SpanEnd, (p.Vaddr+p.Memsz+arch.PageSize-1)&^(arch.PageSize-1))
		if p.Flags&elf.PF_X != 0 && d.TextSize == 0 {
			d.TextVaddr = p.Vaddr &^ (arch.PageSize - 1)
			d.TextOffset = p.Off &^ (arch.PageSize - 1)
			d.TextSize = (p.Vaddr+p.Memsz+arch.PageSize-1)&^(arch.PageSize-1) - d.TextVaddr
		}
	}
	return d
}
