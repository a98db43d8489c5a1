// SPDX-License-Identifier: GPL-2.0

package x86

import (
	"bytes"
	"encoding/binary"

	"lpatch/pkg/arch"
)

// Position independent code asks __tls_get_addr for thread-local variables; linked into a program, where the distance
// from the thread pointer is known, ld rewrites the whole sequence ("ELF Handling For Thread-Local Storage", x86-64
// general and local dynamic to local exec).
var (
	movThread = []byte{0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0} // mov %fs:0,%rax
	leaOffset = []byte{0x48, 0x8d, 0x80}                         // lea off(%rax),%rax
)

// generalLen is the length of the general dynamic sequence, before and after.
const generalLen = 16

// What a linker makes of the two parts of a sequence with a descriptor where the distance is known: mov $off,%rax for
// lea x@tlsdesc(%rip),%rax, and a no-op for call *x@tlscall(%rax).
var (
	leaDescriptor = []byte{0x48, 0x8d, 0x05}
	movOffset     = []byte{0x48, 0xc7, 0xc0}
	nopCall       = []byte{0x66, 0x90}
)

// leads are the bytes of the sequences before their first fields.
var leads = map[arch.Meaning]uint64{arch.GeneralDynamic: 4, arch.LocalDynamic: 3, arch.Descriptor: uint64(len(leaDescriptor))}

// Sequence knows those of the general and the local dynamic model, and the first part of one with a descriptor.
func (Arch) Sequence(t arch.Reloc, code []byte, field uint64) (start, n uint64) {
	lead, ok := leads[t.Meaning]
	if !ok || field < lead {
		return 0, 0
	}
	start = field - lead
	return start, sequenceLength(t, code[start:])
}

func sequenceLength(t arch.Reloc, code []byte) uint64 {
	switch {
	case t.Meaning == arch.GeneralDynamic && len(code) >= generalLen && bytes.HasPrefix(code, []byte{0x66, 0x48, 0x8d, 0x3d}) &&
		(bytes.HasPrefix(code[8:], []byte{0x66, 0x66, 0x48, 0xe8}) || bytes.HasPrefix(code[8:], []byte{0x66, 0x48, 0xff, 0x15})):
		return generalLen
	case t.Meaning == arch.LocalDynamic && len(code) >= 13 && bytes.HasPrefix(code, []byte{0x48, 0x8d, 0x3d}):
		if code[7] == 0xe8 {
			return 12
		}
		if code[7] == 0xff && code[8] == 0x15 {
			return 13
		}
	case t.Meaning == arch.Descriptor && bytes.HasPrefix(code, leaDescriptor):
		return 7
	}
	return 0
}

// localDynamic is what the local dynamic sequence of n bytes becomes.
func localDynamic(n int) []byte {
	return append(bytes.Repeat([]byte{0x66}, n-len(movThread)), movThread...)
}

// LocalExec also knows the second part of a sequence with a descriptor.
func (Arch) LocalExec(t arch.Reloc, code []byte) (off int64, ok bool) {
	switch t.Meaning {
	case arch.DescriptorCall:
		return 0, bytes.Equal(code, nopCall)
	case arch.LocalDynamic:
		return 0, bytes.Equal(code, localDynamic(len(code)))
	case arch.Descriptor:
		ok = bytes.HasPrefix(code, movOffset)
	default:
		ok = bytes.HasPrefix(code, movThread) && bytes.HasPrefix(code[len(movThread):], leaOffset)
	}
	if !ok {
		return 0, false
	}
	return int64(int32(binary.LittleEndian.Uint32(code[len(code)-4:]))), true
}

// ToLocalExec also knows the second part of a sequence with a descriptor.
func (Arch) ToLocalExec(t arch.Reloc, code []byte) (field uint64) {
	switch t.Meaning {
	case arch.DescriptorCall:
		copy(code, nopCall)
	case arch.LocalDynamic:
		copy(code, localDynamic(len(code)))
	case arch.Descriptor:
		copy(code, movOffset)
	default:
		copy(code, movThread)
		copy(code[len(movThread):], leaOffset)
	}
	return uint64(len(code)) - 4
}
