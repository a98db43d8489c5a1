// SPDX-License-Identifier: GPL-2.0

package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lpatch/pkg/patch"
	"lpatch/pkg/testutil/applytest"
)

// write creates a patch named fix.
func write(t *testing.T, about *patch.About) string {
	t.Helper()
	spec, err := applytest.Spec("fix", "/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	spec.About = about
	path := filepath.Join(t.TempDir(), "fix.lp")
	if err := applytest.Write(path, spec); err != nil {
		t.Fatal(err)
	}
	return path
}

var options = Options{Maintainer: "Some 100%{nil} Body <some@example.org>", Time: time.Unix(1700000000, 0)}

// TestRPM builds a package of patches whose texts contain rpmbuild directives.
func TestRPM(t *testing.T) {
	if _, err := exec.LookPath("rpmbuild"); err != nil {
		t.Skip("rpmbuild is not installed")
	}
	// wherever the line is wrapped, the next word would start a section or a condition
	evil := "a %(touch MARK) %{nil}b" + strings.Repeat(" %if %post", 14)
	mark := filepath.Join(t.TempDir(), "mark")
	about := &patch.About{Title: strings.Replace(evil, "MARK", mark, 1), Package: "greet", Fixed: "1:2.0-3+x"}
	p, err := New([]string{write(t, about)}, options)
	if err != nil {
		t.Fatal(err)
	}
	var first []byte
	for range 2 {
		files, err := p.Build(t.Context(), []*Kind{RPM}, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && string(data) != string(first) {
			t.Error("the package is another file when it is made again")
		}
		first = data
		if name := filepath.Base(files[0]); name != "lpatch-fix-greet-2.0-3+x.x86_64.rpm" {
			t.Errorf("it is called %s", name)
		}
		out, err := exec.Command("rpm", "-qp", "--queryformat", "%{EPOCH}:%{VERSION}-%{RELEASE} %{PACKAGER} %{DESCRIPTION}%{POSTIN}", files[0]).Output()
		text := strings.Join(strings.Fields(string(out)), " ")
		if err != nil || !strings.HasPrefix(text, "1:2.0-3+x Some 100%{nil} Body <some@example.org> What runs of greet ") ||
			!strings.Contains(text, about.Title) || !strings.Contains(text, "./usr/lib/lpctl/lpatch-package add /usr/lib/lpatch/fix.lp || :") {
			t.Errorf("%v\n%s", err, text)
		}
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("what is said of the patch was executed")
	}
}

func TestNoTool(t *testing.T) {
	p, err := New([]string{write(t, &patch.About{Package: "greet", Fixed: "2"})}, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "")
	for _, c := range []struct {
		kind *Kind
		want string
	}{
		{Deb, "dpkg-deb, which makes such packages, is not installed; install the package that has it (dpkg)"},
		{RPM, "rpmbuild, which makes such packages, is not installed; install the package that has it (rpm on Debian, rpm-build elsewhere)"},
	} {
		if _, err := p.Build(t.Context(), []*Kind{c.kind}, t.TempDir()); err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

// TestRefused checks patches that a host would reject, individually or in combination.
func TestRefused(t *testing.T) {
	relies, err := applytest.Spec("relies", "/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	relies.Relies = []patch.Reliance{{Symbol: "main", Start: relies.Functions[0].Bodies[0].Start}}
	second := filepath.Join(t.TempDir(), "relies.lp")
	if err := applytest.Write(second, relies); err != nil {
		t.Fatal(err)
	}
	_, err = New([]string{write(t, nil), second}, options)
	if want := "patch relies was built for main as it is in the file, patch fix replaces that function; build one patch of both fixes"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestSummary(t *testing.T) {
	title := strings.Repeat("ä", 100)
	p, err := New([]string{write(t, &patch.About{Package: "greet", Fixed: "2", Title: title})}, options)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.Summary(), "live patch of greet - "+title[:2*57]+"…"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
