package x86

import (
	"bytes"
	"debug/elf"
)

// Position independent code asks __tls_get_addr for thread-local variables; linked into a program, where the distance
// from the thread pointer is known, ld rewrites the whole sequence ("ELF Handling For Thread-Local Storage", x86-64
// general and local dynamic to local exec).
var (
	MovThread = []byte{0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0} // mov %fs:0,%rax
	LeaOffset = []byte{0x48, 0x8d, 0x80}                         // lea off(%rax),%rax
)

// GeneralLen is the length of the general dynamic sequence, before and after.
const GeneralLen = 16

// TLSLength returns the length of the sequence at code if it is one that starts with the given relocation.
func TLSLength(t elf.R_X86_64, code []byte) int {
	switch {
	case t == elf.R_X86_64_TLSGD && len(code) >= GeneralLen && bytes.HasPrefix(code, []byte{0x66, 0x48, 0x8d, 0x3d}) &&
		(bytes.HasPrefix(code[8:], []byte{0x66, 0x66, 0x48, 0xe8}) || bytes.HasPrefix(code[8:], []byte{0x66, 0x48, 0xff, 0x15})):
		return GeneralLen
	case t == elf.R_X86_64_TLSLD && len(code) >= 13 && bytes.HasPrefix(code, []byte{0x48, 0x8d, 0x3d}):
		if code[7] == 0xe8 {
			return 12
		}
		if code[7] == 0xff && code[8] == 0x15 {
			return 13
		}
	}
	return 0
}

// LocalDynamic is what the local dynamic sequence of n bytes becomes.
func LocalDynamic(n int) []byte {
	return append(bytes.Repeat([]byte{0x66}, n-len(MovThread)), MovThread...)
}

// What a linker makes of the two parts of a sequence with a descriptor where the distance is known: mov $off,%rax for
// lea x@tlsdesc(%rip),%rax, and a no-op for call *x@tlscall(%rax).
var (
	LeaDescriptor = []byte{0x48, 0x8d, 0x05}
	MovOffset     = []byte{0x48, 0xc7, 0xc0}
	NopCall       = []byte{0x66, 0x90}
)

// SplitRex returns the REX prefix of an instruction without others, 0 for none, and the rest of it.
func SplitRex(b []byte) (byte, []byte) {
	if b[0]&0xf0 == 0x40 {
		return b[0], b[1:]
	}
	return 0, b
}
