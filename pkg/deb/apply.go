// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sourcegraph/go-diff/diff"

	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/sandbox"
)

// Apply applies a fix to an unpacked source tree in the root. A fix that depends on others may not apply to tests and
// documentation; these files are left out and returned. Any other failure is an error.
func (r *Root) Apply(ctx context.Context, f Fix, tree string) (leftOut []string, err error) {
	files, err := f.read()
	if err != nil {
		return nil, err
	}
	patch := func(list []*diff.FileDiff, options ...string) error {
		text, err := diff.PrintMultiFileDiff(list)
		if err != nil {
			return err
		}
		return r.Run(ctx, sandbox.Job{
			Name: "apply", Dir: tree, In: bytes.NewReader(text),
			Args: append([]string{"patch", "-p1", "--batch", "--forward", "--no-backup-if-mismatch"}, options...),
		})
	}
	var fit []*diff.FileDiff
	for _, d := range files {
		name := changedFile(d)
		err := patch([]*diff.FileDiff{d}, "--dry-run")
		switch {
		case err == nil:
			fit = append(fit, d)
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case isCompiled(name):
			return nil, fmt.Errorf("%s does not apply to %s of the older version; if it stands upon other new patches, give those too: %w", f.Name, name, err)
		default:
			leftOut = append(leftOut, name)
		}
	}
	if len(fit) == 0 {
		return leftOut, nil
	}
	return leftOut, patch(fit)
}

// Files returns the files that a fix changes, as paths in the source tree.
func (f Fix) Files() ([]string, error) {
	files, err := f.read()
	var names []string
	for _, d := range files {
		names = append(names, changedFile(d))
	}
	return names, err
}

// CompiledFiles returns those of Files that influence the compiled code.
func (f Fix) CompiledFiles() ([]string, error) {
	names, err := f.Files()
	return slices.DeleteFunc(names, func(name string) bool { return !isCompiled(name) }), err
}

// Mentions reports whether a fix contains word in a changed line or in a hunk header, which names the enclosing function or
// structure.
func (f Fix) Mentions(word string) bool {
	files, err := f.read()
	if err != nil {
		return false
	}
	is := regexp.MustCompile(`\b` + regexp.QuoteMeta(word) + `\b`)
	for _, d := range files {
		for _, h := range d.Hunks {
			if is.MatchString(h.Section) || isCompiled(changedFile(d)) && is.Match(h.Body) {
				return true
			}
		}
	}
	return false
}

// stamps matches the timestamps after file names. They have various formats and are not needed.
var stamps = lazyregexp.New(`(?m)^(--- [^\t\n]*)\t.*\n(\+\+\+ [^\t\n]*)(?:\t.*)?$`)

// read parses a patch into the differences of each file.
func (f Fix) read() ([]*diff.FileDiff, error) {
	text, err := f.text()
	if err != nil {
		return nil, err
	}
	files, err := diff.ParseMultiFileDiff(stamps().ReplaceAll(text, []byte("$1\n$2")))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	return files, nil
}

// changedFile returns the path of the file that a diff changes, without its first component.
func changedFile(d *diff.FileDiff) string {
	name := d.NewName
	if name == "/dev/null" {
		name = d.OrigName
	}
	if _, rest, ok := strings.Cut(name, "/"); ok {
		return rest
	}
	return name
}
