// SPDX-License-Identifier: GPL-2.0

// Package explain explains the codes of refusals. It quotes the tables in the documents, which are the only source of this
// information.
package explain

import (
	"slices"
	"strings"

	documents "lpatch/Documentation"
	"lpatch/pkg/lazyregexp"
)

// Entry is the explanation of a code in a document.
type Entry struct {
	Code     string
	Meaning  string // meaning; for refusals of lpctl build it includes the remedy
	Advice   string // remedy, or ""
	Document string // name of the document
}

// sources lists the documents and their sections with tables of codes.
var sources = []struct {
	document, text string
	sections       []string
}{
	{"reference.md", documents.Reference, []string{"What the kernel refuses", "Other codes"}},
	{"patch-author-guide.md", documents.AuthorGuide, []string{"The codes"}},
}

var (
	row  = lazyregexp.New("(?m)^\\| (`[a-z0-9-]+`(?:, `[a-z0-9-]+`)*) \\| (.+) \\|$")
	code = lazyregexp.New("`([a-z0-9-]+)`")
)

// All returns all entries in the order of the documents.
func All() []Entry {
	var list []Entry
	for _, s := range sources {
		for _, name := range s.sections {
			_, section, _ := strings.Cut(s.text, "\n## "+name+"\n")
			section, _, _ = strings.Cut(section, "\n## ")
			for _, m := range row().FindAllStringSubmatch(section, -1) {
				meaning, advice, _ := strings.Cut(m[2], " | ")
				for _, c := range code().FindAllStringSubmatch(m[1], -1) {
					list = append(list, Entry{c[1], plain(meaning), plain(advice), s.document})
				}
			}
		}
	}
	return list
}

// Of returns the entries for a code. Refusals of the kernel and of a build may have the same code.
func Of(code string) []Entry {
	return slices.DeleteFunc(All(), func(e Entry) bool { return e.Code != code })
}

// plain converts Markdown to plain text.
func plain(markdown string) string {
	return strings.NewReplacer("`", "", "**", "").Replace(markdown)
}
