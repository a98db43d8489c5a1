// SPDX-License-Identifier: GPL-2.0

// Package explain tells what the codes of refusals mean and what to do. It quotes the documents, whose tables are the only place
// where that is written.
package explain

import (
	"slices"
	"strings"

	documents "lpatch/Documentation"
	"lpatch/pkg/lazyregexp"
)

// Entry is what a document says of a code.
type Entry struct {
	Code     string
	Meaning  string // what it means; of a refusal of lpctl build, what to do as well
	Advice   string // what to do, or ""
	Document string // which says it
}

// sources are the documents and their sections that have tables of codes.
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

// All returns what there is, by document and in its order.
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

// Of returns what there is of a code: the kernel may refuse for what a build refuses by the same name.
func Of(code string) []Entry {
	return slices.DeleteFunc(All(), func(e Entry) bool { return e.Code != code })
}

// plain is Markdown as text.
func plain(markdown string) string {
	return strings.NewReplacer("`", "", "**", "").Replace(markdown)
}
