// SPDX-License-Identifier: GPL-2.0

// Package load lets a program apply a patch to itself, as the kernel would: lpload.c, linked into it, follows a plan.
package load

import (
	"fmt"
	"os"
	"strings"

	"lpatch/pkg/patch"
)

// WritePlan writes what lpload.c has to do to apply a patch.
func WritePlan(lp, plan string) error {
	f, err := patch.Open(lp)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "near %d %d\n", f.Spec.Images[0].SpanEnd+1<<20, f.Span())
	for i, im := range f.Spec.Images[1:] {
		name := im.Soname
		if name == "" {
			name = im.Name
		}
		fmt.Fprintf(&b, "image %d %s\n", i+1, name)
	}
	for _, s := range f.Segments() {
		fmt.Fprintf(&b, "seg %d %d %d %s\n", s.Offset, s.Vaddr, s.Size, s.Prot)
	}
	for _, x := range f.Spec.Fixups {
		fmt.Fprintf(&b, "fix %s %d %d %d\n", x.Kind, x.Image, x.Place, x.Addend)
	}
	for _, s := range f.Segments() {
		fmt.Fprintf(&b, "prot %d %d %s\n", s.Vaddr, s.Size, s.Prot)
	}
	for _, s := range f.Spec.Sites {
		if s.Kind == patch.SiteBytes {
			fmt.Fprintf(&b, "bytes %d %d % x % x\n", s.Vaddr, len(s.Old), []byte(s.Old), []byte(s.New))
		} else {
			fmt.Fprintf(&b, "jump %d %d % x\n", s.Vaddr, s.Target, []byte(s.Old))
		}
	}
	return os.WriteFile(plan, []byte(b.String()), 0o644)
}
