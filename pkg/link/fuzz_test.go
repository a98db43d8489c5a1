package link

import (
	"math"
	"testing"

	"lpatch/pkg/diff"
	"lpatch/pkg/fuzztest"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

// FuzzImage: a file that can be parsed is an image or an error; all that is asked of an image is answered from the file.
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
			im, err := NewImage(file, file)
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
			if next := im.nextStart(s.Value); next < s.Value {
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

// FuzzLink: a patch is made of the object that an image was linked from and of one that may be anything, or it is refused;
// what is made can be written as a file.
func FuzzLink(f *testing.F) {
	const debug, sections = "-g", "-ffunction-sections"
	compile := func(args ...string) []byte {
		return fuzztest.Compile(f, "gcc", append(args, "-O2", "-fPIC", debug, sections, "-fdata-sections")...)
	}
	so, object := compile("-shared"), compile("-c")
	if so == nil {
		f.Skip("gcc is not installed")
	}
	file, err := lpelf.Parse("unit.so", so)
	if err != nil {
		f.Fatal(err)
	}
	im, err := NewImage(file, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(object)
	f.Add(compile("-c", "-Dcount=counter"))
	f.Add(compile("-c", "-D__LINE__=(x+7)"))
	for _, other := range fuzztest.Objects(f) {
		f.Add(other)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		new := parseObject(data)
		if new == nil {
			return
		}
		fuzztest.Bounded(t, len(data)+len(object)+len(so), func() {
			linkObjects(t, im, diff.Compare(parseObject(object), new, diff.Options{Data: true}))
		})
	})
}

func linkObjects(t *testing.T, im *Image, res *diff.Result) {
	var changed []*lpelf.Symbol
	for _, c := range res.Changed {
		changed = append(changed, c.Old)
	}
	if len(changed) == 0 || len(res.Refusals) > 0 {
		return
	}
	loc, err := Locate(im, res.Old, changed)
	if err != nil {
		t.Fatalf("the object that the image was made of: %v", err)
	}
	spec := patch.Spec{Format: patch.FormatVersion, Name: "fuzz", Tool: "fuzz"}
	content, err := Link(im, []*Input{{Diff: res, Loc: loc}}, nil, spec, Options{})
	if err != nil {
		return
	}
	if _, err := patch.Encode(content); err != nil {
		t.Fatal(err)
	}
}

func parseObject(data []byte) *diff.Object {
	file, err := lpelf.Parse("unit.o", data)
	if err != nil {
		return nil
	}
	o, err := diff.NewObject("unit.o", file)
	if err != nil {
		return nil
	}
	return o
}
