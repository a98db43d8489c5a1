// SPDX-License-Identifier: GPL-2.0

package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"

	"lpatch/pkg/lazyregexp"
)

// The copy of the tree may contain generated source files from an earlier build. If the fix changes an input of the
// generator, such as a script, the build may not regenerate them, so that they are the same in both builds.

var (
	// readByBuilds matches files that builds always read, or for which make has built-in rules; isText and isTest match files
	// that do not become part of a program.
	readByBuilds = lazyregexp.New(`(^|/)(GNUmakefile|[Mm]akefile|CMakeLists\.txt|meson\.build|configure[^/]*)$|\.(am|ac|mk|cmake|y|yy|l|ll)$`)
	isText       = lazyregexp.New(`\.(md|rst|po|pod|[1-8]|html)$|^debian/|(^|/)(LICEN[CS]E|COPYING|COPYRIGHT|AUTHORS|THANKS|NEWS|README|CHANGES|Change[Ll]og|CHANGELOG)[^/]*$`)
	isTest       = lazyregexp.New(`(^|/)(t|tests?|testsuite|docs?|examples?|\.github)/`)
)

// copyOld copies the tree. It refuses a fix whose effect may be masked by generated files of an earlier build.
func (w *workshop) copyOld(ctx context.Context) error {
	if err := w.copySource(ctx); err != nil {
		return err
	}
	left, err := w.leftover()
	if err != nil || left == "" {
		return err
	}
	for _, name := range w.willPatch(ctx) {
		if !isCompiled(name) && !readByBuilds().MatchString(name) && !isText().MatchString(name) && !isTest().MatchString(name) {
			return fmt.Errorf("%s changes %s, which sources may be generated from, and %s shows that %s is not clean, so what is there already might not be generated anew; build from a clean tree: unpacked anew, or as of git clean -dxf in a copy",
				w.o.Patch, name, left, w.o.Source)
		}
	}
	return nil
}

// leftover returns a file that proves an earlier build of the tree, or "": a file in the copy that git does not track or,
// without git, a build output that was left out of the copy.
func (w *workshop) leftover() (string, error) {
	if w.tracked == nil {
		for _, dir := range slices.Sorted(maps.Keys(w.configured)) {
			return filepath.Join(dir, w.configured[dir]), nil
		}
		return cmp.Or(append(w.stale, "")...), nil
	}
	left, found := "", errors.New("found")
	err := filepath.WalkDir(w.path("src"), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Name() == ".git" && d.IsDir():
			return fs.SkipDir
		case d.Name() == ".git" || !d.Type().IsRegular():
			return nil // a file in a submodule
		}
		rel, err := filepath.Rel(w.path("src"), path)
		if err == nil && !w.tracked[rel] && filepath.Join(w.source, rel) != w.patch {
			left, err = rel, found
		}
		return err
	})
	if errors.Is(err, found) {
		err = nil
	}
	return left, err
}

// checking matches the lines of patch --dry-run that name a file.
var checking = lazyregexp.New(`(?m)^checking (?:file|symbolic link) (.*?)(?: \((?:renamed|copied|read) from .*\))?$`)

// willPatch returns the files that the patch changes, as reported by patch. If the patch does not apply, this is reported
// later.
func (w *workshop) willPatch(ctx context.Context) []string {
	c := exec.CommandContext(ctx, "patch", "-p1", "--batch", "--forward", "--dry-run", "--quoting-style=literal", "-i", w.patch)
	c.Dir = w.path("src")
	out, _ := c.Output()
	var files []string
	for _, m := range checking().FindAllStringSubmatch(string(out), -1) {
		files = append(files, m[1])
	}
	return files
}
