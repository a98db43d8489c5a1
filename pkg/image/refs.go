// SPDX-License-Identifier: GPL-2.0

package image

import (
	"bytes"
	"debug/elf"
	"fmt"
	"slices"
	"sort"

	"lpatch/pkg/arch"
	"lpatch/pkg/ehframe"
)

// Extents returns the address ranges of code that have an FDE of their own, sorted: from .eh_frame_hdr, which stripped files
// keep, or from .eh_frame if there is none (static programs of gcc).
func (im *Image) Extents() []ehframe.Range {
	var out []ehframe.Range
	for _, p := range im.Progs {
		if p.Type == elf.PT_GNU_EH_FRAME && p.Vaddr != 0 {
			out = ehframe.HeaderRanges(im.BytesAt(p.Vaddr), p.Vaddr, im.BytesAt)
		}
	}
	if s := im.Section(".eh_frame"); out == nil && s != nil {
		out = ehframe.Ranges(s.Data, s.Addr)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Start < out[j].Start })
	return out
}

// codeRef is a PC-relative reference from an instruction to an address.
type codeRef struct{ to, from uint64 }

// codeRefs returns the PC-relative references of the image's code that leave their function, sorted by destination.
func (im *Image) codeRefs() []codeRef {
	if im.refsOfCode != nil {
		return im.refsOfCode
	}
	refs := []codeRef{}
	for _, e := range im.Extents() {
		code := im.Code(e.Start)
		code = code[:min(uint64(len(code)), e.End-e.Start)]
		for pos, in := range arch.Instructions(im.Arch, code) {
			at := e.Start + uint64(pos)
			if to := at + uint64(in.Len) + uint64(in.Disp(code[pos:])); in.PCRel != 0 && (to < e.Start || to >= e.End) {
				refs = append(refs, codeRef{to, at})
			}
		}
	}
	sort.SliceStable(refs, func(i, j int) bool { return refs[i].to < refs[j].to })
	im.refsOfCode = refs
	return refs
}

// UsersOf returns the addresses of the instructions that refer to an address in [from, to).
func (im *Image) UsersOf(from, to uint64) []uint64 {
	refs := im.codeRefs()
	var out []uint64
	for i := sort.Search(len(refs), func(i int) bool { return refs[i].to >= from }); i < len(refs) && refs[i].to < to; i++ {
		out = append(out, refs[i].from)
	}
	return out
}

// Folds reports whether identical code may have been folded: the file records that it was linked by a linker that supports
// this (GNU ld does not), and NotFolded is not set.
func (im *Image) Folds() bool {
	if im.NotFolded {
		return false
	}
	c := im.Section(".comment")
	return im.Section(".note.gnu.gold-version") != nil || c != nil && (bytes.Contains(c.Data, []byte("LLD")) || bytes.Contains(c.Data, []byte("mold")))
}

// Place formats an address for a message, with the name of the function that contains it if known.
func (im *Image) Place(at uint64) string {
	if start, ok := ehframe.At(im.Extents(), at); ok {
		if names := im.FunctionsAt(start); len(names) > 0 {
			return fmt.Sprintf("%s at %#x", names[0], at)
		}
	}
	return fmt.Sprintf("code or data at %#x", at)
}

// Entries returns the addresses through which code may call the function name at address at: its own and that of its PLT
// entries.
func (im *Image) Entries(name string, at uint64) []uint64 {
	out := []uint64{at}
	for _, slot := range im.Slots.GOT[name] {
		if plt, ok := im.Slots.PLTOf[slot.Vaddr]; ok {
			out = append(out, plt)
		}
	}
	return out
}

// Branches counts the direct calls and jumps in the size bytes of code at start whose destination is one of to. It stops at
// the first instruction that cannot be decoded.
func (im *Image) Branches(start, size uint64, to []uint64) (n int) {
	code := im.Code(start)
	code = code[:min(uint64(len(code)), size)]
	for pos, in := range arch.Instructions(im.Arch, code) {
		if in.IsBranch() && in.PCRel == 4 {
			if slices.Contains(to, start+uint64(pos+in.Len)+uint64(in.Disp(code[pos:]))) {
				n++
			}
		}
	}
	return n
}
