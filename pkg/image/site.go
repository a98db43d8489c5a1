// SPDX-License-Identifier: GPL-2.0

package image

import (
	"lpatch/pkg/arch"
	"lpatch/pkg/ehframe"
)

// Site returns the bytes of the function in [start, end) that a jump to its new body overwrites. Padding after a short
// function may be overwritten too. If there is no room for the jump, ok is false and at is the address at which it would have
// been placed.
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

// JumpSize returns the length of the jump at a site in bytes.
func (im *Image) JumpSize() uint64 {
	_, size := im.Arch.Site(nil)
	return size
}

// unwindsFrom reports whether code with an FDE of its own starts in [from, to). Such code need not have a symbol.
func (im *Image) unwindsFrom(from, to uint64) bool {
	for _, e := range im.Extents() {
		if e.Start >= from && e.Start < to {
			return true
		}
	}
	return false
}

// isPadding reports whether the first n bytes of code can only be padding: no-ops, int3 or zeros. The last no-op may extend
// beyond n.
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

// RunsOn reports whether a thread that executes body is proven never to branch to the bytes in (from, to), strictly inside
// the site. The first byte is excluded: a branch to it is like any other call. An indirect jump or an undecodable instruction
// prevents the proof.
func (im *Image) RunsOn(body ehframe.Range, from, to uint64) bool {
	code := im.Code(body.Start)
	return uint64(len(code)) >= body.End-body.Start && len(branchesInto(im.Arch, code[:body.End-body.Start], body.Start, from, to)) == 0
}

// branchesInto returns the offsets from start of the instructions that branch, or may branch, to an address strictly between
// from and to.
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
