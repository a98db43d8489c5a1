// SPDX-License-Identifier: GPL-2.0

package link

import (
	"testing"

	"lpatch/pkg/diff"
	"lpatch/pkg/image"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/match"
	"lpatch/pkg/patch"
	"lpatch/pkg/testutil/fuzztest"
)

// FuzzLink checks that a patch from the object of an image and an arbitrary object is linked or refused, and that the result
// can be encoded.
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
	linked, err := image.New(file, nil)
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
			linkObjects(t, match.NewTarget(linked), diff.Compare(parseObject(object), new, diff.Options{Data: true}))
		})
	})
}

func linkObjects(t *testing.T, im *match.Target, res *diff.Result) {
	var changed []*lpelf.Symbol
	for _, c := range res.Changed {
		changed = append(changed, c.Old)
	}
	if len(changed) == 0 || len(res.Refusals) > 0 {
		return
	}
	loc, err := match.Locate(im, res.Old, changed)
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
