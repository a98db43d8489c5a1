// SPDX-License-Identifier: GPL-2.0

package restart

import (
	"bytes"
	"compress/gzip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/apply"
	"lpatch/pkg/deb"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/filetest"
)

const history = `tool (1-1+deb12u2) stable; urgency=high

  * CVE-2026-0002

 -- A B <a@example.org>  Mon, 30 Nov 2026 12:00:00 +0000

tool (1-1+deb12u1) stable; urgency=high

  * CVE-2026-0001

 -- A B <a@example.org>  Mon, 30 Nov 2026 12:00:00 +0000

tool (1-1) stable; urgency=high

  * x

 -- A B <a@example.org>  Mon, 30 Nov 2026 12:00:00 +0000
`

// installed returns a system with version 1-1+deb12u2 of source package tool.
func installed(t *testing.T) deb.System {
	t.Helper()
	if _, err := exec.LookPath("dpkg-query"); err != nil {
		t.Skip(err)
	}
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, _ = w.Write([]byte(history))
	_ = w.Close()
	s := deb.System{Root: t.TempDir()}
	filetest.Tree(t, s.Root, map[string]string{
		"var/lib/dpkg/status":      "Package: tool-bin\nStatus: install ok installed\nMaintainer: a\nArchitecture: amd64\nSource: tool\nVersion: 1-1+deb12u2\nDescription: x\n\n",
		"var/lib/dpkg/info/format": "1\n", "var/lib/dpkg/updates/.x": "", "var/lib/dpkg/info/tool-bin.list": "/usr/sbin/tool\n/usr/lib/libtool.so\n",
		"usr/share/doc/tool-bin/changelog.Debian.gz": gz.String(), "usr/sbin/tool": "new", "usr/lib/libtool.so": "new", "usr/sbin/strange": "x",
	})
	return s
}

// about returns a patch of tool.
func about(name, version, fixed string, cves ...string) *patch.Spec {
	return &patch.Spec{Name: name, About: &patch.About{CVEs: cves, Package: "tool", Version: version, Fixed: fixed}}
}

// TestJudge judges processes whose files were replaced by those of 1-1+deb12u2, which fixes two CVEs.
func TestJudge(t *testing.T) {
	system := installed(t)
	now := func(path string) proc.FileID {
		id, err := proc.FileAt(filepath.Join(system.Root, path))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	const one, two, three = "CVE-2026-0001", "CVE-2026-0002", "CVE-2026-0003"
	tool := func(patches ...*patch.Spec) apply.Replaced {
		return apply.Replaced{Path: "/usr/sbin/tool", Now: now("usr/sbin/tool"), Patches: patches}
	}
	full := about("full", "1-1", "1-1+deb12u2", one, two)
	lib := apply.Replaced{Path: "/usr/lib/libtool.so", Now: now("usr/lib/libtool.so")}
	lives := func(list ...apply.Replaced) apply.Live {
		return apply.Live{Process: proc.Process{PID: 7}, Exe: "/usr/sbin/tool", Replaced: list}
	}
	other, elsewhere, strange := about("other", "1-1", "1-1+deb12u2", one, two), tool(full), tool(full)
	other.About.Package = "tool-bin"
	elsewhere.Now = now("usr/sbin/strange")
	strange.Path, strange.Now = "/usr/sbin/strange", now("usr/sbin/strange")
	python := lives(tool(full))
	python.Exe = "/usr/bin/python3.11"
	libPatched := lib
	libPatched.Patches = []*patch.Spec{full}
	gone := tool(full)
	gone.Now = proc.FileID{}
	for _, c := range []struct {
		name string
		live apply.Live
		want string // "no: " or "yes: " and the start of the reason
	}{
		{"all", lives(tool(full)), "no: patched live: full has what tool 1-1+deb12u2 fixes"},
		{"with a file that has the same", lives(tool(full), libPatched), "no: patched live: full has what tool 1-1+deb12u2 fixes"},
		{"by two patches", lives(tool(about("b", "1-1", "1-1+deb12u2", two), about("a", "1-1", "1-1+deb12u1", one))), "no: patched live: a, b has what tool 1-1+deb12u2 fixes"},
		{"a later fix", lives(tool(about("later", "1-1", "1-1+deb12u3", one, two, three))), "no: patched live: later has what tool 1-1+deb12u2 fixes"},
		{"just the patch's file", lives(), "no: only the file of a patch has gone"},
		{"one version too few", lives(tool(about("old", "1-1", "1-1+deb12u1", one))), "yes: /usr/sbin/tool: package tool-bin 1-1+deb12u2: the patches have what 1-1+deb12u1 fixes"},
		{"one version too few, and its CVE", lives(tool(about("old", "1-1", "1-1+deb12u1", one, two))), "yes: /usr/sbin/tool: package tool-bin 1-1+deb12u2: the patches have what 1-1+deb12u1 fixes"},
		{"one CVE of two", lives(tool(about("half", "1-1", "1-1+deb12u2", two))), "yes: /usr/sbin/tool: package tool-bin 1-1+deb12u2: 1-1+deb12u1 has more: CVE-2026-0001"},
		{"a library is not patched", lives(tool(full), lib), "yes: /usr/lib/libtool.so: it was replaced, and no patch that is applied changes it"},
		{"not said", lives(tool(about("s", "1-1", "", one, two), &patch.Spec{Name: "t"})), "yes: /usr/sbin/tool: package tool-bin 1-1+deb12u2: no patch that is applied says which version of tool it is for, and which has the fix"},
		{"of another source", lives(tool(other)), "yes: /usr/sbin/tool: package tool-bin 1-1+deb12u2: no patch that is applied says"},
		{"a downgrade", lives(tool(about("down", "1-1+deb12u2", "1-1+deb12u3", one, two))), "yes: /usr/sbin/tool: package tool-bin 1-1+deb12u2: what runs is 1-1+deb12u2, which is no older"},
		{"for two versions", lives(tool(full, about("x", "1-0", "1-1+deb12u2", one, two))), "yes: /usr/sbin/tool: package tool-bin 1-1+deb12u2: patches full and x are for two versions"},
		{"not in the changelog", lives(tool(about("x", "1-1~rc1", "1-1+deb12u2", one, two))), "yes: /usr/sbin/tool: package tool-bin 1-1+deb12u2: 1-1 has more: x"},
		{"no version", lives(tool(about("x", "1-1", "a:b", one, two))), "yes: /usr/sbin/tool: package tool-bin 1-1+deb12u2: patch x: "},
		{"in a container", lives(elsewhere), "yes: /usr/sbin/tool: what the process sees there is not a file of this system's"},
		{"removed", lives(gone), "yes: /usr/sbin/tool: what the process sees there is not a file of this system's, or there is none any more"},
		{"nobody's", lives(strange), "yes: /usr/sbin/strange: no path found matching pattern /usr/sbin/strange"},
		{"an interpreter", python, "yes: python3.11 runs programs that are not looked at"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Judge([]apply.Live{c.live}, system)[0]
			got := map[bool]string{false: "no: ", true: "yes: "}[v.Needed] + v.Why
			if !strings.HasPrefix(got, c.want) || v.Process.PID != 7 {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}
