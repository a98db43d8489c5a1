// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"unicode"

	"pault.ag/go/debian/changelog"
	"pault.ag/go/debian/version"

	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/names"
)

// Told contains the description of fixes in a source package. Its strings are printable.
type Told struct {
	Title      string // one line; "" if there is none
	CVEs       []string
	Advisories []string // ids
}

const (
	maxTitle  = 200     // bytes
	maxHeader = 1 << 20 // bytes of a patch in which its header must end
	maxLog    = 1 << 20 // bytes of a changelog that are examined
)

var (
	toldCVE      = lazyregexp.New(`\bCVE-[0-9]{4}-[0-9]{4,19}`)
	toldAdvisory = lazyregexp.New(`\b(?:(?:DSA|DLA|ELA|USN)-[0-9]+-[0-9]+|GHSA(?:-[0-9a-z]{4}){3})\b`)
	// notFixed matches phrases in a changelog which say that something is not fixed. If it matches by accident, the fix is
	// not claimed.
	notFixed = lazyregexp.New(`(?i)\b(re-?vert(s|ed|ing)?|un-?(affected|fixed|patched|resolved)|incomplete(ly)?|partial(ly)?|in part|part of (the )?(fix|patch|CVE)|` +
		`drop(s|ped|ping)?|ignor(e|es|ed|ing)|remov(e|es|ed|ing|al)|disabl(e|es|ed|ing)|back(s|ed|ing)?[ -]?out|regress(es|ed|ions?)?|` +
		`(still|remains?|known) (vulnerable|affected|open|there|present)|postponed|deferred|no-dsa|withdrawn|todo|mitigat(e|es|ed|ing|ions?)|workarounds?)\b|` +
		`(\bnot|n[\x{2019}']t|\bnever|\bcannot|\bwithout|\bno)( [a-z]+){0,2} (fix(es|ed)?|affect(s|ed)?|vulnerable|patch(ed)?|resolved?|address(ed)?|appl(y|ied|icable)|include[sd]?|concern(s|ed)?|complete|backport(ed)?)\b`)
	mailPrefix = lazyregexp.New(`^(\[[^]]*\]\s*)+`)
	item       = lazyregexp.New(`^ {2,}[*+-] `)
)

// Told parses the header of a patch (DEP-3, or a mail header) and its name.
func (f Fix) Told() (Told, error) {
	data, err := f.text()
	if err != nil {
		return Told{}, err
	}
	var header []string
	for line := range strings.Lines(string(data[:min(len(data), maxHeader)])) {
		if strings.HasPrefix(line, "---") || strings.HasPrefix(line, "diff ") || strings.HasPrefix(line, "Index: ") {
			break
		}
		header = append(header, strings.TrimRight(line, "\r\n"))
	}
	text := strings.Join(header, "\n")
	return Told{Title: headerTitle(header), CVEs: cves(f.Name + "\n" + text), Advisories: unique(toldAdvisory().FindAllString(text, -1))}, nil
}

// headerTitle returns the first line of the field Description or Subject, which may start on a continuation line.
func headerTitle(header []string) string {
	for i, line := range header {
		name, value, _ := strings.Cut(line, ":")
		if !strings.EqualFold(name, "Description") && !strings.EqualFold(name, "Subject") {
			continue
		}
		if strings.TrimSpace(value) == "" && i+1 < len(header) && strings.HasPrefix(header[i+1], " ") {
			value = header[i+1]
		}
		return title(mailPrefix().ReplaceAllString(strings.TrimSpace(value), ""))
	}
	return ""
}

// ToldSince parses the entries of debian/changelog in a tree after a version. The title is the first item in the newest entry
// that names a CVE, if any.
func ToldSince(tree string, after version.Version) (Told, error) {
	const name = "debian/changelog"
	dir, err := os.OpenRoot(tree)
	if err != nil {
		return Told{}, err
	}
	defer dir.Close()
	data, err := readInside(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return Told{}, nil
	}
	if err != nil {
		return Told{}, err
	}
	if len(data) > maxLog {
		data = data[:bytes.LastIndexByte(data[:maxLog], '\n')+1]
	}
	var t Told
	var not []string
	for in := entries(data); ; {
		entry, err := changelog.ParseOne(in)
		if errors.Is(err, io.EOF) || err == nil && version.Compare(entry.Version, after) <= 0 {
			break
		}
		if err != nil {
			return Told{}, fmt.Errorf("%s/%s: %w", tree, name, err)
		}
		for _, text := range items(entry.Changelog) {
			found := cves(text)
			if notFixed().MatchString(text) {
				not = append(not, found...)
				continue
			}
			t.CVEs = append(t.CVEs, found...)
			t.Advisories = append(t.Advisories, toldAdvisory().FindAllString(text, -1)...)
			if t.Title == "" && len(found) > 0 {
				t.Title = title(item().ReplaceAllString(text, ""))
			}
		}
		not = append(not, nested(entry.Changelog)...)
	}
	t.CVEs, t.Advisories = unique(t.CVEs), unique(t.Advisories)
	isNot := func(id string) bool { return slices.Contains(not, id) }
	t.CVEs = slices.DeleteFunc(t.CVEs, isNot)
	if slices.ContainsFunc(cves(t.Title), isNot) {
		t.Title = ""
	}
	return t, nil
}

// entries returns a reader of a changelog for changelog.ParseOne.
func entries(text []byte) *bufio.Reader {
	return bufio.NewReader(bytes.NewReader(withoutBlank(text)))
}

// withoutBlank removes blank lines, because the time to parse an entry grows with the square of its lines.
func withoutBlank(text []byte) []byte {
	var out []byte
	for line := range bytes.Lines(text) {
		if len(bytes.TrimSpace(line)) > 0 {
			out = append(out, line...)
		}
	}
	return out
}

// nested returns the CVEs that an entry declares as not fixed on another nesting level: in an item without a CVE id below
// theirs, or in the heading of their items.
func nested(text string) []string {
	type level struct {
		indent int
		found  []string
		not    bool
	}
	var out []string
	var above []level
	for _, thing := range items(text) {
		l := level{len(item().FindString(thing)), cves(thing), notFixed().MatchString(thing)}
		for len(above) > 0 && above[len(above)-1].indent >= l.indent {
			above = above[:len(above)-1]
		}
		for _, a := range above {
			if a.not {
				out = append(out, l.found...)
			} else if l.not && len(l.found) == 0 {
				out = append(out, a.found...)
			}
		}
		above = append(above, l)
	}
	return out
}

// items returns the items of a changelog entry, each on one line with its bullet.
func items(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if item().MatchString(line) || len(out) == 0 {
			out = append(out, line)
			continue
		}
		out[len(out)-1] += " " + strings.TrimSpace(line)
	}
	return out
}

// cves returns the CVE ids in a text.
func cves(text string) []string {
	return unique(toldCVE().FindAllString(strings.ToUpper(text), -1))
}

func unique(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// title converts a text to a printable line of limited length.
func title(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	text = names.Visible(strings.ReplaceAll(text, string(unicode.ReplacementChar), "?"))
	if len(text) > maxTitle {
		text = strings.ToValidUTF8(text[:maxTitle], "") + "…"
	}
	return text
}
