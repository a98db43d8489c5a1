// SPDX-License-Identifier: GPL-2.0

package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// page is a manual page in Markdown.
type page struct {
	head     string            // % NAME SECTION "DATE" "SOURCE" "TITLE"
	sections map[string]string // by their headings
}

func parsePage(text string) page {
	head, rest, _ := strings.Cut(text, "\n")
	p := page{head: head, sections: map[string]string{}}
	for part := range strings.SplitSeq("\n"+rest, "\n# ") {
		heading, body, _ := strings.Cut(part, "\n")
		p.sections[heading] = strings.TrimSpace(body)
	}
	return p
}

// entry is one of a list of definitions.
type entry struct{ term, text string }

var definition = regexp.MustCompile(`(?m)^(\*\*.*)\n:   `)

func entries(section string) []entry {
	var list []entry
	places := definition.FindAllStringSubmatchIndex(section, -1)
	for i, m := range places {
		end := len(section)
		if i+1 < len(places) {
			end = places[i+1][0]
		}
		list = append(list, entry{section[m[2]:m[3]], strings.TrimSpace(section[m[1]:end])})
	}
	return list
}

// help is what `lpctl VERB --help` says.
type help struct {
	usage   string   // in some words
	options []string // with their dashes
}

func parseHelp(text string) help {
	var h help
	section := ""
	for line := range strings.Lines(text) {
		switch trimmed := strings.TrimSpace(line); {
		case trimmed == line[:len(line)-1] && strings.HasSuffix(trimmed, ":"):
			section = trimmed
		case section == "NAME:" && trimmed != "":
			_, h.usage, _ = strings.Cut(trimmed, " - ")
		case section == "OPTIONS:" && trimmed != "":
			left, _, _ := strings.Cut(trimmed, "  ")
			for word := range strings.FieldsSeq(left) {
				if word = strings.TrimSuffix(word, ","); strings.HasPrefix(word, "-") && !slices.Contains(h.options, word) {
					h.options = append(h.options, word)
				}
			}
		}
	}
	return h
}

// commandLine is a line of what `lpctl --help` lists; a longer text goes on below its beginning.
var commandLine = regexp.MustCompile(`(?m)^   (\w+) `)

// commands lists the verbs in what `lpctl --help` says.
func commands(text string) []string {
	var list []string
	_, rest, _ := strings.Cut(text, "\nCOMMANDS:\n")
	rest, _, _ = strings.Cut(rest, "\n\n")
	for _, m := range commandLine.FindAllStringSubmatch(rest, -1) {
		list = append(list, m[1])
	}
	return list
}

// synopsisOf matches a paragraph of SYNOPSIS: the first verb, a command of it, others of which the same is said, and the rest.
var synopsisOf = regexp.MustCompile(`^\*\*lpctl (\w+)((?: \w+)?)\*\*((?: \| \*\*\w+\*\*)*)((?s:.*))$`)

func (p page) synopsis(verb string) string {
	var out strings.Builder
	targets := ""
	for paragraph := range strings.SplitSeq(p.sections["SYNOPSIS"], "\n\n") {
		m := synopsisOf.FindStringSubmatch(paragraph)
		if m == nil {
			if strings.HasPrefix(paragraph, "*TARGETS*:") {
				targets = paragraph + "\n\n"
			}
			continue
		}
		switch {
		case m[1] == verb && m[2] != "":
			out.WriteString(paragraph + "\n\n")
		case m[1] == verb || m[2] == "" && strings.Contains(m[3], "**"+verb+"**"):
			out.WriteString("**lpctl " + verb + "**" + m[4] + "\n\n")
		}
	}
	if strings.Contains(out.String(), "*TARGETS*") {
		out.WriteString(targets)
	}
	return out.String()
}

// verbPage puts the page of one verb together. It is an error if lpctl.8.md lacks anything of it.
func (p page) verbPage(verb string, h help) (string, error) {
	synopsis := p.synopsis(verb)
	if synopsis == "" {
		return "", fmt.Errorf("SYNOPSIS has no %s", verb)
	}
	verbs := entries(p.sections["VERBS"])
	i := slices.IndexFunc(verbs, func(e entry) bool { return e.term == "**"+verb+"**" })
	if i < 0 {
		return "", fmt.Errorf("VERBS has no %s", verb)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n\n", strings.Replace(p.head, "LPCTL", "LPCTL-"+strings.ToUpper(verb), 1))
	fmt.Fprintf(&out, "# NAME\n\nlpctl-%s - %s\n\n# SYNOPSIS\n\n%s", verb, h.usage, synopsis)
	fmt.Fprintf(&out, "# DESCRIPTION\n\n%s\n\n# OPTIONS\n\n", unindent(verbs[i].text))
	options, err := p.options(h.options)
	if err != nil {
		return "", fmt.Errorf("of %s: %w", verb, err)
	}
	out.WriteString(options)
	output := p.output(verb)
	if output == "" {
		return "", fmt.Errorf("OUTPUT has no %s", verb)
	}
	fmt.Fprintf(&out, "# OUTPUT\n\n%s\n\n", output)
	fmt.Fprintf(&out, "# EXIT STATUS\n\n%s\n\n# SEE ALSO\n\n**lpctl**(8), **lp**(5)\n", p.sections["EXIT STATUS"])
	return out.String(), nil
}

// output is what the section OUTPUT says of all verbs, and, below headings that name it, of one; "" if there are none.
func (p page) output(verb string) string {
	parts := strings.Split(p.sections["OUTPUT"], "\n## ")
	own := ""
	for _, part := range parts[1:] {
		heading, text, _ := strings.Cut(part, "\n")
		if slices.Contains(strings.Split(heading, ", "), verb) {
			own += "\n\n" + strings.TrimSpace(text)
		}
	}
	if own == "" {
		return ""
	}
	return strings.TrimSpace(parts[0]) + own
}

// options are the entries of OPTIONS with these names, in the order of the section.
func (p page) options(names []string) (string, error) {
	var out strings.Builder
	missing := slices.Clone(names)
	for _, e := range entries(p.sections["OPTIONS"]) {
		found := false
		missing = slices.DeleteFunc(missing, func(name string) bool {
			has := strings.Contains(e.term, "**"+name+"**")
			found = found || has
			return has
		})
		if found {
			fmt.Fprintf(&out, "%s\n:   %s\n\n", e.term, e.text)
		}
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("OPTIONS has no %s", strings.Join(missing, ", "))
	}
	return out.String(), nil
}

// unindent takes away what makes lines part of a definition.
func unindent(text string) string { return strings.ReplaceAll(text, "\n    ", "\n") }
