// SPDX-License-Identifier: GPL-2.0

package main

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// tree is the repository, and what it has that documents may name.
type tree struct {
	files     map[string]string // path -> text
	documents []string
	dirs      map[string]bool
	words     map[string]bool // of all files but documents
	options   map[string]bool // --NAME in the same files, and the options of lpctl
	structs   map[string]bool // of C
	verbs     map[string]bool // what lpctl calls its commands
	parts     map[string]bool // words in quotes in the files of its commands that have commands of their own
	targets   map[string]bool // of the Makefile
	tests     []string
}

var (
	word        = regexp.MustCompile(`[\p{L}_][\p{L}\p{N}_]*`)
	option      = regexp.MustCompile(`--?[a-z][a-z0-9-]*`)
	lpctlName   = regexp.MustCompile(`Name:\s+"([a-z-]+)"|Aliases:\s+\[\]string\{"([a-z-]+)"|opCommand\((?:lpnl\.Verb|apply\.)([A-Z][a-z]+)`)
	target      = regexp.MustCompile(`(?m)^([a-z-]+):`)
	structure   = regexp.MustCompile(`(?m)^\s*(?:typedef )?struct (\w+) \{`)
	placeholder = regexp.MustCompile(`^[A-Z]+$`)
	quoted      = regexp.MustCompile(`"([a-z]+)"`)
	commandFile = regexp.MustCompile(`^ctl/lpctl/cmd_(boot|build|key)`)
	testFunc    = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
)

// isDocument: what is read by people; test data and what documents are made from are not.
func isDocument(file string) bool {
	return strings.HasSuffix(file, ".md") && !strings.Contains(file, "testdata/")
}

func newTree(files map[string]string) *tree {
	t := &tree{files: files, dirs: map[string]bool{".": true}, words: map[string]bool{}, options: map[string]bool{},
		structs: map[string]bool{}, verbs: map[string]bool{}, parts: map[string]bool{}, targets: map[string]bool{}}
	for file, text := range files {
		for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
			t.dirs[dir] = true
		}
		if isDocument(file) {
			t.documents = append(t.documents, file)
		} else if !strings.HasPrefix(file, "scripts/doccheck/") { // which has names that are not there
			t.readSource(file, text)
		}
	}
	slices.Sort(t.documents)
	return t
}

func (t *tree) readSource(file, text string) {
	for _, w := range word.FindAllString(text, -1) {
		t.words[w] = true
	}
	for _, o := range option.FindAllString(text, -1) {
		t.options[o] = true
	}
	for _, m := range structure.FindAllStringSubmatch(text, -1) {
		t.structs[m[1]] = true
	}
	for _, m := range testFunc.FindAllStringSubmatch(text, -1) {
		t.tests = append(t.tests, m[1])
	}
	if file == "Makefile" {
		for _, m := range target.FindAllStringSubmatch(text, -1) {
			t.targets[m[1]] = true
		}
	}
	if commandFile.MatchString(file) {
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			t.parts[m[1]] = true
		}
	}
	if strings.HasPrefix(file, "ctl/lpctl/") && strings.HasSuffix(file, ".go") {
		for _, m := range lpctlName.FindAllStringSubmatch(text, -1) {
			name := m[1] + m[2] + strings.ToLower(m[3])
			t.verbs[name], t.options["--"+name], t.options["-"+name] = true, true, true
		}
	}
}

// has says whether there is a file or directory with this path.
func (t *tree) has(name string) bool {
	name = path.Clean(name)
	_, file := t.files[name]
	return file || t.dirs[name]
}

// hasLike says whether there is a file or directory that a pattern matches, in which a last part in capitals stands for any.
func (t *tree) hasLike(pattern string) bool {
	if dir, last := path.Split(pattern); placeholder.MatchString(last) {
		pattern = dir + "*"
	}
	for file := range t.files {
		if ok, _ := path.Match(pattern, file); ok {
			return true
		}
	}
	return t.has(pattern)
}

// badLink says why a link of a document leads nowhere, or "".
func (t *tree) badLink(document, link string) string {
	if strings.Contains(link, "://") {
		return "" // whether others are there is theirs to say
	}
	file, fragment, _ := strings.Cut(link, "#")
	to := document
	if file != "" {
		to = path.Join(path.Dir(document), file)
	}
	if !t.has(to) {
		return "there is no " + to
	}
	if fragment != "" && !slices.Contains(parse(t.files[to]).headings, fragment) {
		return to + " has no such heading"
	}
	return ""
}
