// SPDX-License-Identifier: GPL-2.0

package image

import (
	"math"
	"testing"

	"lpatch/pkg/lpelf"
	"lpatch/pkg/testutil/fuzztest"
)

// FuzzImage checks that a parsed file yields an image or an error, and that all methods of the image stay within the file.
func FuzzImage(f *testing.F) {
	for _, data := range fuzztest.Shared(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := lpelf.Parse("fuzz.so", data)
		if err != nil {
			return
		}
		fuzztest.Bounded(t, len(data), func() {
			im, err := New(file, file)
			if (im == nil) == (err == nil) {
				t.Fatalf("image %v and error %v", im, err)
			}
			if err == nil {
				readImage(t, im)
			}
		})
	})
}

func readImage(t *testing.T, im *Image) {
	_, _ = im.Fixed(), im.Shared()
	for _, syms := range [][]*lpelf.Symbol{im.Symbols, im.DynSymbols} {
		for _, s := range syms {
			if g := im.Global(s.Name); g != nil && !g.Defined() {
				t.Fatalf("global %s is %+v", s.Name, g)
			}
			im.TPOff(s)
			im.Local(s.Block, s.Name)
			im.Blocks(s.File)
			im.Pointer(s.Value)
			if next := im.NextStart(s.Value); next < s.Value {
				t.Fatalf("behind %#x comes %#x", s.Value, next)
			}
			if code := im.Code(s.Value); len(code) > len(im.Data) {
				t.Fatalf("%d bytes of code at %#x", len(code), s.Value)
			}
		}
	}
	for _, addr := range []uint64{0, 1, math.MaxInt64, math.MaxUint64 - 7, math.MaxUint64} {
		im.Pointer(addr)
		im.Code(addr)
	}
}
