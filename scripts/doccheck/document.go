// SPDX-License-Identifier: GPL-2.0

package main

import (
	"regexp"
	"strings"
)

// mention is a piece of a document, and the line that it is in.
type mention struct {
	line int
	text string
}

// document is what doccheck looks at of one.
type document struct {
	links    []mention // where they lead
	names    []mention // what stands in backticks, commands in fenced blocks, and names of tests anywhere
	headings []string  // as anchors
	dates    []mention // outside of fenced blocks
}

var (
	inlineCode = regexp.MustCompile("`([^`\n]+)`")
	inlineLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	date       = regexp.MustCompile(`\b20\d\d-[01]\d-[0-3]\d\b`)
	section    = regexp.MustCompile("`([\\w-]+\\.md)`,? \"([^\"]+)\"")
	testName   = regexp.MustCompile(`\b(Test[A-Z]\w*|Hostile[A-Z]\w*)[*…]?`)
	prompt     = regexp.MustCompile(`^([$#] )?((\w+=\S* )*(make|lpctl|scripts/\S+|test/\S+) .*|(make|scripts/\S+))$`)
	comment    = regexp.MustCompile(`\s+#.*$`)
	notAnchor  = regexp.MustCompile(`[^\p{L}\p{N}\-_ ]`)
)

// parse takes a document of Markdown apart.
func parse(text string) document {
	var d document
	fenced := false
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
		case fenced:
			if m := prompt.FindStringSubmatch(line); m != nil {
				d.names = append(d.names, mention{number, comment.ReplaceAllString(m[2], "")})
			}
		default:
			d.parseLine(number, line)
		}
	}
	return d
}

// parseLine takes a line apart that is in no fenced block.
func (d *document) parseLine(number int, line string) {
	if strings.HasPrefix(line, "#") {
		d.headings = append(d.headings, anchor(strings.TrimLeft(line, "# ")))
	}
	for _, m := range inlineCode.FindAllStringSubmatch(line, -1) {
		d.names = append(d.names, mention{number, m[1]})
	}
	for _, m := range section.FindAllStringSubmatch(line, -1) {
		d.links = append(d.links, mention{number, m[1] + "#" + anchor(m[2])})
	}
	for _, m := range date.FindAllString(line, -1) {
		d.dates = append(d.dates, mention{number, m})
	}
	rest := inlineCode.ReplaceAllString(line, "")
	for _, m := range inlineLink.FindAllStringSubmatch(rest, -1) {
		d.links = append(d.links, mention{number, m[1]})
	}
	for _, m := range testName.FindAllString(rest, -1) {
		d.names = append(d.names, mention{number, m})
	}
}

// anchor is the name by which a link leads to a heading.
func anchor(heading string) string {
	return strings.ReplaceAll(notAnchor.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}
