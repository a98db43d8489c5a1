// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/names"
	"lpatch/pkg/patch"
)

// aboutsOf learns what the patches of a status are for.
func (h *host) aboutsOf(status []lpnl.Report) *apply.Abouts {
	a := apply.NewAbouts(h.proc)
	a.LearnStore(h.registry, status...)
	a.Learn(status)
	return a
}

// aboutFlags say what a patch is for.
func aboutFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "about", Usage: "what the patch is for, as the YAML `FILE` says it; the options below go before it"},
		&cli.StringFlag{Name: "title", Usage: "what it fixes, in one line, `TEXT`"},
		&cli.StringSliceFlag{Name: "cve", Usage: "it fixes the vulnerability `ID`, CVE-YYYY-NNNN; may be repeated"},
		&cli.StringSliceFlag{Name: "advisory", Usage: "what tells of it, `URL|ID`; may be repeated"},
		&cli.StringFlag{Name: "severity", Usage: "how bad that is, `none|low|medium|high|critical`"},
		&cli.StringFlag{Name: "package", Usage: "the source package that the target is of, `NAME`"},
		&cli.StringFlag{Name: "package-version", Usage: "the `VERSION` of it that the patch is for"},
		&cli.StringFlag{Name: "fixed-version", Usage: "the `VERSION` of it that has the fix in its files"},
		&cli.StringSliceFlag{Name: "supersedes", Usage: "the patch `NAME|sha256:SUM` that it takes the place of; may be repeated"},
	}
}

// aboutOf is what the options say a patch is for; nil if they say nothing. It is of a source package, if that is not "".
func aboutOf(c *cli.Command, source string) (*patch.About, error) {
	for _, name := range []string{"about", "title", "severity", "package", "package-version", "fixed-version"} {
		if c.IsSet(name) && c.String(name) == "" {
			return nil, fmt.Errorf("--%s is empty; leave it out, or see %s --help", name, c.FullName())
		}
	}
	said := &patch.About{
		Title: c.String("title"), CVEs: c.StringSlice("cve"), Advisories: c.StringSlice("advisory"), Severity: patch.Severity(c.String("severity")),
		Package: c.String("package"), Version: c.String("package-version"), Fixed: c.String("fixed-version"), Supersedes: c.StringSlice("supersedes"),
	}
	var file *patch.About
	if path := c.String("about"); path != "" {
		var err error
		if file, err = patch.ReadAbout(path); err != nil {
			return nil, err
		}
	}
	all := said.Or(file)
	if all != nil {
		all = all.Or(&patch.About{Package: source})
	}
	return all, all.Check()
}

// describeAbout prints what a patch is for, in lines like those of inspect.
func describeAbout(w io.Writer, s *patch.Spec) {
	line := func(what, text string) {
		if text != "" {
			fmt.Fprintf(w, "%-11s%s\n", what, names.Visible(text))
		}
	}
	if a := s.About; a != nil {
		line("title", a.Title)
		line("fixes", strings.Join(a.CVEs, " "))
		line("severity", string(a.Severity))
		line("advisory", strings.Join(a.Advisories, " "))
		line("package", strings.TrimSpace(a.Package+" "+a.Version))
		line("fixed in", a.Fixed)
		line("supersedes", strings.Join(a.Supersedes, " "))
	}
	for _, u := range s.Upon {
		line("built upon", fmt.Sprintf("%s (build-id %x)", u.Name, []byte(s.Images[u.Image].BuildID)))
	}
}

// fixesShort says in a cell of a table what a patch fixes.
func fixesShort(a *patch.About) string {
	if a == nil {
		return "-"
	}
	if n := len(a.CVEs); n > 2 {
		return fmt.Sprintf("%s and %d more", a.CVEs[0], n-1)
	}
	return cmp.Or(strings.Join(a.CVEs, " "), a.Title, "-")
}
