// SPDX-License-Identifier: GPL-2.0

package bake

import (
	"bytes"
	"debug/elf"
	"math"
	"slices"
	"strings"

	"lpatch/pkg/patch"
)

const jumpLen = 5 // jmp rel32

// fixed reports whether the file is loaded at its link-time addresses.
func (b *baker) fixed() bool { return b.file.Type == elf.ET_EXEC }

// fix applies the fixups like the module.
func (b *baker) fix() error {
	if pin := b.patch.Spec.Pin; pin != 0 && b.hdr {
		le.PutUint64(b.memory[pin:], 1) // mark the unwind tables as registered, since the headers of the file name them
	}
	for i := range b.patch.Spec.Fixups {
		if err := b.fixOne(&b.patch.Spec.Fixups[i]); err != nil {
			return err
		}
	}
	return nil
}

func (b *baker) fixOne(x *patch.Fixup) error {
	to := uint64(x.Addend)
	switch x.Image {
	case patch.SelfImage:
		to += b.base
	case b.image:
	default:
		return b.foreign(x)
	}
	at := b.memory[x.Place:]
	switch x.Kind {
	case patch.FixupAbs64:
		le.PutUint64(at, to) // the initial value, until the dynamic linker relocates it
	case patch.FixupAbs32:
		if !b.fixed() || to > math.MaxInt32 {
			return refuse("the patch has an address in 32 bits, as code of programs with a fixed address has, and %s has none; rebuild the patch", b.name)
		}
		le.PutUint32(at, uint32(to))
	case patch.FixupPC32:
		d := int64(to - (b.base + x.Place))
		if d != int64(int32(d)) {
			return refuse("a place of %s at %#x is out of reach of the patch behind its end", b.name, to)
		}
		le.PutUint32(at, uint32(d))
	}
	return nil
}

// registerFunction is the function that a patch calls to register unwind tables that no file header names.
const registerFunction = "__register_frame_info"

// foreign refuses a reference to another file, except to registerFunction, which is not called.
func (b *baker) foreign(x *patch.Fixup) error {
	symbol := b.stubOf(x.Place)
	if symbol == registerFunction && b.hdr {
		return nil
	}
	by := ""
	if symbol != "" {
		by = symbol + " of "
	}
	return refuse("the patch refers to %s%s, which %s does not import, and a file can refer to others only by its imports; "+
		"use what it imports, or boot add", by, b.patch.Spec.Images[x.Image].Name, b.name)
}

// stubOf returns the name of the function of another file that is reached through a word of the patch, or "". A stub consists
// of endbr64 and a jump through the word, or a load of it.
func (b *baker) stubOf(word uint64) string {
	const suffix = "@plt"
	for _, s := range b.patch.Symbols() {
		name, ok := strings.CutSuffix(s.Name, suffix)
		if !ok || s.Addr+16 > uint64(len(b.memory)) {
			continue
		}
		code := b.memory[s.Addr+4:]
		for _, op := range [][]byte{{0xff, 0x25}, {0x4c, 0x8b, 0x1d}} {
			if n := uint64(len(op)); bytes.HasPrefix(code, op) && s.Addr+4+n+4+uint64(int64(int32(le.Uint32(code[n:])))) == word {
				return name
			}
		}
	}
	return ""
}

// overwrite writes the sites.
func (b *baker) overwrite() error {
	for i := range b.patch.Spec.Sites {
		s := &b.patch.Spec.Sites[i]
		at := b.file.BytesAt(s.Vaddr)
		if len(at) < len(s.Old) {
			return refuse("%s has no bytes in the file, since it is zero when the program starts (.bss); have a function of the patch set it", s.Symbol)
		}
		if at = at[:len(s.Old)]; !bytes.Equal(at, s.Old) {
			return refuse("%s of %s has the bytes % x, the patch expects % x", s.Symbol, b.name, at, []byte(s.Old))
		}
		code := slices.Clone(s.New)
		if s.Kind == patch.SiteJump {
			code = le.AppendUint32([]byte{0xe9}, uint32(b.base+s.Target-(s.Vaddr+jumpLen)))
		}
		copy(at, code)
	}
	return nil
}
