// SPDX-License-Identifier: GPL-2.0

package archive

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

// TestDownload fetches what scripts fetch besides kernels, with lists that name what is gone, and with a later version installed.
func TestDownload(t *testing.T) {
	r := newRepo(t, deb{name: "tool", version: "3"})
	r.publish(deb{name: "tool", gone: true})
	r.update()
	r.publish(deb{name: "tool", version: "2"})
	out, err := r.run("bash", "-euc", ". ../../scripts/lib.sh; download "+r.dir+"/got tool")
	if err != nil || out != "" {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, err := filepath.Glob(r.dir + "/got/*.deb"); err != nil || len(got) != 1 || filepath.Base(got[0]) != "tool_2_amd64.deb" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestImageGone has a kernel in the cache that the archive has no more, when a system with it is to be made.
func TestImageGone(t *testing.T) {
	r := newRepo(t)
	r.publish(image(r57)...)
	r.update()
	out, err := r.run("../image/make-root", t.TempDir(), r56)
	const want = "make-root: apt offers no linux-image-" + r56 + " any more, which the cache has: scripts/fetch-kernels --update 6.1 gets the newest\n"
	if err == nil || out != want {
		t.Errorf("%v; it says\n%sand not\n%s", err, out, want)
	}
}

// TestSuiteGoesOn has backports that have gone on to a later kernel, in the archive that the machine's apt has.
func TestSuiteGoesOn(t *testing.T) {
	r := newRepo(t)
	release := func(suite string) string {
		return "Origin: Debian\nLabel: Debian\nSuite: " + suite + "\nCodename: " + suite + "\nArchitectures: amd64\nComponents: main\n" +
			"Date: Wed, 25 Nov 2026 12:00:00 UTC\nSHA256:\n"
	}
	list := func(names ...string) string {
		var b strings.Builder
		for _, name := range names {
			b.WriteString(deb{name: name}.control() + "Filename: ./x.deb\nSize: 1\nSHA256: 0\n\n")
		}
		return b.String()
	}
	filetest.Tree(t, r.dir, map[string]string{
		"mirror/dists/bookworm/Release":                            release("bookworm"),
		"mirror/dists/bookworm/main/binary-amd64/Packages":         list("a"),
		"mirror/dists/trixie-backports/Release":                    release("trixie-backports"),
		"mirror/dists/trixie-backports/main/binary-amd64/Packages": list("linux-image-7.5.2+deb13-cloud-amd64", "linux-headers-7.5.2+deb13-cloud-amd64"),
	})
	if err := os.WriteFile(r.dir+"/sources.list", []byte("deb [trusted=yes] copy:"+r.dir+"/mirror bookworm main\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.update()
	out, err := r.run(script, "7.3")
	// Apt warns of a made-up archive that has no checksums.
	const want = "\nfetch-kernels: trixie-backports has no kernel 7.3 any more, but 7.5: change test/kernels.yaml\n"
	if err == nil || !strings.HasSuffix(out, want) {
		t.Errorf("%v; it says\n%sand not\n%s", err, out, want)
	}
}
