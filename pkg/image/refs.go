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

// Extents lists the parts of the code that have unwind information of their own, by address: from .eh_frame_hdr, which stripped
// files keep, or, where there is none (static programs of gcc), from .eh_frame.
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

// codeRef is an instruction that leads to an address.
type codeRef struct{ to, from uint64 }

// codeRefs lists where the image's code refers to relative to itself, by the address that is meant.
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

// UsersOf are the places of the code that refer to an address in [from, to).
func (im *Image) UsersOf(from, to uint64) []uint64 {
	refs := im.codeRefs()
	var out []uint64
	for i := sort.Search(len(refs), func(i int) bool { return refs[i].to >= from }); i < len(refs) && refs[i].to < to; i++ {
		out = append(out, refs[i].from)
	}
	return out
}

// Folds tells whether the file says that it was made by a linker that can fold what is the same, which that of GNU cannot, and
// nobody knows better.
func (im *Image) Folds() bool {
	if im.NotFolded {
		return false
	}
	c := im.Section(".comment")
	return im.Section(".note.gnu.gold-version") != nil || c != nil && (bytes.Contains(c.Data, []byte("LLD")) || bytes.Contains(c.Data, []byte("mold")))
}

// Place is an address for a sentence, with the function that it is in if there is a name.
func (im *Image) Place(at uint64) string {
	if start, ok := ehframe.At(im.Extents(), at); ok {
		if names := im.FunctionsAt(start); len(names) > 0 {
			return fmt.Sprintf("%s at %#x", names[0], at)
		}
	}
	return fmt.Sprintf("code or data at %#x", at)
}

// Entries returns the addresses by which code may call a function of the image: its own, and that of its PLT entry.
func (im *Image) Entries(name string, at uint64) []uint64 {
	out := []uint64{at}
	for _, slot := range im.Slots.GOT[name] {
		if plt, ok := im.Slots.PLTOf[slot.Vaddr]; ok {
			out = append(out, plt)
		}
	}
	return out
}

// Branches counts the calls of, and jumps to, one of some addresses in a range of code. Behind what does not decode it counts
// none.
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
