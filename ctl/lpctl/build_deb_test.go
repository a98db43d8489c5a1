// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/build"
	"lpatch/pkg/patch"
)

// TestWritePackage looks at what is said, and with which status, of a package whose files come out in all ways.
func TestWritePackage(t *testing.T) {
	built := func(paths ...string) build.ImageResult {
		return build.ImageResult{Paths: paths, Verified: "build-id", Name: "fix", Result: &build.Result{
			Data: []byte("lp"), Spec: &patch.Spec{Sites: []patch.Site{{Kind: patch.SiteJump, Symbol: "f"}}, Functions: []patch.Function{{Symbol: "f"}}},
		}}
	}
	refused := build.ImageResult{Paths: []string{"p/lib/x.so"}, Name: "x", Err: build.Refusals{{Code: "new-tls", File: "x.o", Symbol: "v", Text: "is new"}}}
	none := build.ImageResult{Paths: []string{"p/bin/none"}, Name: "none", Err: build.ErrNothing}
	unproved := none
	unproved.Unproved = "p/bin/none: the linked images were not compared (no link), only objects were"
	leftOut := []build.LeftOutFile{{Path: "tests/t.c", Rule: "does not fit"}}
	for range 9 {
		leftOut = append(leftOut, build.LeftOutFile{Path: "doc/x", Rule: "documentation"})
	}
	tests := []struct {
		name   string
		images []build.ImageResult
		fixes  []build.RefusedFix
		status exitStatus
		out    string
		errs   []string
	}{
		{"built", []build.ImageResult{built("p/bin/a", "p/bin/b"), none}, nil, exitDone, "fix.lp for p/bin/a = p/bin/b: 1 function (equal in the build made here: build-id)\n", nil},
		{"some refused", []build.ImageResult{built("p/bin/a"), refused}, nil, exitSome, "for p/bin/a: 1 function", []string{
			"lpctl: p/lib/x.so:\n", "x.o: v: [new-tls] is new", "--fix NAME: a.patch b.patch", "left out of the fix, by these rules: documentation: 9 files (--json names them); does not fit: tests/t.c\n",
		}},
		{"built, and one not compared", []build.ImageResult{built("p/bin/a"), unproved}, nil, exitDone, "for p/bin/a: 1 function", []string{
			"lpctl: warning: p/bin/none: the linked images were not compared (no link), only objects were\n",
		}},
		{"refused", []build.ImageResult{refused, none}, nil, exitRefused, "", nil},
		{"a fix refused", []build.ImageResult{built("p/bin/a"), none}, []build.RefusedFix{{Name: "c.patch", Why: "it does not apply"}}, exitSome, "for p/bin/a: 1 function", []string{
			"lpctl: without c.patch: it does not apply\n",
		}},
		{"all fixes refused", []build.ImageResult{none}, []build.RefusedFix{{Name: "c.patch", Why: "it does not apply"}}, exitRefused, "", nil},
		{"nothing", []build.ImageResult{none, none}, nil, exitNothing, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			app := thisHost().newApp(&out, &errs)
			app.Commands = []*cli.Command{{Name: "w", Flags: buildDebCommand().Flags, Action: func(_ context.Context, c *cli.Command) error {
				return writePackage(c, &build.PackageResult{Fixes: []string{"a.patch", "b.patch"}, LeftOut: leftOut, Images: tt.images, Refused: tt.fixes})
			}}}
			err := app.Run(context.Background(), []string{"lpctl", "w", "-o", t.TempDir()})
			if got := statusOf(err); got != tt.status {
				t.Errorf("status %d (%v), want %d", got, err, tt.status)
			}
			if tt.status == exitNothing && (!errors.Is(err, build.ErrNothing) || !strings.Contains(err.Error(), "in 2 files")) {
				t.Errorf("error %v", err)
			}
			if !strings.Contains(out.String(), tt.out) || tt.out == "" && out.Len() > 0 {
				t.Errorf("says %q, want %q", out.String(), tt.out)
			}
			for _, want := range tt.errs {
				if !strings.Contains(errs.String(), want) {
					t.Errorf("%q is missing in\n%s", want, errs.String())
				}
			}
		})
	}
}
