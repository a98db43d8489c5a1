// SPDX-License-Identifier: GPL-2.0

package packaging

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	maxSummary = 80 // characters, as required by lintian
	lineWidth  = 76 // bytes of a line of text
)

// Summary returns a one-line description of the package.
func (p *Package) Summary() string {
	if len(p.Patches) > 1 {
		return "live patches of " + p.program()
	}
	summary := "live patch of " + p.program()
	if title := p.Patches[0].about.Title; title != "" {
		summary += " - " + title
	}
	if utf8.RuneCountInString(summary) > maxSummary {
		summary = string([]rune(summary)[:maxSummary-1]) + "…"
	}
	return summary
}

// paragraphs returns the rest of the description.
func (p *Package) paragraphs() []string {
	list := []string{
		fmt.Sprintf("What runs of %s is patched without being restarted, and so is what starts.", p.program()),
		fmt.Sprintf("A patch is for one build. Beside another this package does nothing; it depends on none, so that %s can be upgraded.", p.program()),
	}
	for _, one := range p.Patches {
		list = append(list, one.Line())
	}
	if unsigned := p.Unsigned(); len(unsigned) > 0 {
		list = append(list, fmt.Sprintf("Not signed: %s. A kernel that requires signatures does not take that.", strings.Join(unsigned, ", ")))
	}
	return list
}

// Line returns a one-line description of a patch.
func (p *Patch) Line() string {
	text := "* " + p.Name
	if p.about.Title != "" {
		text += ": " + p.about.Title
	}
	var facts []string
	for _, fact := range []string{strings.Join(p.about.CVEs, " "), string(p.about.Severity), strings.Join(p.about.Advisories, " ")} {
		if fact != "" {
			facts = append(facts, fact)
		}
	}
	if len(facts) > 0 {
		text += " (" + strings.Join(facts, "; ") + ")"
	}
	return text
}

// wrap splits a text into lines. No line starts with a word that rpmbuild would interpret as a directive or comment.
func wrap(text string) []string {
	var lines []string
	for _, word := range strings.Fields(text) {
		last := len(lines) - 1
		if last >= 0 && (len(lines[last])+1+len(word) <= lineWidth || strings.ContainsRune("%#.", rune(word[0]))) {
			lines[last] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}

// Control returns the description for a Debian control file, without the first line.
func (p *Package) Control() string {
	var out strings.Builder
	for i, text := range p.paragraphs() {
		if i > 0 {
			out.WriteString(" .\n")
		}
		for _, line := range wrap(text) {
			out.WriteString(" " + line + "\n")
		}
	}
	return out.String()
}

// Prose returns the description for a spec file.
func (p *Package) Prose() string {
	var out strings.Builder
	for i, text := range p.paragraphs() {
		if i > 0 {
			out.WriteString("\n")
		}
		out.WriteString(strings.Join(wrap(text), "\n") + "\n")
	}
	return macroless(out.String())
}

// macroless escapes RPM macros in a text.
func macroless(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// Terms returns the license of a patch.
func (p *Patch) Terms() string {
	if p.about.Package == "" {
		return "those of the program " + p.spec.Images[0].Name
	}
	return strings.TrimSpace("those of the source package " + p.about.Package + " " + p.about.Version)
}
