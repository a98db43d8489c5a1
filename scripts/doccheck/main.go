// SPDX-License-Identifier: GPL-2.0

// Doccheck looks in the documents for what is not there: links to files and headings, and names of files, functions, tests,
// commands and options that the tree does not have; and for dates, since documents describe and do not report. Run it from the root of the repository:
//
//	go run ./scripts/doccheck
package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	t, err := readTree()
	if err != nil {
		fmt.Fprintln(os.Stderr, "doccheck:", err)
		os.Exit(2)
	}
	findings := t.check()
	for _, f := range findings {
		fmt.Println(f)
	}
	if len(findings) > 0 {
		os.Exit(1)
	}
}

// readTree reads what git knows, or would add.
func readTree() (*tree, error) {
	out, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	files := map[string]string{}
	for _, path := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) { // deleted, and not yet committed
			continue
		}
		if err != nil {
			return nil, err
		}
		files[path] = string(text)
	}
	return newTree(files), nil
}

// isDated: manual pages have dates in their titles.
func isDated(document string) bool {
	return document == "CHANGELOG.md" || strings.HasPrefix(document, "Documentation/results/") || strings.HasPrefix(document, "Documentation/man/")
}

// check returns what is wrong in all documents, a line each.
func (t *tree) check() []string {
	var findings []string
	for _, path := range t.documents {
		d := parse(t.files[path])
		for _, link := range d.links {
			if why := t.badLink(path, link.text); why != "" {
				findings = append(findings, fmt.Sprintf("%s:%d: link (%s): %s", path, link.line, link.text, why))
			}
		}
		if !isDated(path) {
			for _, date := range d.dates {
				findings = append(findings, fmt.Sprintf("%s:%d: %s: what was found on a day is for Documentation/results", path, date.line, date.text))
			}
		}
		for _, name := range d.names {
			if why := t.badName(path, name.text); why != "" {
				findings = append(findings, fmt.Sprintf("%s:%d: `%s`: %s", path, name.line, name.text, why))
			}
		}
	}
	for number, line := range strings.Split(t.files["MAINTAINERS"], "\n") {
		if file, ok := strings.CutPrefix(line, "F:\t"); ok && !t.has(file) {
			findings = append(findings, fmt.Sprintf("MAINTAINERS:%d: there is no %s", number+1, file))
		}
	}
	return slices.Compact(findings)
}
