// SPDX-License-Identifier: GPL-2.0

package build

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/link"
	"lpatch/pkg/patch"
)

// finish creates the patch file. elsewhere maps objects to another target that they are part of.
func (b *builder) finish(elsewhere map[string]string) (*Result, error) {
	b.decideUnknown(elsewhere)
	content, err := link.Link(b.im, b.inputs, b.values, patch.Spec{Name: b.o.Name, Description: b.o.Description, About: b.o.About, Tool: b.o.Tool, LeftOut: b.res.LeftOut},
		link.Options{CallerOK: b.o.CallerOK, Olds: b.old.all, Scope: b.scope})
	var refusals diff.Refusals
	switch {
	case errors.As(err, &refusals):
		b.refusals = append(b.refusals, refusals...)
	case err != nil:
		return nil, err
	}
	nothing := content == nil || len(content.Spec.Sites) == 0
	if nothing {
		b.refusals = append(b.refusals, b.newExports...)
	}
	if len(b.refusals) == 0 {
		if err := b.checkTarget(nothing); err != nil {
			return nil, err
		}
	}
	if len(b.refusals) == 0 {
		if err := b.compareImages(content, nothing); err != nil {
			return nil, err
		}
	}
	if len(b.refusals) > 0 {
		return nil, b.explain(b.refusals)
	}
	switch n := len(content.Spec.Sites); {
	case nothing:
		return nil, b.nothing()
	case n > patch.MaxSites:
		return nil, diff.Refusals{{Code: codes.TooManySites, File: b.im.Path,
			Text: fmt.Sprintf("%d places would be overwritten, of up to %d bytes each, and a patch may have %d; leave some values out", n, patch.MaxSiteLen, patch.MaxSites)}}
	}
	b.warnExported(content.Spec.Sites)
	b.warnLasting()
	b.warnLayouts()
	b.warnCallers(content)
	b.res.Spec = content.Spec
	b.res.Added = b.addedIn(content)
	if b.res.Data, err = patch.Encode(content); err != nil {
		return nil, err
	}
	return b.res, nil
}

// decideUnknown leaves out objects that are part of another target, and refuses the others that may be part of this one.
func (b *builder) decideUnknown(elsewhere map[string]string) {
	for _, r := range b.unknown {
		if other := elsewhere[r.File]; other != "" && !b.oldIn.objects[r.File] {
			b.leaveOut(r.File, "part of "+other)
		} else {
			b.refusals = append(b.refusals, r)
		}
	}
	sort.Slice(b.res.LeftOut, func(i, j int) bool { return b.res.LeftOut[i].Object < b.res.LeftOut[j].Object })
}

// warnExported warns about variables of which the program may use a copy.
func (b *builder) warnExported(sites []patch.Site) {
	for i := range sites {
		s := &sites[i]
		if s.Kind != patch.SiteBytes || i > 0 && sites[i-1].Symbol == s.Symbol || !b.im.Exported(s.Symbol, s.Vaddr) {
			continue
		}
		b.res.Warnings = append(b.res.Warnings, fmt.Sprintf("%s: %s exports it; a program that defines it too, or copies it (readelf -r shows R_X86_64_COPY), uses its own, which is not changed",
			s.Symbol, b.im.Path))
	}
}

// warnLayouts reports the structures whose layout changed with the author's permission.
func (b *builder) warnLayouts() {
	for _, name := range b.opts.LayoutOK {
		used := slices.Contains(b.layouts, name) || slices.ContainsFunc(b.inputs, func(in *link.Input) bool { return slices.Contains(in.Diff.Layouts, name) })
		text := "changed; the patch relies on --layout-ok, that new code sees none that old code has made"
		if !used {
			text = "--layout-ok names it, but no structure of this name changed"
		}
		b.res.Warnings = append(b.res.Warnings, name+": "+text)
	}
}

// warnCallers reports what the patch assumes about functions that use caller-dependent functions of the dynamic linker.
func (b *builder) warnCallers(content *patch.Content) {
	for _, name := range b.o.CallerOK {
		text := "the patch relies on --caller-ok, that it does not matter to the function that the dynamic linker does not know whose code it is"
		if !slices.ContainsFunc(content.Symbols, func(s patch.Symbol) bool { return s.Func && s.Name == name }) {
			text = "--caller-ok names it, but the patch has no function of this name"
		}
		b.res.Warnings = append(b.res.Warnings, name+": "+text)
	}
}

// addedIn returns the functions of the patch that the old objects lack.
func (b *builder) addedIn(content *patch.Content) []string {
	var out []string
	for _, in := range b.inputs {
		for _, name := range in.Diff.Added {
			if slices.ContainsFunc(content.Symbols, func(s patch.Symbol) bool { return s.Func && s.Name == name }) {
				out = append(out, name)
			}
		}
	}
	return out
}

// leftOutText returns a line that tells which differing objects were left out, and why.
func leftOutText(list []patch.LeftOut) string {
	words := make([]string, len(list))
	for i, l := range list {
		words[i] = l.Object + ": " + l.Why
	}
	return strings.Join(words, "; ")
}

// nothing returns ErrNothing with an explanation.
func (b *builder) nothing() error {
	unproved := ""
	if b.notCompared != "" {
		unproved = fmt.Sprintf("; the linked images were not compared (%s)", b.notCompared)
	}
	switch {
	case len(b.values) > 0:
		return fmt.Errorf("%w; the variables to set have those bytes from the start", ErrNothing)
	case len(b.res.LeftOut) > 0:
		return fmt.Errorf("%w in %s (%s)%s", ErrNothing, b.im.Path, leftOutText(b.res.LeftOut), unproved)
	case unproved != "":
		return fmt.Errorf("%w in the objects of %s%s", ErrNothing, b.im.Path, unproved)
	}
	return ErrNothing
}
