// SPDX-License-Identifier: GPL-2.0

package codes

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lpatch/pkg/codes/codelist"
)

// TestUsed: each code is a reason somewhere, and no reason is a string of which this package knows nothing.
func TestUsed(t *testing.T) {
	blocks, err := codelist.Read("codes.go")
	if err != nil {
		t.Fatal(err)
	}
	unused := map[string]bool{}
	for _, c := range codelist.Constants(blocks...) {
		unused[c.Name] = true
	}
	if len(unused) < 100 {
		t.Errorf("only %d codes", len(unused))
	}
	use := regexp.MustCompile(`\bcodes\.(\w+)`)
	literal := regexp.MustCompile(`(?:refuse\([^"\n]*|Code: +)"[a-z]+(?:-[a-z]+)*",`)
	for _, dir := range []string{"diff", "match", "link", "build", "mitigate"} {
		files, err := filepath.Glob("../" + dir + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range use.FindAllStringSubmatch(string(text), -1) {
				delete(unused, m[1])
			}
			if m := literal.Find(text); m != nil {
				t.Errorf("%s has %s in place of a constant", name, m)
			}
		}
	}
	for name := range unused {
		t.Errorf("%s is no reason anywhere", name)
	}
}
