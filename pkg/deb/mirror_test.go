// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/testutil/filetest"
)

// targets returns the output of apt-get indextargets for sources, each given by FILE, ORIGIN, LABEL and URI.
func targets(list ...[4]string) string {
	var b strings.Builder
	for _, s := range list {
		b.WriteString("MetaKey: main/binary-amd64/Packages\nURI: x\nFilename: y\nLabel: " + s[2] + "\nOrigin: " + s[1] + "\nTrusted: yes\n" +
			"Created-By: Packages\nFallback-Of: \nRepo-URI: " + s[3] + "/\nSourcesentry: " + s[0] + ":1\nTarget-Of: deb\n\n")
	}
	return b.String()
}

const key = `-----BEGIN PGP PUBLIC KEY BLOCK-----

mQINBGRvSwUBEAC
=abcd
-----END PGP PUBLIC KEY BLOCK-----
`

// files contains the sources of artificial machines.
var files = map[string]string{
	"/a.list": `# the first
deb [arch=amd64,i386 signed-by=/k/a.gpg check-valid-until=no] http://a/debian bookworm main # and so on
deb-src [signed-by=/k/other.gpg] http://a/debian bookworm main
deb   http://a/debian-security/ bookworm-security main
deb cdrom:[Debian GNU/Linux 12.0.0 _Bookworm_ - Official amd64 NETINST]/ bookworm main
`,
	"/docker.list": "deb [arch=amd64 signed-by=/k/docker.asc] https://docker/linux/debian bookworm stable\n",
	"/b.sources": `# a comment
Types: deb deb-src
URIs: https://x/debian
 http://b/debian
# another
Suites: bookworm bookworm-updates
Components: main
Signed-By: /k/b.gpg /k/c.gpg
Trusted: yes
   
Types: deb
URIs: http://b/sec
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBGRvSwUBEAC
 =abcd
 -----END PGP PUBLIC KEY BLOCK-----
`,
	"/cloud.list":                  "deb mirror+file:/etc/apt/mirrors/debian.list bookworm main\n",
	"/etc/apt/mirrors/debian.list": "https://deb.example/debian/ priority:1\nhttp://second/debian\n",
}

func readFile(name string) ([]byte, error) {
	if text, ok := files[name]; ok {
		return []byte(text), nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func TestMirrors(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		targets string
		want    Mirrors
	}{
		"lines": {
			targets([4]string{"/docker.list", "Docker", "Docker CE", "https://docker/linux/debian"},
				[4]string{"/a.list", "Debian", "Debian", "cdrom:[Debian GNU/Linux 12.0.0 _Bookworm_ - Official amd64 NETINST]"},
				[4]string{"/a.list", "Debian", "Debian", "http://a/debian"},
				[4]string{"/a.list", "Debian", "Debian-Security", "http://a/debian-security"},
				[4]string{"/b.sources", "Debian", "Debian", "http://b/debian"}),
			Mirrors{&Mirror{"http://a/debian", []string{"signed-by=/k/a.gpg", "check-valid-until=no"}}, &Mirror{URI: "http://a/debian-security"}},
		},
		"paragraphs": {
			targets([4]string{"/b.sources", "Debian", "Debian", "http://b/debian"}, [4]string{"/b.sources", "Debian", "Debian-Security", "http://b/sec"}),
			Mirrors{
				&Mirror{"http://b/debian", []string{"signed-by=/k/b.gpg,/k/c.gpg", "trusted=yes"}},
				&Mirror{"http://b/sec", []string{"signed-by=" + dir + "/mirror-key.asc"}},
			},
		},
		"a list of mirrors, and no security": {
			targets([4]string{"/cloud.list", "Debian", "Debian", "mirror+file:/etc/apt/mirrors/debian.list"}),
			Mirrors{Main: &Mirror{URI: "https://deb.example/debian"}},
		},
	} {
		got, err := findMirrors([]byte(c.targets), readFile, dir)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got, err := os.ReadFile(dir + "/mirror-key.asc"); err != nil || string(got) != key {
		t.Errorf("key %q, %v", got, err)
	}
}

func TestNoMirror(t *testing.T) {
	for has, list := range map[string]string{
		"no source at all": "",
		"only http://u/ubuntu, cdrom:[Debian]": targets([4]string{"/u.list", "Ubuntu", "Ubuntu", "http://u/ubuntu"},
			[4]string{"/u.list", "Ubuntu", "Ubuntu", "http://u/ubuntu"}, [4]string{"/a.list", "Debian", "Debian", "cdrom:[Debian]"}),
	} {
		_, err := findMirrors([]byte(list), readFile, t.TempDir())
		want := "apt of this machine has no source of Debian's archive (it has " + has +
			"); name one with --mirror or in LPATCH_MIRROR, as http://deb.debian.org/debian"
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestAnotherMirror(t *testing.T) {
	if _, err := os.Stat(keyring); err != nil {
		t.Skipf("note: not tried: %v", err)
	}
	m, err := FindMirrors(context.Background(), t.TempDir(), "http://c/debian/")
	if err != nil {
		t.Fatal(err)
	}
	const by = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
	want := "deb " + by + "http://c/debian bookworm main\ndeb " + by + "http://c/debian bookworm-updates main\n" +
		"deb " + by + "http://c/debian-security bookworm-security main\ndeb-src " + by + "http://c/debian bookworm main\n" +
		"deb-src " + by + "http://c/debian bookworm-updates main\ndeb-src " + by + "http://c/debian-security bookworm-security main\n"
	if diff := cmp.Diff(want, sourcesList(m, "bookworm")); diff != "" {
		t.Error(diff)
	}
	m.Security = nil
	if diff := cmp.Diff("deb "+by+"http://c/debian x main\n", m.List([]string{"deb"}, "x", "x-security")); diff != "" {
		t.Error(diff)
	}
}

// TestMachineMirrors lets apt report its sources on machines with and without package lists.
func TestMachineMirrors(t *testing.T) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skipf("note: not tried: %v", err)
	}
	for name, sources := range map[string]string{
		"apt.list": "deb [trusted=yes] copy:DIR/other ./\ndeb [trusted=yes] copy:DIR/debian bookworm main\ndeb [trusted=yes] copy:DIR/security bookworm-security main\n",
		"apt.sources": "Types: deb\nURIs: copy:DIR/other\nSuites: ./\nTrusted: yes\n\nTypes: deb\nURIs: copy:DIR/debian\nSuites: bookworm\n" +
			"Components: main\nTrusted: yes\n\nTypes: deb\nEnabled: no\nURIs: copy:DIR/nowhere\nSuites: bookworm\nComponents: main\n\n" +
			"Types: deb\nURIs: copy:DIR/security\nSuites: bookworm-security\nComponents: main\nTrusted: yes\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := machine(t, name, sources)
			want := Mirrors{
				&Mirror{"copy:" + dir + "/debian", []string{"trusted=yes"}}, &Mirror{"copy:" + dir + "/security", []string{"trusted=yes"}},
			}
			for _, state := range []string{"no lists", "lists"} {
				got, err := FindMirrors(t.Context(), dir+"/ours", "")
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: %s", state, diff)
				}
				if lists, err := filepath.Glob(dir + "/lists/*Packages*"); err != nil || (len(lists) > 0) != (state == "lists") {
					t.Errorf("%s: the machine has %q (%v)", state, lists, err)
				}
				if out, err := exec.Command("apt-get", "-qq", "update").CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
			}
		})
	}
}

// machine makes apt behave like that of a machine with these sources, and creates archives for it.
func machine(t *testing.T, name, sources string) string {
	t.Helper()
	dir := t.TempDir()
	package1 := "Package: a\nVersion: 1\nArchitecture: amd64\nFilename: ./a.deb\nSize: 1\nSHA256: 0\nDescription: x\n"
	release := func(label, suite string) string {
		return "Origin: Debian\nLabel: " + label + "\nSuite: stable\nCodename: " + suite + "\nArchitectures: amd64\nComponents: main\n" +
			"Date: Wed, 25 Nov 2026 12:00:00 UTC\nSHA256:\n"
	}
	filetest.Tree(t, dir, map[string]string{
		"parts/" + name: strings.ReplaceAll(sources, "DIR", dir), "lists/partial/.x": "", "status": "",
		"apt.conf": `Dir::Etc::SourceList "/dev/null"; Dir::Etc::SourceParts "` + dir + `/parts"; Dir::State::Lists "` + dir + `/lists";
Dir::State::Status "` + dir + `/status"; Dir::Cache "` + dir + `/cache"; APT::Architecture "amd64"; APT::Architectures "amd64";
APT::Sandbox::User "root";
`,
		"other/Packages": package1, "cache/archives/partial/.x": "",
		"debian/dists/bookworm/Release":                               release("Debian", "bookworm"),
		"debian/dists/bookworm/main/binary-amd64/Packages":            package1,
		"security/dists/bookworm-security/Release":                    release("Debian-Security", "bookworm-security"),
		"security/dists/bookworm-security/main/binary-amd64/Packages": package1,
	})
	t.Setenv("APT_CONFIG", dir+"/apt.conf")
	return dir
}

func TestSettings(t *testing.T) {
	const dump = `APT::Architecture "amd64";
Acquire::AllowInsecureRepositories "0";
Acquire::Check-Valid-Until "false";
Acquire::http::Proxy "http://proxy:3142";
Acquire::http::Proxy::deb.example "DIRECT";
Acquire::http::Proxy-Auto-Detect "/usr/bin/auto-apt-proxy";
Acquire::HTTPS::CAInfo "/etc/ca.pem";
Acquire::Retries "3";
Acquire::IndexTargets::deb::Packages::MetaKey "x";
DPkg::Post-Invoke:: "rm";
`
	const want = `Acquire::Check-Valid-Until "false";
Acquire::http::Proxy "http://proxy:3142";
Acquire::http::Proxy::deb.example "DIRECT";
Acquire::HTTPS::CAInfo "/etc/ca.pem";
Acquire::Retries "3";
`
	if diff := cmp.Diff(want, settings(dump)); diff != "" {
		t.Error(diff)
	}
	for said, want := range map[string]string{
		"Using proxy 'http://p:1' for URL 'http://debian.example/'\n": "Acquire::http::Proxy \"http://p:1\";\n",
		"Using proxy '' for URL 'http://debian.example/'\n":           "",
		"": "",
	} {
		if got := detected(said); got != want {
			t.Errorf("%q: %q", said, got)
		}
	}
}

// TestCopyFiles copies files that apt of this machine uses to the paths where apt of another system looks for them, with
// their modes, and secrets separately.
func TestCopyFiles(t *testing.T) {
	here, root := t.TempDir(), t.TempDir()
	filetest.Tree(t, here, map[string]string{"key.gpg": "key", "ca.pem": "ca", "secret.pem": "secret"})
	if err := os.Chmod(here+"/secret.pem", 0o600); err != nil {
		t.Fatal(err)
	}
	settings := `Acquire::https::CAInfo "` + here + `/ca.pem";` + "\n" + `Acquire::https::mirror::SslKey "` + here + `/secret.pem";` + "\n"
	keys := []string{here + "/key.gpg", here + "/nowhere"}
	for _, c := range []struct {
		wanted func(fs.FileMode) bool
		want   []string
	}{{isOpen, []string{"key.gpg", "ca.pem"}}, {isSecret, []string{"secret.pem"}}} {
		got, err := copyFiles(root, keys, settings, c.wanted)
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], here+"/")
		}
		if got = slices.DeleteFunc(got, filepath.IsAbs); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("copied %q, %v", got, err)
		}
	}
	list, changed := moved("deb [signed-by="+here+"/key.gpg,/other.gpg trusted=no] http://x y main\n", settings, []string{here + "/key.gpg", here + "/secret.pem"}, "/root")
	if list != "deb [signed-by=/root"+here+"/key.gpg,/other.gpg trusted=no] http://x y main\n" || changed != strings.Replace(settings, here+"/secret", "/root"+here+"/secret", 1) {
		t.Errorf("%s%s", list, changed)
	}
	for name, want := range map[string]string{"key.gpg": "key", "ca.pem": "ca", "secret.pem": "secret"} {
		if got, err := os.ReadFile(root + here + "/" + name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if st, err := os.Stat(root + here + "/secret.pem"); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
}
