// SPDX-License-Identifier: GPL-2.0

package image

import (
	"lpatch/pkg/arch"
	"lpatch/pkg/ehframe"
)

// Site says which bytes of the function in [start, end) a jump to its new body overwrites. ok is false if there is no room for one;
// at is where it would be then. The filling behind a short function counts as room.
func (im *Image) Site(start, end uint64) (at uint64, old []byte, ok bool) {
	off, size := im.Arch.Site(im.Code(start))
	at = start + off
	code := im.Code(at)
	if uint64(len(code)) < size || at > end {
		return at, nil, false
	}
	if room := end - at; room < size && (at+size > im.NextStart(start) || im.unwindsFrom(end, at+size) || !isPadding(im.Arch, code[room:], int(size-room))) {
		return at, nil, false
	}
	return at, append([]byte{}, code[:size]...), true
}

// JumpSize is the length of the jump at a site.
func (im *Image) JumpSize() uint64 {
	_, size := im.Arch.Site(nil)
	return size
}

// unwindsFrom tells whether code with unwind information of its own begins in [from, to): no symbol need tell of it.
func (im *Image) unwindsFrom(from, to uint64) bool {
	for _, e := range im.Extents() {
		if e.Start >= from && e.Start < to {
			return true
		}
	}
	return false
}

// isPadding tells whether the first n bytes of what follows a function can be nothing else than filling: no-ops, int3,
// zeros. The last no-op may be longer.
func isPadding(a arch.Arch, code []byte, n int) bool {
	for n > 0 {
		size := a.Filler(code)
		if size == 0 {
			return false
		}
		code, n = code[size:], n-size
	}
	return true
}

// RunsOn proves that a thread inside a body never comes to the bytes in [from, to) other than by their first one, which is
// a call as any other. Indirect jumps prove nothing.
func (im *Image) RunsOn(body ehframe.Range, from, to uint64) bool {
	code := im.Code(body.Start)
	return uint64(len(code)) >= body.End-body.Start && len(branchesInto(im.Arch, code[:body.End-body.Start], body.Start, from, to)) == 0
}

// branchesInto lists the offsets from start of the instructions of the old body that branch, or may branch, strictly
// inside the bytes [from, to).
func branchesInto(a arch.Arch, code []byte, start, from, to uint64) []uint64 {
	var out []uint64
	for pos, in := range arch.Instructions(a, code) {
		if in.Kind == arch.Bad || in.Kind == arch.JmpInd {
			out = append(out, uint64(pos))
		}
		if in.IsBranch() {
			if t := start + uint64(pos+in.Len) + uint64(in.Disp(code[pos:])); t > from && t < to {
				out = append(out, uint64(pos))
			}
		}
	}
	return out
}
