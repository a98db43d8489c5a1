// SPDX-License-Identifier: GPL-2.0

package match

import (
	"lpatch/pkg/arch"
	"lpatch/pkg/diff"
)

// tlsSequence compares a TLS code sequence of the object at pos with its relaxed form in the image. It returns the lengths of
// both, or 0 if there is no such sequence.
func (m *matcher) tlsSequence(obj []byte, pos int, code []byte, refs []diff.Ref) int {
	if len(refs) != 1 {
		return 0
	}
	r := refs[0]
	start, n := m.obj.Arch.Sequence(r.Type, obj, r.Off)
	if r.Type.Meaning == arch.Descriptor || n == 0 || start != uint64(pos) || uint64(len(code)) < n {
		return 0
	}
	off, ok := m.obj.Arch.LocalExec(r.Type, code[:n])
	if !ok || r.Type.Meaning == arch.GeneralDynamic && !m.tlsIs(r, off) {
		return 0
	}
	return int(n)
}

// relaxedDescriptor compares either instruction of a TLS descriptor sequence with its relaxed form.
func (m *matcher) relaxedDescriptor(p place, r diff.Ref) (bool, error) {
	off, ok := m.obj.Arch.LocalExec(r.Type, p.t)
	switch {
	case r.Type.Meaning == arch.DescriptorCall || !ok || len(p.t) != len(p.o):
		return ok && r.Type.Meaning == arch.DescriptorCall, nil
	case !m.tlsIs(r, off):
		return true, p.wrongRef(r, uint64(off))
	}
	return true, nil
}
