// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"path"
	"slices"
	"strings"

	"lpatch/pkg/lazyregexp"
)

// Each rule classifies files that differ between two versions but are not compiled. Its name is shown in lists. No rule can
// hide a change: the files are in the new tree nevertheless, and if they influence an object, the comparison of objects finds
// it. Only changelogRule is for a file that is kept from the older version.
const (
	changelogRule = "debian/changelog"
	packagingRule = "packaging"
	projectRule   = "version control"
	testsRule     = "tests"
	localeRule    = "translations"
	docsRule      = "documentation"
)

// ruleDirs and ruleEndings list directory names and file suffixes for rules; ruleFiles lists complete names of files without
// suffix. All are in lower case.
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

// packaging matches files in debian that no build reads.
var packaging = lazyregexp.New(`^debian/(patches/|tests/|po/|upstream/|copyright$|watch$|gbp\.conf$|[^/]*salsa-ci\.yml$|\.git|README|NEWS|source/lintian-overrides$|[^/]*\.lintian-overrides$|[^/]*\.(NEWS|README\.Debian)$)`)

// rule returns the name of the rule that classifies a file as not compiled, or "" if none does.
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

// isCompiled reports whether a file influences what a package builds.
func isCompiled(file string) bool { return rule(file) == "" }
