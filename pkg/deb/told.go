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

// Told is what a source package says of what is fixed in it. Its texts can be shown.
type Told struct {
	Title      string // one line, "" if there is none
	CVEs       []string
	Advisories []string // ids
}

const (
	maxTitle  = 200     // bytes
	maxHeader = 1 << 20 // bytes of a patch in which its header has to end
)

var (
	toldCVE      = lazyregexp.New(`\bCVE-[0-9]{4}-[0-9]{4,19}`)
	toldAdvisory = lazyregexp.New(`\b(?:(?:DSA|DLA|ELA|USN)-[0-9]+-[0-9]+|GHSA(?:-[0-9a-z]{4}){3})\b`)
	// notFixed is in what a changelog says of what is not fixed by it.
	notFixed   = lazyregexp.New(`(?i)\b(revert(s|ed|ing)?|unaffected|not (affected|vulnerable|fixed)|un-?fixed|incomplete|drop(s|ped)?|ignored?)\b`)
	mailPrefix = lazyregexp.New(`^(\[[^]]*\]\s*)+`)
	item       = lazyregexp.New(`^ {2,}[*+-] `)
)

// Told reads the header of a patch (DEP-3, or that of a mail), and its name.
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

// headerTitle is the first line of the field Description or Subject, which may begin on the line below.
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

// ToldSince reads what debian/changelog of a tree says of the versions after one. The title is the first thing in the newest that
// names a CVE, if there is one.
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
	var t Told
	var not []string
	for in := bufio.NewReader(bytes.NewReader(data)); ; {
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
				t.Title = title(text)
			}
		}
	}
	t.CVEs, t.Advisories = unique(t.CVEs), unique(t.Advisories)
	t.CVEs = slices.DeleteFunc(t.CVEs, func(id string) bool { return slices.Contains(not, id) })
	return t, nil
}

// items are the things that an entry of a changelog lists, each on one line, without what they are marked by.
func items(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if mark := item().FindString(line); mark != "" || len(out) == 0 {
			out = append(out, strings.TrimPrefix(line, mark))
			continue
		}
		out[len(out)-1] += " " + strings.TrimSpace(line)
	}
	return out
}

// cves are the CVE ids in a text.
func cves(text string) []string {
	return unique(toldCVE().FindAllString(strings.ToUpper(text), -1))
}

func unique(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// title makes a line that can be shown of a text.
func title(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	text = names.Visible(strings.ReplaceAll(text, string(unicode.ReplacementChar), "?"))
	if len(text) > maxTitle {
		text = strings.ToValidUTF8(text[:maxTitle], "") + "…"
	}
	return text
}
