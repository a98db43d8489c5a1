// SPDX-License-Identifier: GPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/apply"
	"lpatch/pkg/explain"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
)

func (h *host) explainCommand() *cli.Command {
	return &cli.Command{
		Name:      "explain",
		Usage:     "tell what a code of a refusal means and what to do, or which patches fix a CVE",
		ArgsUsage: "CODE | CVE-YYYY-NNNN [DIR|NAME.lp]…",
		Description: "A code is what stands in brackets where lpctl build refuses, and error.code with --json. For a CVE the patches are looked\n" +
			"at that are applied or have boot entries, those in DIR and the files NAME.lp.",
		Flags:  []cli.Flag{jsonFlag()},
		Action: h.explainArgument,
	}
}

// codeJSON is what a document says of a code, as explain --json prints it.
type codeJSON struct {
	Code     string `json:"code"`
	Meaning  string `json:"meaning"`
	Advice   string `json:"advice"`
	Document string `json:"document"`
}

// remedyJSON is a patch that fixes a CVE.
type remedyJSON struct {
	CVE       string       `json:"cve"`
	Patch     string       `json:"patch"`
	Processes int          `json:"processes"` // to which it is applied
	About     *patch.About `json:"about"`
}

func (h *host) explainArgument(_ context.Context, c *cli.Command) error {
	what := c.Args().First()
	if what == "" {
		return errors.New("the code or CVE is missing; see lpctl explain --help")
	}
	if strings.HasPrefix(strings.ToUpper(what), "CVE-") {
		return h.explainCVE(c, strings.ToUpper(what))
	}
	if c.NArg() > 1 {
		return fmt.Errorf("unexpected argument %q; see lpctl explain --help", c.Args().Get(1))
	}
	return explainCode(c, what)
}

func explainCode(c *cli.Command, code string) error {
	found := explain.Of(code)
	if len(found) == 0 {
		var all []*cli.Command // as the library suggests names of these
		for _, e := range explain.All() {
			all = append(all, &cli.Command{Name: e.Code})
		}
		return fmt.Errorf("there is no code %q; did you mean %q? reference.md and patch-author-guide.md list all", code, cli.SuggestCommand(all, code))
	}
	for _, e := range found {
		if c.Bool("json") {
			if err := printJSON(c.Writer, codeJSON(e)); err != nil {
				return err
			}
			continue
		}
		text := fmt.Sprintf("%s (%s): %s\n", e.Code, e.Document, e.Meaning)
		if e.Advice != "" {
			text += fmt.Sprintf("What to do: %s\n", e.Advice)
		}
		fmt.Fprint(c.Writer, text)
	}
	return nil
}

func (h *host) explainCVE(c *cli.Command, cve string) error {
	if err := (&patch.About{CVEs: []string{cve}}).Check(); err != nil {
		return err
	}
	patches, bad := apply.OpenPatches(h.registry, c.Args().Tail())
	var list []*apply.Remedy
	if _, err := h.inSession(func(s *apply.Session, _ lpnl.Info) error {
		var err error
		list, err = s.Remedies(cve, patches)
		return err
	}); err != nil {
		return err
	}
	if err := showRemedies(c, cve, list); err != nil {
		return err
	}
	if len(bad) == 0 && len(list) == 0 {
		return unmatched(fmt.Sprintf("no patch that is applied, has a boot entry or was given says that it fixes %s", cve), false, false)
	}
	return errors.Join(bad...)
}

func showRemedies(c *cli.Command, cve string, list []*apply.Remedy) error {
	w := c.Writer
	for _, r := range list {
		if c.Bool("json") {
			if err := printJSON(w, remedyJSON{CVE: cve, Patch: r.Name, Processes: r.Processes, About: r.About}); err != nil {
				return err
			}
			continue
		}
		if err := printLine(w, "%s: applied to %s", r.Name, plurals(r.Processes, "process", "processes")); err != nil {
			return err
		}
		describeAbout(w, r.Spec)
	}
	if len(list) > 0 && !c.Bool("json") {
		return printLine(w, "lpctl scan tells which processes need it.")
	}
	return nil
}
