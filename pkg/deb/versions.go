// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"slices"
	"strconv"
	"strings"

	godiff "github.com/rogpeppe/go-internal/diff"
	"github.com/sourcegraph/go-diff/diff"
	"pault.ag/go/debian/version"

	"lpatch/pkg/lazyregexp"
)

// versionRule and yearsRule are for lines that are kept from the older version in files that are otherwise taken.
const (
	versionRule = "version strings"
	yearsRule   = "years of copyright"
)

// versions contains the version numbers in which two upstream versions differ.
type versions struct {
	texts    [][2]string // older and newer spelling
	from, to []int       // numeric components; nil if the upstream version is the same
}

var leadingNumbers = lazyregexp.New(`^\d+(\.\d+)+`)

func versionsOf(older, newer version.Version) versions {
	v := versions{}
	was, is := leadingNumbers().FindString(older.Version), leadingNumbers().FindString(newer.Version)
	for _, t := range [][2]string{{older.StringWithoutEpoch(), newer.StringWithoutEpoch()}, {older.Version, newer.Version}, {was, is}} {
		if t[0] != t[1] && leadingNumbers().MatchString(t[0]) && leadingNumbers().MatchString(t[1]) {
			v.texts = append(v.texts, t)
		}
	}
	if was != is && strings.Count(was, ".") == strings.Count(is, ".") {
		v.from, v.to = parts(was), parts(is)
	}
	return v
}

func parts(numbers string) []int {
	var out []int
	for _, s := range strings.Split(numbers, ".") {
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil
		}
		out = append(out, n)
	}
	return out
}

var (
	aNumber     = lazyregexp.New(`[0-9]+`)
	saysVersion = lazyregexp.New(`(?i)version|AC_INIT|PACKAGE_`)
	// the version of something else, such as a protocol, may happen to change in the same way
	saysPart    = lazyregexp.New(`(?i)version_?(major|minor|micro|patch|patchlevel|release|revision)|(major|minor|micro|patch|release|revision)_?version`)
	inCode      = lazyregexp.New(`[=<>]\s*(19|20)\d\d`)
	versionFile = lazyregexp.New(`(?i)^version(\.(dat|h|m4|txt|sh|in))?$|version\.(h|h\.in|m4|dat)$`)
	saysDate    = lazyregexp.New(`(?i)date`)
	months      = lazyregexp.New(`(?i)\b(jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sep(t(ember)?)?|oct(ober)?|nov(ember)?|dec(ember)?)\b`)
	saysRight   = lazyregexp.New(`(?i)copyright|\(c\)\s*(19|20)\d\d`)
	years       = lazyregexp.New(`\b(19|20)\d\d(\s*[-,]\s*(19|20)\d\d)*\b`)
)

// keep returns the new text, with lines of the old text where they differ only in the version, its date, or copyright years.
// It also returns the rules that were applied.
func (v versions) keep(name string, old, new []byte) ([]byte, []string) {
	out := strings.SplitAfter(string(new), "\n")
	d, err := diff.ParseFileDiff(godiff.Diff("a", old, "b", new))
	if err != nil || d == nil {
		return new, nil
	}
	inVersionFile := versionFile().MatchString(name)
	var rules []string
	for _, h := range d.Hunks {
		line := int(h.NewStartLine) - 1
		var gone, come []string
		pair := func() {
			for i := range come {
				if len(gone) != len(come) {
					break
				}
				if r := v.rule(gone[i], come[i], inVersionFile); r != "" {
					out[line-len(come)+i] = gone[i]
					rules = append(rules, r)
				}
			}
			gone, come = nil, nil
		}
		for text := range strings.Lines(string(h.Body)) {
			switch text[0] {
			case '-':
				gone = append(gone, text[1:])
			case '+':
				come = append(come, text[1:])
				line++
			case ' ':
				pair()
				line++
			}
		}
		pair()
	}
	slices.Sort(rules)
	return []byte(strings.Join(out, "")), slices.Compact(rules)
}

// rule returns the rule by which two lines are equivalent, or "".
func (v versions) rule(old, new string, inVersionFile bool) string {
	if old == new {
		return ""
	}
	about := inVersionFile || saysVersion().MatchString(old) && saysVersion().MatchString(new)
	for _, t := range v.texts {
		// a number such as 15.20 may not be a version
		if (about || strings.Count(t[0], ".") > 1) && replaceWhole(new, t[1], t[0]) == old {
			return versionRule
		}
	}
	if saysRight().MatchString(old) && !inCode().MatchString(old) && years().ReplaceAllString(old, "YEAR") == years().ReplaceAllString(new, "YEAR") {
		return yearsRule
	}
	if v.from != nil && about && v.numbersAlike(old, new, inVersionFile || saysPart().MatchString(old)) {
		return versionRule
	}
	if v.from != nil && inVersionFile && saysDate().MatchString(old) {
		date := func(s string) string { return aNumber().ReplaceAllString(months().ReplaceAllString(s, "MONTH"), "0") }
		if date(old) == date(new) {
			return versionRule
		}
	}
	return ""
}

// replaceWhole replaces a version number where it is not a part of a longer one.
func replaceWhole(s, from, to string) string {
	var out strings.Builder
	isPart := func(c byte) bool { return c >= '0' && c <= '9' }
	for {
		i := strings.Index(s, from)
		if i < 0 {
			return out.String() + s
		}
		end := i + len(from)
		if i > 0 && (isPart(s[i-1]) || s[i-1] == '.' && i > 1 && isPart(s[i-2])) || end < len(s) && (isPart(s[end]) || s[end] == '.' && end+1 < len(s) && isPart(s[end+1])) {
			out.WriteString(s[:end])
		} else {
			out.WriteString(s[:i] + to)
		}
		s = s[end:]
	}
}

// numbersAlike reports whether two lines differ only in numbers, and each of these is the whole version as one number (30017
// for 3.0.17) or, if ofParts is set, the same component of both versions.
func (v versions) numbersAlike(old, new string, ofParts bool) bool {
	if aNumber().ReplaceAllString(old, "0") != aNumber().ReplaceAllString(new, "0") {
		return false
	}
	was, is := aNumber().FindAllString(old, -1), aNumber().FindAllString(new, -1)
	for i := range was {
		if was[i] == is[i] {
			continue
		}
		o, err1 := strconv.Atoi(was[i])
		n, err2 := strconv.Atoi(is[i])
		if err1 != nil || err2 != nil || !v.pairs(o, n, ofParts) {
			return false
		}
	}
	return true
}

func (v versions) pairs(old, new int, ofParts bool) bool {
	whole := [2]int{}
	for i := range v.from {
		if ofParts && v.from[i] == old && v.to[i] == new {
			return true
		}
		whole[0], whole[1] = whole[0]*100+v.from[i], whole[1]*100+v.to[i]
	}
	return len(v.from) > 2 && whole == [2]int{old, new}
}
