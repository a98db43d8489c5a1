// SPDX-License-Identifier: GPL-2.0

package main

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	isCommand = regexp.MustCompile(`^(\w+=\S+ )*(make|lpctl)( |$)`)
	isPath    = regexp.MustCompile(`^[\w.+*-]+(/[\w.+*-]+)*/?$`)
	isFile    = regexp.MustCompile(`\.(go|c|h|cc|S|md|sh|yaml|json|mod|sum|config)$`)
	isCall    = regexp.MustCompile(`^([\p{L}_]\w*)\(.*\)$`)
	isStruct  = regexp.MustCompile(`^struct (\w+)$`)
	isWord    = regexp.MustCompile(`^[\p{L}_]\w*(\.[\p{L}_]\w*)*$`)
	special   = regexp.MustCompile(`_|[a-z][A-Z]|(^|\.)[A-Z][a-z]`)
	verb      = regexp.MustCompile(`^[a-z][a-z-]*$`)
)

// badName says why something that a document names is not there, or "". What does not look like a name of something of
// this repository is left alone.
func (t *tree) badName(document, name string) string {
	switch {
	case others[name]:
		return ""
	case testName.MatchString(name) && testName.FindString(name) == name:
		return t.badTest(name)
	case isCommand.MatchString(name):
		return t.badCommand(strings.Fields(name))
	case strings.HasPrefix(name, "-") && option.FindString(name) != "":
		if o := option.FindString(name); !t.options[o] {
			return "nothing has an option " + o
		}
	case isCall.MatchString(name):
		if f := isCall.FindStringSubmatch(name)[1]; !t.words[f] && !others[f+"()"] {
			return "there is no function of this name"
		}
	case isStruct.MatchString(name):
		if s := isStruct.FindStringSubmatch(name)[1]; !t.structs[s] {
			return "there is no structure of this name"
		}
	case isPath.MatchString(name) && (strings.Contains(name, "/") || isFile.MatchString(name)):
		return t.badPath(document, name)
	case isWord.MatchString(name) && special.MatchString(name):
		for _, w := range strings.Split(name, ".") {
			if !t.words[w] && !t.words["CONFIG_"+w] {
				return "the sources have no " + w
			}
		}
	case strings.HasPrefix(name, "scripts/") || strings.HasPrefix(name, "test/"):
		return t.badPath(document, strings.Fields(name)[0])
	}
	return ""
}

// badTest: a name with * or … behind it is the beginning of several. Cases of test/cases may be named without Test.
func (t *tree) badTest(name string) string {
	begin := strings.TrimRight(name, "*…")
	for _, test := range t.tests {
		if test == begin || test == "Test"+begin || begin != name && strings.HasPrefix(test, begin) {
			return ""
		}
	}
	return "there is no test of this name"
}

// badCommand looks at make and its targets, and at lpctl, its commands and options.
func (t *tree) badCommand(words []string) string {
	for strings.Contains(words[0], "=") {
		words = words[1:]
	}
	for i, w := range words[1:] {
		switch {
		case w == "--" || strings.ContainsAny(w, "|&<>;"):
			return ""
		case words[0] == "make" && verb.MatchString(w) && !t.targets[w] && words[1] != "-C":
			return "the Makefile has no target " + w
		case words[0] == "lpctl" && i == 0 && verb.MatchString(w) && !t.verbs[w] && w != "help":
			return "lpctl has no command " + w
		case words[0] == "lpctl" && i == 1 && slices.Contains([]string{"boot", "build", "key"}, words[1]) && verb.MatchString(w) && !t.parts[w]:
			return "lpctl " + words[1] + " has no command " + w
		case words[0] == "lpctl" && strings.HasPrefix(w, "--") && !t.options[option.FindString(w)]:
			return "lpctl has no option " + w
		}
	}
	return ""
}

// badPath looks for a file: from the root, from the document, and, where the first part is no directory of the root, as the
// end of any path.
func (t *tree) badPath(document, name string) string {
	name = strings.TrimSuffix(name, "/")
	first, _, inside := strings.Cut(name, "/")
	if first == "build" && inside || t.hasLike(name) || t.hasLike(path.Join(path.Dir(document), name)) { // build: what is made
		return ""
	}
	if inside && t.dirs[first] {
		return "there is no such file or directory"
	}
	for file := range t.files {
		if strings.HasSuffix(file, "/"+name) {
			return ""
		}
	}
	if !inside {
		return "there is no file of this name"
	}
	if slices.Contains([]string{"go", "c", "h", "md"}, strings.TrimPrefix(path.Ext(name), ".")) {
		return "no path ends so"
	}
	return ""
}
