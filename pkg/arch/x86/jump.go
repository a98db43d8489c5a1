// SPDX-License-Identifier: GPL-2.0

package x86

import (
	"bytes"
	"slices"
)

const jumpLen = 5 // jmp rel32

var endbr64 = []byte{0xf3, 0x0f, 0x1e, 0xfa}

// Site skips endbr64, so that indirect branches still land on it.
func (Arch) Site(code []byte) (off, size uint64) {
	if bytes.HasPrefix(code, endbr64) {
		off = uint64(len(endbr64))
	}
	return off, jumpLen
}

// Through clobbers only %r11.
func (Arch) Through(twice bool) (code []byte, field uint64) {
	if twice {
		return append(slices.Clone(endbr64), 0x4c, 0x8b, 0x1d, 0, 0, 0, 0, 0x41, 0xff, 0x23), 7 // mov slot(%rip),%r11; jmp *(%r11)
	}
	return append(slices.Clone(endbr64), 0xff, 0x25, 0, 0, 0, 0), 6 // jmp *slot(%rip)
}

// Jump returns "jmp rel32".
func (Arch) Jump() (code []byte, field uint64) { return []byte{0xe9, 0, 0, 0, 0}, 1 }

// Trap returns ud2.
func (Arch) Trap() []byte { return []byte{0x0f, 0x0b} }
