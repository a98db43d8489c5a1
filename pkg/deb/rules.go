// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"path"
	"slices"
	"strings"

	"lpatch/pkg/lazyregexp"
)

// Rules by which a file that differs between two versions is none that is compiled. Each has a name, by which it is listed. None of
// them can hide anything: what they are about is in the new tree all the same, and if it gets into an object it is seen there.
// changelogRule alone is about a file that stays the older version's.
const (
	changelogRule = "debian/changelog"
	packagingRule = "packaging"
	projectRule   = "version control"
	testsRule     = "tests"
	localeRule    = "translations"
	docsRule      = "documentation"
)

// ruleDirs and ruleEndings are names of directories and endings of files that a rule is about; of files without an ending,
// ruleFiles are the whole names. All in small letters.
var (
	ruleDirs = map[string][]string{
		projectRule: {".git", ".github", ".gitlab", ".circleci", ".pc", ".cirrus"},
		testsRule:   {"test", "tests", "testing", "testdata", "unittests", "examples", "result"},
		localeRule:  {"po", "locale", "locales", "translations"},
		docsRule:    {"doc", "docs"},
	}
	ruleEndings = map[string][]string{
		localeRule: {".po", ".pot", ".gmo"},
		docsRule:   {".md", ".rst", ".html", ".1", ".3", ".5", ".8", ".pod", ".news", ".texi", ".sgml"},
		testsRule:  {".tcl"},
	}
	ruleFiles = map[string][]string{
		projectRule: {".gitignore", ".gitattributes", ".travis.yml", ".mailmap", ".cirrus.yml", "appveyor.yml"},
		localeRule:  {"linguas"},
		docsRule:    {"news", "changelog", "changes", "readme", "thanks", "authors", "copying", "license", "copyright", "changes.txt"},
	}
	rulesInOrder = []string{projectRule, testsRule, localeRule, docsRule}
)

// packaging are files of debian that no build reads.
var packaging = lazyregexp.New(`^debian/(patches/|tests/|po/|upstream/|copyright$|watch$|gbp\.conf$|[^/]*salsa-ci\.yml$|\.git|README|NEWS|source/lintian-overrides$|[^/]*\.lintian-overrides$|[^/]*\.(NEWS|README\.Debian)$)`)

// rule returns the name of the rule that says why a file is none that is compiled, or "". When in doubt it is.
func rule(file string) string {
	switch {
	case file == "debian/changelog":
		return changelogRule
	case packaging().MatchString(file):
		return packagingRule
	}
	dirs := strings.Split(strings.ToLower(path.Dir(file)), "/")
	base := strings.ToLower(path.Base(file))
	for _, name := range rulesInOrder {
		if slices.ContainsFunc(dirs, func(d string) bool { return slices.Contains(ruleDirs[name], d) }) ||
			slices.Contains(ruleEndings[name], path.Ext(base)) || slices.Contains(ruleFiles[name], base) {
			return name
		}
	}
	return ""
}

// isCompiled tells files that have a part in what a package builds.
func isCompiled(file string) bool { return rule(file) == "" }
