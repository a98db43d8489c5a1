// SPDX-License-Identifier: GPL-2.0

// Mangen makes manual pages of the Markdown in Documentation/man: mangen LPCTL OUTDIR.
//
// Each NAME.N.md becomes OUTDIR/NAME.N. In addition lpctl.8.md is the source of a page for each verb, lpctl-VERB.8: what the
// sections SYNOPSIS and VERBS say of it, those OPTIONS that `LPCTL VERB --help` lists, what OUTPUT says of it, and the exit
// statuses.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"

	"lpatch/pkg/version"
)

const source = "Documentation/man"

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: mangen LPCTL OUTDIR")
		os.Exit(2)
	}
	if err := generate(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "mangen:", err)
		os.Exit(1)
	}
}

func generate(lpctl, out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	files, err := filepath.Glob(source + "/*.[1-9].md")
	if err != nil {
		return err
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(filepath.Base(path), ".md")
		if err := write(filepath.Join(out, name), string(text)); err != nil {
			return err
		}
		if name != "lpctl.8" {
			continue
		}
		if err := generateVerbs(lpctl, out, parsePage(string(text))); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// generateVerbs makes a page for each verb of lpctl.
func generateVerbs(lpctl, out string, p page) error {
	text, err := exec.Command(lpctl, "--help").Output()
	if err != nil {
		return fmt.Errorf("%s --help: %w", lpctl, err)
	}
	for _, verb := range commands(string(text)) {
		h, err := helpOf(lpctl, verb)
		if err != nil {
			return err
		}
		markdown, err := p.verbPage(verb, h)
		if err != nil {
			return err
		}
		if err := write(filepath.Join(out, "lpctl-"+verb+".8"), markdown); err != nil {
			return err
		}
	}
	return nil
}

// helpOf asks for the help of a command. Its options are those of its own commands, too.
func helpOf(lpctl string, words ...string) (help, error) {
	text, err := exec.Command(lpctl, append(words, "--help")...).Output()
	if err != nil {
		return help{}, fmt.Errorf("%s %s --help: %w", lpctl, strings.Join(words, " "), err)
	}
	h := parseHelp(string(text))
	for _, name := range commands(string(text)) {
		sub, err := helpOf(lpctl, append(slices.Clone(words), name)...)
		if err != nil {
			return help{}, err
		}
		for _, option := range sub.options {
			if !slices.Contains(h.options, option) {
				h.options = append(h.options, option)
			}
		}
	}
	return h, nil
}

// write makes a page. Its source, the third word of the title line, is the program and its version.
func write(path, markdown string) error {
	markdown = strings.Replace(markdown, `"lpatch"`, `"lpatch `+version.Number+`"`, 1)
	return os.WriteFile(path, []byte(wrap(string(md2man.Render([]byte(markdown))))), 0o644)
}
