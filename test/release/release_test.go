// SPDX-License-Identifier: GPL-2.0

// Package release tests scripts/release in a small repository, where the tests and the packages are made by stand-ins.
package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

const (
	changelog = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-11-30\n\n### Added\n\n- all of it\n\n## [1.2.2] - 2026-11-01\n\n- less\n"
	packages  = `#!/bin/sh
mkdir -p "$2"
for file in lpatch_1.2.3-1_amd64.deb lpatch-dkms_1.2.3-1_all.deb lpatch-1.2.3-1.x86_64.rpm lpatch-dkms-1.2.3-1.noarch.rpm; do
	echo "$file" >"$2/$file"
done
`
)

// repo is a repository with what a release of 1.2.3 needs.
type repo struct {
	t   *testing.T
	dir string
}

func newRepo(t *testing.T) repo {
	t.Helper()
	r := repo{t, t.TempDir()}
	filetest.Tree(t, r.dir, map[string]string{
		"VERSION": "1.2.3\n", "CHANGELOG.md": changelog, ".gitignore": "/build/\n",
		"kmod/version.h": "#define LPATCH_VERSION \"1.2.3\"\n", "pkg/version/version.go": "const Number = \"1.2.3\"\n",
	})
	if err := os.Mkdir(r.dir+"/scripts", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"release", "lib.sh"} {
		filetest.Copy(t, "../../scripts/"+name, filepath.Join(r.dir, "scripts", name))
	}
	r.stub("scripts/test", "#!/bin/sh\necho tested\n")
	r.stub("scripts/package", packages)
	r.stub("build/lpctl", "#!/bin/sh\necho lpctl 1.2.3\n")
	r.git("init", "-q")
	r.git("config", "user.name", "Tester")
	r.git("config", "user.email", "tester@example.org")
	r.git("config", "user.signingKey", "")
	r.commit()
	return r
}

func (r repo) stub(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

func (r repo) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", r.dir}, args...)...)
	cmd.Env = environment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r repo) commit() {
	r.t.Helper()
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", "change")
}

// environment is without what the machine's user has told git.
func environment() []string {
	return append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
}

// release runs the script, and returns what it prints and whether it succeeded.
func (r repo) release(args ...string) (string, bool) {
	cmd := exec.Command(filepath.Join(r.dir, "scripts/release"), args...)
	cmd.Env = environment()
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err == nil
}

// TestRefusals: whatever is missing is said, and nothing is tagged.
func TestRefusals(t *testing.T) {
	const noNotes = "release: not ready:\nCHANGELOG.md has no section \"## [1.2.3] - YYYY-MM-DD\" with text in it"
	for _, c := range []struct{ name, file, text, want string }{
		{"version", "VERSION", "1.2\n", "release: not ready:\nVERSION says \"1.2\"; a version is three numbers, X.Y.Z\n" +
			"kmod/version.h and pkg/version/version.go are of another version: run scripts/generate, and commit them\n" +
			"CHANGELOG.md has no section \"## [1.2] - YYYY-MM-DD\" with text in it"},
		{"module", "kmod/version.h", "#define LPATCH_VERSION \"1.2.2\"\n",
			"release: not ready:\nkmod/version.h and pkg/version/version.go are of another version: run scripts/generate, and commit them"},
		{"no notes", "CHANGELOG.md", strings.ReplaceAll(changelog, "1.2.3", "1.2.4"), noNotes},
		{"no date", "CHANGELOG.md", strings.ReplaceAll(changelog, " - 2026-11-30", ""), noNotes},
		{"dots", "CHANGELOG.md", strings.ReplaceAll(changelog, "1.2.3", "1x2x3"), noNotes},
		{"unreleased notes", "CHANGELOG.md", strings.Replace(changelog, "[Unreleased]\n", "[Unreleased]\n\n- more\n", 1),
			"release: not ready:\nCHANGELOG.md has text under \"## [Unreleased]\": move it to the section of 1.2.3"},
		{"packages", "scripts/package", strings.Replace(packages, "lpatch-1.2.3", "lpatch-1.2.2", 1),
			"tested\nrelease: scripts/package has not made lpatch-1.2.3-1.x86_64.rpm"},
		{"tests fail", "scripts/test", "#!/bin/sh\necho the tests failed; exit 1\n", "the tests failed"},
		{"tests change files", "scripts/test", "#!/bin/sh\necho changed >new\n",
			"release: the tests or the build changed files of the tree (git status): not tagged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRepo(t)
			r.stub(c.file, c.text)
			r.commit()
			if out, ok := r.release("--tag"); ok || out != c.want {
				t.Errorf("says %q, %v, and not %q", out, ok, c.want)
			}
			if tags := r.git("tag"); tags != "" {
				t.Errorf("tagged %s", tags)
			}
		})
	}
}

func TestRelease(t *testing.T) {
	r := newRepo(t)
	r.stub("new", "")
	if out, ok := r.release(); ok || out != "release: not ready:\nthe working tree has changes that are not committed: commit or remove them (git status)" {
		t.Errorf("a tree with changes: %q, %v", out, ok)
	}
	r.commit()
	if out, ok := r.release("--push"); ok || out != "release: usage: release [--tag]" {
		t.Errorf("--push: %q, %v", out, ok)
	}
	const ready = "all is there for a release of 1.2.3; scripts/release --tag tests, builds and tags it"
	if out, ok := r.release(); !ok || out != ready || r.git("tag") != "" {
		t.Errorf("a dry run: %q, %v, tags %q", out, ok, r.git("tag"))
	}
	want := "tested\ntagged v1.2.3; the packages are in " + r.dir + "/build/release. Publish both: git push origin v1.2.3"
	if out, ok := r.release("--tag"); !ok || out != want {
		t.Errorf("--tag: %q, %v", out, ok)
	}
	if got := r.git("cat-file", "-t", "v1.2.3"); got != "tag" {
		t.Errorf("v1.2.3 is a %s", got)
	}
	sums, err := os.ReadFile(r.dir + "/build/release/SHA256SUMS")
	if err != nil || strings.Count(string(sums), "\n") != 4 {
		t.Errorf("checksums: %v\n%s", err, sums)
	}
	const again = "release: not ready:\nthe tag v1.2.3 exists: write the next version to VERSION, and run scripts/generate"
	if out, ok := r.release(); ok || out != again {
		t.Errorf("again: %q, %v", out, ok)
	}
}
