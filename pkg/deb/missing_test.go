// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"path/filepath"
	"strings"
	"testing"

	"pault.ag/go/debian/control"
)

// TestNotIn checks which packages with programs for this machine are missing.
func TestNotIn(t *testing.T) {
	dir := tree(t, map[string]string{
		"src/debian/changelog": "tiny (1.0) unstable; urgency=low\n",
		"src/debian/control": "Source: tiny\n\nPackage: tiny-bin\nArchitecture: any\n\nPackage: tiny-doc\nArchitecture: all\n\nPackage: tiny-extra\nArchitecture: i386 amd64\n\n" +
			"Package: tiny-udeb\nPackage-Type: udeb\nArchitecture: any\n\nPackage: tiny-hurd\nArchitecture: hurd-any\n\nPackage: tiny-stage\nArchitecture: any\nBuild-Profiles: <!stage1>\n",
		"stock/tiny-bin/x": "",
	})
	s, err := OpenSource(filepath.Join(dir, "src"), "tiny")
	if err != nil {
		t.Fatal(err)
	}
	const want = "tiny-extra tiny-stage"
	if got := strings.Join(s.NotIn(filepath.Join(dir, "stock")), " "); got != want {
		t.Errorf("of a tree: %s, not %s", got, want)
	}
	described := &Source{paragraph: control.Paragraph{Values: map[string]string{"Package-List": "\n tiny-bin deb misc optional arch=any\n tiny-doc deb doc optional arch=all\n tiny-extra deb misc optional arch=amd64,i386\n" +
		" tiny-udeb udeb x optional arch=any\n tiny-hurd deb x optional arch=hurd-any\n tiny-stage deb x optional arch=linux-any profile=!stage1\n tiny-bootstrap deb x optional arch=any profile=stage1\n"}}}
	if got := strings.Join(described.NotIn(filepath.Join(dir, "stock")), " "); got != want {
		t.Errorf("of a description: %s, not %s", got, want)
	}
}
