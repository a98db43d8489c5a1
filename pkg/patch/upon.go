// SPDX-License-Identifier: GPL-2.0

package patch

import (
	"bytes"
	"fmt"
	"slices"
)

// checkUpon validates the list of lower patches: each one is an image with a build-id in which the patch has no site.
func (f *File) checkUpon() error {
	seen := map[int]bool{}
	for i, u := range f.Spec.Upon {
		im, err := f.image(u.Image)
		if err == nil {
			err = CheckName(u.Name)
		}
		switch {
		case err != nil:
		case u.Image == 0 || seen[u.Image] || len(im.BuildID) == 0:
			err = fmt.Errorf("image %d is not the file of a patch", u.Image)
		case slices.ContainsFunc(f.Spec.Sites, func(s Site) bool { return s.Image == u.Image }):
			err = fmt.Errorf("a site is in image %d, which is that patch", u.Image)
		}
		if err != nil {
			return fmt.Errorf("patch %d that it is built upon: %w", i, err)
		}
		seen[u.Image] = true
	}
	return nil
}

// IsUpon reports whether s was built upon the patch whose file has this build-id.
func (s *Spec) IsUpon(buildID []byte) bool {
	return slices.ContainsFunc(s.Upon, func(u Upon) bool { return bytes.Equal(s.Images[u.Image].BuildID, buildID) })
}

// Collision reports a conflict between two patches: one of them replaces a function that the other one was built against. It
// returns a sentence and the name of the function, or empty strings if there is no conflict.
func Collision(a, b *Spec) (clash, function string) {
	relying, replacing := a, b
	if function = reliesOn(a, b); function == "" {
		relying, replacing = b, a
		function = reliesOn(b, a)
	}
	if function == "" {
		return "", ""
	}
	return fmt.Sprintf("patch %s was built for %s as it is in the file, patch %s replaces that function", relying.Name, function, replacing.Name), function
}

// reliesOn returns the name of a function that a was built against and b replaces, or "".
func reliesOn(a, b *Spec) string {
	for _, r := range a.Relies {
		for _, f := range b.Functions {
			if SameImage(&a.Images[r.Image], &b.Images[f.Image]) &&
				slices.ContainsFunc(f.Bodies, func(body Range) bool { return r.Start >= body.Start && r.Start < body.End }) {
				return r.Symbol
			}
		}
	}
	return ""
}

// SameImage reports whether a and b identify the same file: by build-id, or by SHA-256 if neither has one.
func SameImage(a, b *Image) bool {
	if len(a.BuildID) > 0 || len(b.BuildID) > 0 {
		return bytes.Equal(a.BuildID, b.BuildID)
	}
	return bytes.Equal(a.SHA256, b.SHA256)
}

// Passes reports whether site redirects a function to its replacement in a lower patch, without changing it again: the patch
// replaces no function at this site.
func (s *Spec) Passes(site *Site) bool {
	return len(s.Upon) > 0 && site.Kind == SiteJump && !slices.ContainsFunc(s.Functions, func(f Function) bool {
		return f.Image == site.Image && site.Vaddr >= f.Bodies[0].Start && site.Vaddr < f.Bodies[0].End
	})
}
