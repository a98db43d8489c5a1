// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

// history returns a changelog, newest entry first, from versions and their items.
func history(entries ...string) string {
	var out strings.Builder
	for _, e := range entries {
		v, items, _ := strings.Cut(e, " ")
		fmt.Fprintf(&out, "tool (%s) stable-security; urgency=high\n\n%s\n\n -- A B <a@example.org>  Mon, 30 Nov 2026 12:00:00 +0000\n\n", v, items)
	}
	return out.String()
}

// TestBrings checks which changelogs are covered by fixes of CVE-2026-0001 and CVE-2026-0002, and which are not or are
// unclear.
func TestBrings(t *testing.T) {
	const base = "1-1   * Initial release."
	for _, c := range []struct{ name, log, want string }{
		{"one", history("1-1+deb12u1   * Fix an overflow (CVE-2026-0001).", base), ""},
		{"two versions", history("1-1+deb12u2   * CVE-2026-0002: a race.\n    more of it", "1-1+deb12u1   * Non-maintainer upload by the Security Team.\n  * CVE-2026-0001", base), ""},
		{"people and a list", history("1-1+deb12u1   [ A B ]\n  * Security fixes:\n    - CVE-2026-0001: x\n      - in x.c\n    - CVE-2026-0002: y\n\n  [ C D ]\n  * Team upload.", base), ""},
		{"one more", history("1-1+deb12u1   * CVE-2026-0001, CVE-2026-0003", base), "1-1+deb12u1 has more: CVE-2026-0003"},
		{"one more below", history("1-1+deb12u1   * CVE-2026-0001\n    - and CVE-2026-0003", base), "1-1+deb12u1 has more: CVE-2026-0003"},
		{"one more before the list", history("1-1+deb12u1   For CVE-2026-0003.\n  * CVE-2026-0001", base), "1-1+deb12u1 has more: CVE-2026-0003"},
		{"one more in the version between", history("1-1+deb12u2   * CVE-2026-0001", "1-1+deb12u1   * CVE-2026-0003", base), "1-1+deb12u1 has more: CVE-2026-0003"},
		{"another fix", history("1-1+deb12u1   * CVE-2026-0001\n  * Fix a crash at start.", base), "1-1+deb12u1 has more: Fix a crash at start."},
		{"another fix in a list", history("1-1+deb12u1   * Fixes:\n    - CVE-2026-0001\n    - a crash at start", base), "1-1+deb12u1 has more: a crash at start"},
		{"no CVE", history("1-1+deb12u1   * Non-maintainer upload by the Security Team.", base), "1-1+deb12u1 has more: what it is for is not said by CVE ids"},
		{"a new upstream version", history("1-1+deb12u1   * New upstream version (CVE-2026-0001).", base), "1-1+deb12u1 has more: New upstream version (CVE-2026-0001)."},
		{"an upstream version with a list", history("1-1+deb12u1   * Import 1.1.1t from upstream: CVE-2026-0001\n    - heap overflow", base), "1-1+deb12u1 has more: Import 1.1.1t from upstream: CVE-2026-0001"},
		{"a patch of upstream's", history("1-1+deb12u1   * Backport an upstream patch for CVE-2026-0001", base), ""},
		{"an update", history("1-1+deb12u1   * Update to 1.1.1t: CVE-2026-0001", base), "1-1+deb12u1 has more: Update to 1.1.1t: CVE-2026-0001"},
		{"cut off", history("1-1+deb12u1   * CVE-2026-0001"), "its changelog does not go back to 1-1"},
		{"without the earlier one", history("1-1+deb12u1   * CVE-2026-0001", "0-9   * x"), "its changelog does not have 1-1"},
		{"of another", history("1-1+deb12u9   * CVE-2026-0001", base), "its changelog is of 1-1+deb12u9"},
		{"empty", "", "its changelog does not go back to 1-1"},
		{"garbage", "x\ny\n", "its changelog cannot be read: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			top := "1-1+deb12u1"
			if strings.Contains(c.log, "+deb12u2") {
				top = "1-1+deb12u2"
			}
			err := brings([]byte(c.log), parse(t, "1-1"), parse(t, top), []string{"CVE-2026-0001", "CVE-2026-0002"})
			if got := fmt.Sprint(err); c.want == "" && err != nil || c.want != "" && !strings.HasPrefix(got, c.want) {
				t.Errorf("%v\nwant %s", err, c.want)
			}
		})
	}
}

// TestOwner queries dpkg for packages of a system, including paths from before the /usr merge.
func TestOwner(t *testing.T) {
	if _, err := exec.LookPath("dpkg-query"); err != nil {
		t.Skip(err)
	}
	status := ""
	for _, p := range []struct{ name, version, status, source string }{
		{"tool", "1-1+deb12u1", "install ok installed", ""}, {"rebuilt", "1-1+b1", "install ok installed", "Source: src (1-1)\n"},
		{"libx", "2:3-4", "install ok installed", "Source: x\nMulti-Arch: same\n"}, {"half", "1", "install ok half-configured", ""},
	} {
		status += fmt.Sprintf("Package: %s\nStatus: %s\nMaintainer: a\nArchitecture: amd64\nVersion: %s\n%sDescription: x\n\n", p.name, p.status, p.version, p.source)
	}
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, _ = w.Write([]byte(history("1-1+deb12u1   * CVE-2026-0001", "1-1   * x")))
	_ = w.Close()
	root := t.TempDir()
	filetest.Tree(t, root, map[string]string{
		"var/lib/dpkg/status": status, "var/lib/dpkg/info/format": "1\n", "var/lib/dpkg/updates/.x": "",
		"var/lib/dpkg/info/tool.list": "/usr/bin/tool\n/usr/share/both\n", "var/lib/dpkg/info/rebuilt.list": "/usr/bin/rebuilt\n/usr/share/both\n",
		"var/lib/dpkg/info/libx:amd64.list": "/lib/x/libx.so.1\n", "var/lib/dpkg/info/half.list": "/usr/bin/half\n",
		"var/lib/dpkg/diversions": "/usr/bin/diverted\n/usr/bin/diverted.real\ntool\n", "usr/share/doc/tool/changelog.Debian.gz": gz.String(),
	})
	for path, want := range map[string]string{
		"/usr/bin/tool":          "tool 1-1+deb12u1 tool",
		"/usr/lib/x/libx.so.1":   "libx:amd64 2:3-4 x",
		"/usr/bin/none":          "no path found matching pattern",
		"/usr/bin/rebuilt":       "package rebuilt is 1-1+b1, built from src 1-1: what differs is not known",
		"/usr/bin/half":          `package half is not installed and configured, its status is "iF `,
		"/usr/share/both":        "/usr/share/both is of 2 packages by dpkg: ",
		"/usr/bin/diverted":      "whose /usr/bin/diverted is, dpkg does not say in one line: diversion by tool",
		"/usr/bin/*":             "whose /usr/bin/* is, dpkg does not say in one line: ",
		"/usr/bin/diverted.real": "whose /usr/bin/diverted.real is, dpkg does not say in one line: diversion by tool",
	} {
		p, err := System{root}.Owner(path)
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprint(p.Name, " ", p.Version, " ", p.Source)
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	tool, err := System{root}.Owner("/usr/bin/tool")
	if err != nil {
		t.Fatal(err)
	}
	if err := tool.Brings(parse(t, "1-1"), []string{"CVE-2026-0001"}); err != nil {
		t.Error(err)
	}
	x, err := System{root}.Owner("/usr/lib/x/libx.so.1")
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Brings(parse(t, "1-1"), nil); err == nil || !strings.HasPrefix(err.Error(), "what is new in it is not known: open ") {
		t.Error(err)
	}
}
