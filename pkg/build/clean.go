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

// A source that an earlier build has generated looks like any other in the copy. Where the fix is in what it is made from, such as
// a script, it may not be made anew, and be the same in both builds.

var (
	// readByBuilds are files that builds read each time, or have rules of make's own for; isText and isTest are what no part of a
	// program is made from.
	readByBuilds = lazyregexp.New(`(^|/)(GNUmakefile|[Mm]akefile|CMakeLists\.txt|meson\.build|configure[^/]*)$|\.(am|ac|mk|cmake|y|yy|l|ll)$`)
	isText       = lazyregexp.New(`\.(md|rst|po|pod|[1-8]|html)$|^debian/|(^|/)(LICEN[CS]E|COPYING|COPYRIGHT|AUTHORS|THANKS|NEWS|README|CHANGES|Change[Ll]og|CHANGELOG)[^/]*$`)
	isTest       = lazyregexp.New(`(^|/)(t|tests?|testsuite|docs?|examples?|\.github)/`)
)

// copyOld copies the tree, and refuses a fix whose effect could be hidden by what an earlier build has generated.
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

// leftover returns a file that shows that the tree has been built, or "": one in the copy that git does not track. Without git, that
// is one that looked built and was left out.
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
			return nil // that of a submodule is a file
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

// checking is what patch --dry-run says of a file.
var checking = lazyregexp.New(`(?m)^checking (?:file|symbolic link) (.*?)(?: \((?:renamed|copied|read) from .*\))?$`)

// willPatch returns the files that the patch changes, as patch says. If it does not apply, that is told later.
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
