// SPDX-License-Identifier: GPL-2.0

package x86

import (
	"bytes"
	"encoding/binary"

	"lpatch/pkg/arch"
)

// Position-independent code calls __tls_get_addr to access thread-local variables. If it is linked into a program, where the
// TP offset is known, ld rewrites the whole sequence ("ELF Handling For Thread-Local Storage", x86-64 general and local
// dynamic to local exec).
var (
	movThread = []byte{0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0} // mov %fs:0,%rax
	leaOffset = []byte{0x48, 0x8d, 0x80}                         // lea off(%rax),%rax
)

// generalLen is the length in bytes of the general dynamic sequence and of its local-exec form.
const generalLen = 16

// The local-exec forms of the two instructions of a TLS descriptor sequence: mov $off,%rax replaces lea x@tlsdesc(%rip),%rax,
// and a no-op replaces call *x@tlscall(%rax).
var (
	leaDescriptor = []byte{0x48, 0x8d, 0x05}
	movOffset     = []byte{0x48, 0xc7, 0xc0}
	nopCall       = []byte{0x66, 0x90}
)

// leads contains the number of bytes in each sequence before its first field.
var leads = map[arch.Meaning]uint64{arch.GeneralDynamic: 4, arch.LocalDynamic: 3, arch.Descriptor: uint64(len(leaDescriptor))}

// Sequence supports the general and the local dynamic model, and the first instruction of a TLS descriptor sequence.
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

// localDynamic returns the local-exec form of a local dynamic sequence of n bytes.
func localDynamic(n int) []byte {
	return append(bytes.Repeat([]byte{0x66}, n-len(movThread)), movThread...)
}

// LocalExec also supports the second instruction of a TLS descriptor sequence.
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

// ToLocalExec also supports the second instruction of a TLS descriptor sequence.
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
