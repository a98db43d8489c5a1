// SPDX-License-Identifier: GPL-2.0

package build

import (
	"os"
	"path/filepath"
	"slices"
)

// untracedFile is a file in the directory of objects that marks a build which could not be traced.
const untracedFile = ".untraced"

// trial reports whether a build can be traced, and otherwise marks the directory of its objects. Tools that are not called by
// way of PATH are then not observed.
func trial(objects string) (traced bool, err error) {
	if canTrace() {
		return true, nil
	}
	return false, noteUntraced(objects)
}

func noteUntraced(objects string) error {
	return os.WriteFile(filepath.Join(objects, untracedFile), nil, 0o600)
}

// isUntraced reports whether one of the directories of objects is marked.
func isUntraced(objects ...string) bool {
	return slices.ContainsFunc(objects, func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, untracedFile))
		return err == nil
	})
}

// seenCompilers describes the tools whose calls are observed, for messages.
func seenCompilers(untraced bool) string {
	if untraced {
		return "gcc, g++ or clang, called by name, as tracing (ptrace) is not permitted here"
	}
	return "gcc, g++ or clang that the build itself starts"
}

// warnUntraced warns that calls of tools may have been missed.
func (b *builder) warnUntraced() {
	if isUntraced(slices.Concat(b.o.Old, b.o.New)...) {
		b.untraced = true
		b.res.Warnings = append(b.res.Warnings, "the builds were not traced, as tracing (ptrace) is not permitted here: only compilers, assemblers and linkers that were called by "+
			"name were seen, and what others make must be the same in both builds; where the build calls some by path, have tracing permitted (of a container: --cap-add SYS_PTRACE)")
	}
}
