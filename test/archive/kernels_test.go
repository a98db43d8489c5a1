// SPDX-License-Identifier: GPL-2.0

package archive

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

// image and headers are the packages of one release of a kernel.
func image(release string) []deb {
	return []deb{{name: "linux-image-" + release, files: map[string]string{
		"boot/vmlinuz-" + release: "image of " + release, "boot/config-" + release: "",
		"lib/modules/" + release + "/kernel/fs/loop.ko": "loop of " + release,
	}}}
}

func headers(release string) []deb {
	common := "linux-headers-" + strings.TrimSuffix(strings.TrimSuffix(release, "amd64"), "cloud-") + "common"
	return []deb{
		{
			name: "linux-headers-" + release, depends: "linux-x, " + common + " (= 1), linux-kbuild-6.1 (>= 1), gcc",
			files: map[string]string{"usr/src/linux-headers-" + release + "/Makefile": "include /usr/src/" + common + "/Makefile\n"},
		},
		{name: common, files: map[string]string{"usr/src/" + common + "/Makefile": ""}},
	}
}

var kbuild = []deb{{name: "linux-kbuild-6.1"}}

// split is an image of a kernel whose files are in packages of their own.
func split(release string) []deb {
	whole := image(release)[0]
	modules := deb{name: "linux-modules-" + release, files: whole.files}
	whole.files = nil
	whole.depends = "kmod, linux-modules-" + release + " (= 1)"
	return []deb{whole, modules}
}

const (
	r56 = "6.1.0-56-amd64"
	r57 = "6.1.0-57-amd64"
	r58 = "6.1.0-58-amd64"
)

func all(lists ...[]deb) []deb {
	var out []deb
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// without leaves a package out, or has it in another version.
func without(list []deb, name, version string) []deb {
	var out []deb
	for _, d := range list {
		if d.name == name {
			if version == "" {
				continue
			}
			d.version = version
		}
		out = append(out, d)
	}
	return out
}

const script = "../../scripts/fetch-kernels"

// fetch has scripts/fetch-kernels fetch kernel 6.1, and wants this release and these lines of what it says.
func fetch(t *testing.T, r *repo, release, says string) {
	t.Helper()
	out, err := r.run(script, "6.1")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out != says {
		t.Errorf("it says\n%sand not\n%s", out, says)
	}
	dir := r.dir + "/build/kernels/6.1/"
	for name, want := range map[string]string{
		"release": release + "\n", "vmlinuz": "image of " + release, "modules/loop.ko": "loop of " + release,
		"headers/Makefile": "include $(dir $(lastword $(MAKEFILE_LIST)))../linux-headers-" + strings.TrimSuffix(release, "amd64") + "common/Makefile\n",
	} {
		if got, err := os.ReadFile(dir + name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, not %q", name, got, err, want)
		}
	}
}

// TestHalfDays tries the days on which the archive has a part of a kernel only.
func TestHalfDays(t *testing.T) {
	for name, c := range map[string]struct {
		offers    []deb
		installed []deb
		half      string // what is said of the newer ones
		release   string
	}{
		"all is there": {offers: all(kbuild, image(r56), headers(r56), image(r57), headers(r57)), release: r57},
		"headers first": {
			offers: all(kbuild, image(r56), headers(r56), headers(r57)), release: r56, half: r57 + " without linux-image-" + r57,
		},
		"image first": {
			offers: all(kbuild, image(r56), headers(r56), image(r57)), release: r56, half: r57 + " without linux-headers-" + r57,
		},
		"two are half there": {
			offers: all(kbuild, image(r56), headers(r56), image(r57), headers(r58)), release: r56,
			half: r58 + " without linux-image-" + r58 + ", " + r57 + " without linux-headers-" + r57,
		},
		"a newer one is whole": {offers: all(kbuild, image(r58), headers(r58), image(r57), headers(r56)), release: r58},
		"common headers are missing": {
			offers:  all(kbuild, image(r56), headers(r56), image(r57), without(headers(r57), "linux-headers-6.1.0-57-common", "")),
			release: r56, half: r57 + " without linux-headers-6.1.0-57-common=1",
		},
		"common headers are of another version": {
			offers:  all(kbuild, image(r56), headers(r56), image(r57), without(headers(r57), "linux-headers-6.1.0-57-common", "2")),
			release: r56, half: r57 + " without linux-headers-6.1.0-57-common=1",
		},
		"a split image": {offers: all(kbuild, split(r56), headers(r56)), release: r56},
		"a part of a split image is missing": {
			offers:  all(kbuild, split(r56), headers(r56), without(split(r57), "linux-modules-"+r57, ""), headers(r57)),
			release: r56, half: r57 + " without linux-modules-" + r57 + "=1",
		},
		"the machine alone has one": {
			offers: all(kbuild, image(r56), headers(r56)), installed: all(image(r57), headers(r57)), release: r56,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepo(t, c.installed...)
			r.publish(c.offers...)
			r.update()
			says := "fetching kernel 6.1\n"
			if c.half != "" {
				says += "kernel 6.1: apt offers " + c.half + "; taking " + c.release + "\n"
			}
			fetch(t, r, c.release, says+"fetched kernel 6.1: "+c.release+"\n")
		})
	}
}

// TestNoKernel has an archive without any, and what is in the cache stays.
func TestNoKernel(t *testing.T) {
	for name, c := range map[string]struct {
		offers []deb
		says   string
	}{
		"none is whole": {
			all(kbuild, image(r56), headers(r57)), "apt offers no kernel 6.1 that is whole (" + r57 + " without linux-image-" + r57 + ", " +
				r56 + " without linux-headers-" + r56 + "): try again in some days",
		},
		"none at all": {kbuild, "apt offers no package for kernel 6.1: is bookworm-security among its sources?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepo(t)
			r.publish(c.offers...)
			r.update()
			filetest.Tree(t, r.dir, map[string]string{"build/kernels/6.1/release": "6.1.0-50-amd64\n"})
			out, err := r.run(script, "--update", "6.1")
			if want := "fetching kernel 6.1\nfetch-kernels: " + c.says + "\n"; err == nil || out != want {
				t.Errorf("%v; it says\n%sand not\n%s", err, out, want)
			}
			if _, err := os.Stat(r.dir + "/build/kernels/6.1/release"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOldLists has a machine whose package lists name what the archive has no more.
func TestOldLists(t *testing.T) {
	r := newRepo(t)
	old := all(kbuild, image(r56), headers(r56))
	for i := range old {
		old[i].gone = true
	}
	r.publish(old...)
	r.update()
	r.publish(all(kbuild, image(r57), headers(r57))...)
	fetch(t, r, r57, "fetching kernel 6.1\nfetched kernel 6.1: "+r57+"\n")
}

// TestNoLists has a machine that has got no package lists yet.
func TestNoLists(t *testing.T) {
	r := newRepo(t)
	r.publish(all(kbuild, image(r57), headers(r57))...)
	fetch(t, r, r57, "fetching kernel 6.1\nfetched kernel 6.1: "+r57+"\n")
	if lists, err := filepath.Glob(r.dir + "/lists/*Packages*"); err != nil || len(lists) > 0 {
		t.Errorf("the machine's apt has now the lists %q (%v)", lists, err)
	}
}

// TestAddModules adds what a cache of earlier lacks, on a day on which a newer kernel is half there, and on one on which the
// cache's own is gone.
func TestAddModules(t *testing.T) {
	r := newRepo(t)
	r.publish(all(kbuild, image(r56), headers(r56))...)
	r.update()
	fetch(t, r, r56, "fetching kernel 6.1\nfetched kernel 6.1: "+r56+"\n")
	list := r.dir + "/build/kernels/6.1/modules/list"
	if err := os.WriteFile(list, []byte("brd\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.publish(all(kbuild, image(r56), headers(r56), headers(r57))...)
	r.update()
	fetch(t, r, r56, "fetching modules of kernel 6.1\n")
	fetch(t, r, r56, "")

	if err := os.WriteFile(list, []byte("brd\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.publish(all(kbuild, image(r57), headers(r57))...)
	fetch(t, r, r57, "fetching kernel 6.1\nfetched kernel 6.1: "+r57+"\n")
}
