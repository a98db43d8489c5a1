// SPDX-License-Identifier: GPL-2.0

package match

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"slices"

	"lpatch/pkg/arch"
	"lpatch/pkg/diff"
	"lpatch/pkg/ehframe"
	"lpatch/pkg/lpelf"
)

// A fingerprint is the longest run of bytes of an old function that no linker changes: instructions without relocations,
// branches and padding. Where the image has these bytes, the function may be.
const (
	fingerprintKey = 8  // bytes that are looked up; a function without as many in a row has no fingerprint
	fingerprintMax = 48 // longer runs tell no more
)

// fingerprintOf returns the fingerprint of a section of code, and how many bytes of the section are of that kind.
func fingerprintOf(obj *diff.Object, sec *lpelf.Section) (fingerprint []byte, fixed int) {
	refs := obj.Refs(sec)
	run := 0 // where the current run starts
	for pos, in := range arch.Instructions(obj.Arch, sec.Data) {
		if in.Kind == arch.Bad {
			return nil, 0
		}
		end, referring := pos+in.Len, false
		for len(refs) > 0 && refs[0].Off < uint64(end) {
			refs, referring = refs[1:], true
		}
		if referring || in.PCRel != 0 || in.Kind == arch.Nop {
			run = end
		} else {
			fixed += in.Len
			if n := min(end-run, fingerprintMax); n > len(fingerprint) {
				fingerprint = sec.Data[run : run+n]
			}
		}
	}
	if len(fingerprint) < fingerprintKey {
		return nil, fixed
	}
	return fingerprint, fixed
}

// scan finds all fingerprints in the image's code in one pass; it returns, for each, the starts of the extents that hold it.
func scan(im *Target, extents []ehframe.Range, fingerprints [][]byte) [][]uint64 {
	out := make([][]uint64, len(fingerprints))
	byKey := map[uint64][]int{}
	var first [1 << 16]bool // by the first two bytes, to pass over most places quickly
	for i, a := range fingerprints {
		if a != nil {
			byKey[binary.LittleEndian.Uint64(a)] = append(byKey[binary.LittleEndian.Uint64(a)], i)
			first[int(a[0])|int(a[1])<<8] = true
		}
	}
	for _, p := range im.Progs {
		if p.Type != elf.PT_LOAD || p.Flags&elf.PF_X == 0 {
			continue
		}
		code := im.BytesAt(p.Vaddr)
		for at := 0; at+fingerprintKey <= len(code); at++ {
			if !first[int(code[at])|int(code[at+1])<<8] {
				continue
			}
			for _, i := range byKey[binary.LittleEndian.Uint64(code[at:])] {
				if !bytes.HasPrefix(code[at:], fingerprints[i]) {
					continue
				}
				if start, ok := ehframe.At(extents, p.Vaddr+uint64(at)); ok && !slices.Contains(out[i], start) {
					out[i] = append(out[i], start)
				}
			}
		}
	}
	return out
}
