// SPDX-License-Identifier: GPL-2.0

package patch

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/strictyaml"
)

// About describes what a patch is for. It holds metadata supplied by the author, is only shown and reported, and never
// influences a decision: which vulnerabilities are fixed in a process follows from the patches applied to it.
type About struct {
	Title      string   `json:"title,omitempty" yaml:"title"`           // title of the fix, one line
	CVEs       []string `json:"cves,omitempty" yaml:"cves"`             // CVE ids that the patch fixes in the files it changes
	Advisories []string `json:"advisories,omitempty" yaml:"advisories"` // advisories that describe the fix, by URL or id
	Severity   Severity `json:"severity,omitempty" yaml:"severity"`     // severity of the worst vulnerability fixed
	Package    string   `json:"package,omitempty" yaml:"package"`       // source package of the patched files
	Version    string   `json:"version,omitempty" yaml:"version"`       // package version that the patch was built for
	Fixed      string   `json:"fixed,omitempty" yaml:"fixed"`           // first package version whose files contain the fix
	// Supersedes lists the patches that this one replaces: names, or "sha256:" followed by the SHA-256 of a patch file in
	// hexadecimal.
	Supersedes []string `json:"supersedes,omitempty" yaml:"supersedes"`
}

// Severity is a CVSS qualitative severity rating.
type Severity string

// severities lists all ratings in ascending order.
var severities = []Severity{"none", "low", "medium", "high", "critical"}

// Limits of the fields of an About.
const (
	maxAboutText = 255     // bytes of one string
	maxAboutList = 1024    // entries of one list
	maxAboutFile = 1 << 20 // bytes of a YAML file read by ReadAbout
)

// sumPrefix introduces the SHA-256 of a patch file where a patch is named by its file.
const sumPrefix = "sha256:"

var (
	cveID       = lazyregexp.New(`^CVE-[0-9]{4}-[0-9]{4,19}$`) // the format of the CVE record schema
	fileSum     = lazyregexp.New(`^[0-9a-f]{64}$`)
	packageName = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9+._-]*$`)
	versionText = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9.+~:_^-]*$`)
	advisoryID  = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9.:_/-]*$`)
)

// ReadAbout reads and checks an About from the YAML file at path.
func ReadAbout(path string) (*About, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxAboutFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxAboutFile:
		return nil, fmt.Errorf("%s is larger than %d bytes; it is to have title, cves, advisories and the like of one patch", path, maxAboutFile)
	}
	a := &About{}
	if err := strictyaml.Decode(text, a); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if a.Empty() {
		return nil, fmt.Errorf("%s: it says nothing; leave it out, or give title, cves and the like", path)
	}
	if err := a.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return a, nil
}

// TakesPlaceOf reports whether a lists the patch with this name, or with this SHA-256 of its file, in Supersedes. a may be
// nil.
func (a *About) TakesPlaceOf(name string, sum [sha256.Size]byte) bool {
	return a != nil && (slices.Contains(a.Supersedes, name) || slices.Contains(a.Supersedes, sumPrefix+hex.EncodeToString(sum[:])))
}

// Empty reports whether no field is set. a may be nil.
func (a *About) Empty() bool {
	return a == nil || len(a.CVEs)+len(a.Advisories)+len(a.Supersedes) == 0 &&
		a.Title == "" && a.Severity == "" && a.Package == "" && a.Version == "" && a.Fixed == ""
}

// Supersedes reports whether s replaces the patch called name whose file has the SHA-256 sum: an older patch of the same
// name, or one listed in About.Supersedes.
func (s *Spec) Supersedes(name string, sum [sha256.Size]byte) bool {
	return name == s.Name || s.About.TakesPlaceOf(name, sum)
}

// Or returns a copy of a whose empty fields are taken from other. Both may be nil; the result is nil if both are empty.
func (a *About) Or(other *About) *About {
	var out About
	for _, from := range []*About{other, a} {
		if from == nil {
			continue
		}
		for _, f := range []struct{ to, from *string }{
			{&out.Title, &from.Title}, {(*string)(&out.Severity), (*string)(&from.Severity)}, {&out.Package, &from.Package},
			{&out.Version, &from.Version}, {&out.Fixed, &from.Fixed},
		} {
			if *f.from != "" {
				*f.to = *f.from
			}
		}
		for _, f := range []struct{ to, from *[]string }{
			{&out.CVEs, &from.CVEs}, {&out.Advisories, &from.Advisories}, {&out.Supersedes, &from.Supersedes},
		} {
			if len(*f.from) > 0 {
				*f.to = slices.Clone(*f.from)
			}
		}
	}
	if out.Empty() {
		return nil
	}
	return &out
}

// Check returns an error if a field has an invalid value, exceeds its limit or contains characters that are not printable.
func (a *About) Check() error {
	if a == nil {
		return nil
	}
	if err := checkText("title", a.Title, maxAboutText); err != nil {
		return err
	}
	if a.Severity != "" && !slices.Contains(severities, a.Severity) {
		return fmt.Errorf("severity %.80q is not known; it can be none, low, medium, high or critical", a.Severity)
	}
	if err := a.checkPackage(); err != nil {
		return err
	}
	for _, list := range []struct {
		what    string
		entries []string
		check   func(string) error
	}{{"cves", a.CVEs, checkCVE}, {"advisories", a.Advisories, checkAdvisory}, {"supersedes", a.Supersedes, checkSuperseded}} {
		if n := len(list.entries); n > maxAboutList {
			return fmt.Errorf("%s has %d entries; %d are possible", list.what, n, maxAboutList)
		}
		for i, text := range list.entries {
			if err := list.check(text); err != nil {
				return err
			}
			if slices.Contains(list.entries[:i], text) {
				return fmt.Errorf("%s has %s twice; give it once", list.what, text)
			}
		}
	}
	return nil
}

func (a *About) checkPackage() error {
	for _, f := range []struct {
		what, text string
		form       bool
		is         string
	}{
		{"package", a.Package, packageName().MatchString(a.Package), "letters, digits and + . _ - (a letter or digit first)"},
		{"version", a.Version, versionText().MatchString(a.Version), "letters, digits and . + ~ : _ ^ - (a letter or digit first)"},
		{"fixed", a.Fixed, versionText().MatchString(a.Fixed), "letters, digits and . + ~ : _ ^ - (a letter or digit first)"},
	} {
		if f.text != "" && (!f.form || len(f.text) > MaxNameLen) {
			return fmt.Errorf("%s %.140q is not possible: 1 to %d %s", f.what, f.text, MaxNameLen, f.is)
		}
	}
	switch {
	case a.Package == "" && a.Version+a.Fixed != "":
		return fmt.Errorf("version %s is of a package that is not named; give package, too", cmp.Or(a.Version, a.Fixed))
	case a.Version != "" && a.Version == a.Fixed:
		return fmt.Errorf("version and fixed are both %s; version is the one without the fix in its files, fixed the one with it", a.Version)
	}
	return nil
}

func checkCVE(text string) error {
	if !cveID().MatchString(text) {
		return fmt.Errorf("%.80q is no CVE id; one is CVE-, the year, - and 4 digits or more, like CVE-2026-12345", text)
	}
	return nil
}

func checkAdvisory(text string) error {
	if err := checkText("advisory", text, maxAboutText); err != nil {
		return err
	}
	if !strings.Contains(text, "://") {
		if !advisoryID().MatchString(text) {
			return fmt.Errorf("advisory %q is neither an id like DSA-1234-1 nor a URL", text)
		}
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ContainsAny(text, " \"<>\\") {
		return fmt.Errorf("advisory %q is no URL that can be opened; one begins with https:// and has no spaces", text)
	}
	return nil
}

func checkSuperseded(text string) error {
	sum, ok := strings.CutPrefix(text, sumPrefix)
	if !ok {
		if err := CheckName(text); err != nil {
			return fmt.Errorf("supersedes: %w", err)
		}
		return nil
	}
	if !fileSum().MatchString(sum) {
		return fmt.Errorf("supersedes: %.80q is no SHA-256 of a file; %s is followed by 64 hexadecimal digits", text, sumPrefix)
	}
	return nil
}
