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

// About says what a patch is for, in the words of who made it: it is shown and reported, and nothing is decided by it. What a
// process has fixed follows from the patches that are applied to it.
type About struct {
	Title      string   `json:"title,omitempty" yaml:"title"`           // of the fix, one line
	CVEs       []string `json:"cves,omitempty" yaml:"cves"`             // that it fixes in the files that it changes
	Advisories []string `json:"advisories,omitempty" yaml:"advisories"` // that tell of it, by URL or id
	Severity   Severity `json:"severity,omitempty" yaml:"severity"`     // of the worst that it fixes
	Package    string   `json:"package,omitempty" yaml:"package"`       // the source package that the files are of
	Version    string   `json:"version,omitempty" yaml:"version"`       // of that package, for which the patch is
	Fixed      string   `json:"fixed,omitempty" yaml:"fixed"`           // the version that has the fix in its files
	// Supersedes are the patches that this one is to take the place of: names, or "sha256:" and the sum of a file.
	Supersedes []string `json:"supersedes,omitempty" yaml:"supersedes"`
}

// Severity is how bad it is, as CVSS names it.
type Severity string

// severities are all of them, from the least on.
var severities = []Severity{"none", "low", "medium", "high", "critical"}

// Limits of what is said about a patch.
const (
	maxAboutText = 255     // bytes of one text
	maxAboutList = 1024    // entries of one list
	maxAboutFile = 1 << 20 // bytes of a file with it
)

// sumPrefix begins the name of a patch by the SHA-256 of its file.
const sumPrefix = "sha256:"

var (
	cveID       = lazyregexp.New(`^CVE-[0-9]{4}-[0-9]{4,19}$`) // as CVE records have it
	fileSum     = lazyregexp.New(`^[0-9a-f]{64}$`)
	packageName = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9+._-]*$`)
	versionText = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9.+~:_^-]*$`)
	advisoryID  = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9.:_/-]*$`)
)

// ReadAbout reads a YAML file of what is to be said about a patch.
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

// TakesPlaceOf tells whether it is said that the patch supersedes another one, by its name or the SHA-256 of its file.
func (a *About) TakesPlaceOf(name string, sum [sha256.Size]byte) bool {
	return a != nil && (slices.Contains(a.Supersedes, name) || slices.Contains(a.Supersedes, sumPrefix+hex.EncodeToString(sum[:])))
}

// Empty tells whether nothing is said.
func (a *About) Empty() bool {
	return a == nil || len(a.CVEs)+len(a.Advisories)+len(a.Supersedes) == 0 &&
		a.Title == "" && a.Severity == "" && a.Package == "" && a.Version == "" && a.Fixed == ""
}

// Supersedes tells whether the patch takes the place of another one, of a name and with the SHA-256 of its file: an older one of
// its own name, or one that it names.
func (s *Spec) Supersedes(name string, sum [sha256.Size]byte) bool {
	return name == s.Name || s.About.TakesPlaceOf(name, sum)
}

// Or completes what is said with what another one says of that of which nothing is. The result is nil if both are empty.
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

// Check refuses what cannot be meant, and what would not do in a line of text.
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
