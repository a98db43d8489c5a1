// SPDX-License-Identifier: GPL-2.0

package x86

import (
	"bytes"
	"debug/elf"
	"errors"
	"testing"

	"lpatch/pkg/arch"
	"lpatch/pkg/testutil/fuzztest"
)

// FuzzDecode checks that Decode returns an error, or an instruction that lies within the code together with its field, does
// not depend on the following bytes, and cannot be decoded from a truncated prefix.
func FuzzDecode(f *testing.F) {
	for _, text := range texts(f) {
		for pos, in := range arch.Instructions(Arch{}, text) {
			if in.Kind != arch.Bad {
				f.Add(text[pos : pos+in.Len])
			}
		}
	}
	f.Add([]byte{0xf3, 0x0f, 0x1e, 0xfa})                   // endbr64
	f.Add([]byte{0xc5, 0xf8, 0x77})                         // vzeroupper
	f.Add([]byte{0xc4, 0xe3, 0x79, 0x14, 0x05, 0, 0, 0, 0}) // vpextrb, cut off
	f.Fuzz(func(t *testing.T, code []byte) {
		in, err := Arch{}.Decode(code)
		if err != nil {
			if in != (arch.Insn{}) || !errors.Is(err, arch.ErrDecode) {
				t.Fatalf("instruction %+v and error %v", in, err)
			}
			return
		}
		if in.Len < 1 || in.Len > 15 || in.Len > len(code) {
			t.Fatalf("% x: length %d", code, in.Len)
		}
		switch in.PCRel {
		case 0:
		case 1, 2, 4:
			if in.PCRelOff < 1 || in.PCRelOff+in.PCRel > in.Len {
				t.Fatalf("% x: a field of %d bytes at %d of %d", code, in.PCRel, in.PCRelOff, in.Len)
			}
		default:
			t.Fatalf("% x: a field of %d bytes", code, in.PCRel)
		}
		if in.IsBranch() && in.PCRel == 0 {
			t.Fatalf("% x: a branch to nowhere: %+v", code, in)
		}
		_ = in.Disp(code)
		if again, err := (Arch{}).Decode(append(bytes.Clone(code[:in.Len]), 0xcc, 0xcc)); err != nil || again != in {
			t.Fatalf("% x: %+v, but with something else behind it %+v (%v)", code[:in.Len], in, again, err)
		}
		for n := range in.Len {
			if short, err := (Arch{}).Decode(code[:n]); err == nil {
				t.Fatalf("% x is an instruction %+v, and so is its beginning of %d bytes: %+v", code[:in.Len], in, n, short)
			}
		}
	})
}

// texts returns the text sections of compiled objects.
func texts(t testing.TB) [][]byte {
	var list [][]byte
	for _, o := range fuzztest.Objects(t) {
		f, err := elf.NewFile(bytes.NewReader(o))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range f.Sections {
			if s.Flags&elf.SHF_EXECINSTR == 0 {
				continue
			}
			text, err := s.Data()
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, text)
		}
	}
	return list
}
