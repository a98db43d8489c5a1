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

// A fingerprint is the longest run of bytes of an old function that linking does not change: instructions without
// relocations, branches and padding. The function may be located wherever the image contains these bytes.
const (
	fingerprintKey = 8  // minimum length in bytes, used for the lookup; a function without such a run has no fingerprint
	fingerprintMax = 48 // maximum length in bytes; longer runs do not improve selectivity
)

// fingerprintOf returns the fingerprint of a section of code, and the number of bytes in the section that linking does not
// change.
func fingerprintOf(obj *diff.Object, sec *lpelf.Section) (fingerprint []byte, fixed int) {
	refs := obj.Refs(sec)
	run := 0 // start of the current run
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

// scan finds all fingerprints in the image's code in one pass. For each fingerprint it returns the start addresses of the
// extents that contain it.
func scan(im *Target, extents []ehframe.Range, fingerprints [][]byte) [][]uint64 {
	out := make([][]uint64, len(fingerprints))
	byKey := map[uint64][]int{}
	var first [1 << 16]bool // filter on the first two bytes
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
