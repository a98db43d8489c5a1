// SPDX-License-Identifier: GPL-2.0

package build

import (
	"os"
	"path/filepath"
	"slices"
)

// untracedFile is in the directory of the objects of a build that could not be traced.
const untracedFile = ".untraced"

// trial tells whether a build may be traced, and notes in the directory of its objects if it may not: what is made by what is called
// past PATH is not seen then.
func trial(objects string) (traced bool, err error) {
	if canTrace() {
		return true, nil
	}
	return false, noteUntraced(objects)
}

func noteUntraced(objects string) error {
	return os.WriteFile(filepath.Join(objects, untracedFile), nil, 0o600)
}

// isUntraced tells whether the objects are of such builds.
func isUntraced(objects ...string) bool {
	return slices.ContainsFunc(objects, func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, untracedFile))
		return err == nil
	})
}

// seenCompilers are what is seen to make objects.
func seenCompilers(untraced bool) string {
	if untraced {
		return "gcc, g++ or clang, called by name, as tracing (ptrace) is not permitted here"
	}
	return "gcc, g++ or clang that the build itself starts"
}

// warnUntraced says what is not known of a patch.
func (b *builder) warnUntraced() {
	if isUntraced(slices.Concat(b.o.Old, b.o.New)...) {
		b.untraced = true
		b.res.Warnings = append(b.res.Warnings, "the builds were not traced, as tracing (ptrace) is not permitted here: only compilers, assemblers and linkers that were called by "+
			"name were seen, and what others make must be the same in both builds; where the build calls some by path, have tracing permitted (of a container: --cap-add SYS_PTRACE)")
	}
}
