// SPDX-License-Identifier: GPL-2.0

package closedworld

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/lpelf"
	"lpatch/pkg/testutil/filetest"
)

// imageCase is a program in two versions, with the content of the patch between them.
type imageCase struct {
	name     string
	files    map[string]string
	newFiles map[string]string // changed files; "" for a removed one
	build    string            // creates T; "" for buildT
	newBuild string            // "" for the same
	carried  string            // names of symbols
	want     []string          // expected findings as returned by findingText; prefixes
}

const (
	flags  = "-O2 -ffunction-sections -fdata-sections"
	keep   = "-Wl,--emit-relocs -Wl,-Map=T.map"
	buildT = "for f in *.c; do gcc " + flags + " -c $f; done; gcc *.o " + keep + " -o T"
)

func findingText(f Finding) string {
	return f.Rule + " " + f.Section + " " + f.Symbol + " " + f.Object + ": " + f.Text
}

// makeImage builds one version in a separate directory.
func makeImage(t *testing.T, files, changes map[string]string, build string) *Image {
	t.Helper()
	dir := t.TempDir()
	for _, set := range []map[string]string{files, changes} {
		for name, text := range set {
			path := filepath.Join(dir, name)
			if text == "" {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if build == "" {
		build = buildT
	}
	cmd := exec.Command("sh", "-ec", build)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := lpelf.Open(filepath.Join(dir, "T"))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(filepath.Join(dir, "T.map"))
	im, err := Read(f, string(text))
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func (c *imageCase) compare(t *testing.T) *Report {
	t.Helper()
	newBuild := c.newBuild
	if newBuild == "" {
		newBuild = c.build
	}
	carried := strings.Fields(c.carried)
	new := makeImage(t, c.files, c.newFiles, newBuild)
	r := Compare(makeImage(t, c.files, nil, c.build), new, Carried{Has: func(name, _ string) bool { return slices.Contains(carried, name) }})
	var all, accounted uint64
	for _, s := range new.sections {
		all += s.Size
	}
	for _, n := range r.Bytes {
		accounted += n
	}
	if all != accounted {
		t.Errorf("%d bytes of %d are accounted for: %v", accounted, all, r.Bytes)
	}
	return r
}

func TestCompare(t *testing.T) {
	filetest.Slow(t)
	for _, c := range imageCases {
		t.Run(c.name, func(t *testing.T) {
			r := c.compare(t)
			var got []string
			for _, f := range r.Findings {
				got = append(got, findingText(f))
			}
			ok := len(got) == len(c.want)
			for i := range got {
				ok = ok && strings.HasPrefix(got[i], c.want[i])
			}
			if !ok {
				t.Errorf("found\n\t%s\nwanted\n\t%s", strings.Join(got, "\n\t"), strings.Join(c.want, "\n\t"))
			}
		})
	}
}
