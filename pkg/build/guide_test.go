// SPDX-License-Identifier: GPL-2.0

package build

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestGuide: the guide for authors names each reason code.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("../../Documentation/patch-author-guide.md")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile(`(?:refuse\([^"\n]*|Code: |return )"([a-z]+(?:-[a-z]+)+)",`)
	found := 0
	for _, dir := range []string{"../diff", "../match", "../link", "."} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range code.FindAllStringSubmatch(string(text), -1) {
				found++
				if !strings.Contains(string(guide), "`"+m[1]+"`") {
					t.Errorf("%s refuses with %s, of which the guide says nothing", name, m[1])
				}
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d reason codes found in the sources", found)
	}
}
