package match

import (
	"bytes"
	"debug/elf"
	"encoding/binary"

	"lpatch/pkg/arch/x86"
	"lpatch/pkg/diff"
)

// tlsSequence compares a sequence of the object with its rewritten form in the image; it returns the length of both, or
// 0 if there is no such sequence.
func (m *matcher) tlsSequence(obj, code []byte, refs []diff.Ref) int {
	if len(refs) != 1 {
		return 0
	}
	n := x86.TLSLength(refs[0].Type, obj)
	if n == 0 || len(code) < n {
		return 0
	}
	if refs[0].Type == elf.R_X86_64_TLSLD {
		if bytes.HasPrefix(code, x86.LocalDynamic(n)) {
			return n
		}
		return 0
	}
	if !bytes.HasPrefix(code, x86.MovThread) || !bytes.HasPrefix(code[len(x86.MovThread):], x86.LeaOffset) {
		return 0
	}
	off := int64(int32(binary.LittleEndian.Uint32(code[n-4:])))
	if !m.tlsIs(refs[0], off) {
		return 0
	}
	return n
}

// relaxedDescriptor compares either part with its rewritten form.
func (m *matcher) relaxedDescriptor(p place, r diff.Ref) (bool, error) {
	if r.Type == elf.R_X86_64_TLSDESC_CALL {
		return bytes.Equal(p.t, x86.NopCall), nil
	}
	if !bytes.HasPrefix(p.t, x86.MovOffset) || len(p.t) != len(p.o) {
		return false, nil
	}
	if v := int64(int32(binary.LittleEndian.Uint32(p.t[len(x86.MovOffset):]))); !m.tlsIs(r, v) {
		return true, p.wrongRef(r, uint64(v))
	}
	return true, nil
}
