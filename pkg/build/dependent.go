// SPDX-License-Identifier: GPL-2.0

package build

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// finishAll creates the patches of several targets. An object that was found in one target needs no proof that it is not part
// of another one in which it was not found. The error of each target is ErrNothing or Refusals; any other error ends
// finishAll.
func finishAll(list []ImageResult, parts []*builder) error {
	elsewhere := map[string]string{}
	for i, b := range parts {
		if list[i].Err != nil {
			continue
		}
		for _, in := range b.inputs {
			elsewhere[in.Diff.New.Name] = list[i].Paths[0]
		}
	}
	for i, b := range parts {
		r := &list[i]
		if r.Err != nil {
			continue
		}
		r.Result, r.Err = b.finish(elsewhere)
		var refusals Refusals
		if r.Err != nil && !errors.Is(r.Err, ErrNothing) && !errors.As(r.Err, &refusals) {
			return r.Err
		}
		if errors.Is(r.Err, ErrNothing) && b.notCompared != "" {
			r.Unproved = notComparedText(r.Paths[0], b.notCompared)
		}
	}
	return nil
}

// together discards patches for files that are used in one process together with a file that was refused: a program and a
// library that it needs, or two libraries. A partial fix may be worse than none, because its parts may depend on each other.
func together(list []ImageResult) error {
	files := make([]*lpelf.File, len(list))
	for i := range list {
		var err error
		if files[i], err = lpelf.Open(list[i].File); err != nil {
			return err
		}
	}
	needs := func(a, b *lpelf.File) bool {
		return b.Soname() != "" && slices.Contains(a.Needed(), b.Soname())
	}
	// from each refused file to all files connected with it
	var reach func(from, cause int)
	reach = func(from, cause int) {
		for i := range list {
			if list[i].Result == nil || !needs(files[i], files[from]) && !needs(files[from], files[i]) {
				continue
			}
			list[i].Result = nil
			list[i].Err = Refusals{diff.Refusal{Code: codes.FixIncomplete, File: list[i].Paths[0], Text: fmt.Sprintf(
				"a part of the fix, in %s, is refused, and this file is used together with that one; build the parts by themselves if one does not rely on the other",
				filepath.Base(list[cause].Paths[0]))}}
			reach(i, cause)
		}
	}
	for i := range list {
		var refusals Refusals
		if errors.As(list[i].Err, &refusals) && refusals[0].Code != codes.FixIncomplete {
			reach(i, i)
		}
	}
	return nil
}
