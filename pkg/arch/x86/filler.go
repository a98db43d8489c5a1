// SPDX-License-Identifier: GPL-2.0

package x86

import "lpatch/pkg/arch"

// Filler accepts no-ops, int3 and zeros.
func (a Arch) Filler(code []byte) int {
	if code[0] == 0xcc || code[0] == 0 {
		return 1
	}
	if in, err := a.Decode(code); err == nil && in.Kind == arch.Nop {
		return in.Len
	}
	return 0
}
