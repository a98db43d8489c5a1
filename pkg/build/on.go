// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"fmt"
	"slices"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/image"
	"lpatch/pkg/patch"
)

// carry adds the patches of Options.On to the image of the target, because the old objects are built from a source with their
// fixes.
func (b *builder) carry() error {
	var below []*patch.File
	for _, path := range b.o.On {
		p, err := patch.Open(path)
		if err != nil {
			return err
		}
		code, why := b.whyNotOn(p, below)
		if why == "" {
			code = codes.OnForm
			if why, err = b.im.Carry(path, p); err != nil {
				return err
			}
		}
		if why != "" {
			return diff.Refusals{{Code: code, File: path, Text: fmt.Sprintf("nothing can be built upon the patch %s: %s", p.Spec.Name, why)}}
		}
		below = append(below, p)
	}
	return nil
}

// whyNotOn returns the reason why a patch does not fit the target with the patches below it, or why the target cannot be
// patched on top of others.
func (b *builder) whyNotOn(p *patch.File, below []*patch.File) (code codes.Code, why string) {
	own := image.Describe(b.im.Image)
	switch {
	case b.im.LTO:
		return codes.OnForm, "the target was linked with link-time optimisation, whose names of static functions are other ones for each source; build one patch of all the fixes and apply it with --replace"
	case slices.ContainsFunc(b.im.FunctionNames(), diff.IsRust):
		return codes.OnForm, "the target has code of Rust, whose names are other ones for each source; build one patch of all the fixes and apply it with --replace"
	case !b.im.Named:
		return codes.NeedsSymbols, "the target is stripped: name an unstripped build of exactly the target with --symbols"
	case p.Spec.Name == b.o.Name:
		return codes.OnTarget, "this one has the same name; give it another one"
	case !patch.SameImage(&p.Spec.Images[0], &own):
		return codes.OnTarget, fmt.Sprintf("it is for another build of %s; name the patches that the target has applied", p.Spec.Images[0].Name)
	}
	for _, u := range p.Spec.Upon {
		if !slices.ContainsFunc(below, func(q *patch.File) bool { return bytes.Equal(q.BuildID, p.Spec.Images[u.Image].BuildID) }) {
			return codes.OnTarget, fmt.Sprintf("it was built upon %s itself (build-id %x); name that, too, in front of it", u.Name, []byte(p.Spec.Images[u.Image].BuildID))
		}
	}
	for _, q := range below {
		clash, _ := patch.Collision(p.Spec, q.Spec)
		if bytes.Equal(q.BuildID, p.BuildID) {
			return codes.OnTarget, "it is named twice"
		}
		if clash != "" && !p.Spec.IsUpon(q.BuildID) {
			return codes.OnTarget, clash + ", so the two are never applied together"
		}
	}
	return "", ""
}
