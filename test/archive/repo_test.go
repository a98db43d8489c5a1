// SPDX-License-Identifier: GPL-2.0

// Package archive tests what the scripts do with an archive that is in the midst of a change: with made-up archives, which the
// machine's own apt reads.
package archive

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

// deb is a package of a made-up archive.
type deb struct {
	name    string
	version string // 1 if it is empty
	depends string
	files   map[string]string
	gone    bool // the lists name it, and the archive does not have it any more
}

// repo is a made-up archive, and an apt whose only source it is.
type repo struct {
	t   *testing.T
	dir string
	env []string
}

// newRepo makes an archive that has nothing yet. installed are packages that the machine has.
func newRepo(t *testing.T, installed ...deb) *repo {
	t.Helper()
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("note: archives are not tried: %v", err)
		}
	}
	r := &repo{t: t, dir: t.TempDir()}
	var status strings.Builder
	for _, d := range installed {
		fmt.Fprintf(&status, "%sStatus: install ok installed\n\n", d.control())
	}
	filetest.Tree(t, r.dir, map[string]string{
		"status": status.String(), "sources.list": "deb [trusted=yes] copy:" + r.dir + "/archive ./\n",
		"lists/partial/.x": "", "cache/archives/partial/.x": "",
		"apt.conf": strings.ReplaceAll(`Dir::Etc::SourceList "DIR/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State::Lists "DIR/lists";
Dir::State::Status "DIR/status";
Dir::Cache "DIR/cache";
APT::Architecture "amd64";
APT::Architectures "amd64";
APT::Sandbox::User "root";
`, "DIR", r.dir),
	})
	r.env = append(os.Environ(), "APT_CONFIG="+r.dir+"/apt.conf", "LPATCH_CACHE="+r.dir+"/build")
	r.publish()
	return r
}

func (d deb) control() string {
	version := d.version
	if version == "" {
		version = "1"
	}
	text := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: A <a@example.org>\nDescription: x\n", d.name, version)
	if d.depends != "" {
		text += "Depends: " + d.depends + "\n"
	}
	return text
}

// publish makes the archive have these packages and no others. Nobody's apt knows of it yet.
func (r *repo) publish(debs ...deb) {
	r.t.Helper()
	archive := filepath.Join(r.dir, "archive")
	if err := os.RemoveAll(archive); err != nil {
		r.t.Fatal(err)
	}
	var list strings.Builder
	for i, d := range debs {
		tree := filepath.Join(r.t.TempDir(), "tree")
		filetest.Tree(r.t, tree, map[string]string{"DEBIAN/control": d.control()})
		filetest.Tree(r.t, tree, d.files)
		name := fmt.Sprintf("%d.deb", i)
		filetest.Tree(r.t, archive, map[string]string{name: ""})
		file := filepath.Join(archive, name)
		if out, err := exec.Command("dpkg-deb", "-Znone", "-b", tree, file).CombinedOutput(); err != nil {
			r.t.Fatalf("%v\n%s", err, out)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			r.t.Fatal(err)
		}
		fmt.Fprintf(&list, "%sFilename: ./%s\nSize: %d\nSHA256: %x\n\n", d.control(), name, len(data), sha256.Sum256(data))
		if d.gone {
			if err := os.Remove(file); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	filetest.Tree(r.t, archive, map[string]string{"Packages": list.String()})
}

// update is the machine's own apt-get update.
func (r *repo) update() {
	r.t.Helper()
	if out, err := r.run("apt-get", "-qq", "update"); err != nil {
		r.t.Fatalf("%v\n%s", err, out)
	}
}

// run runs a command with that apt, and returns what it says.
func (r *repo) run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = r.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}
