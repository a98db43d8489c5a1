// SPDX-License-Identifier: GPL-2.0

// Command mutator takes the builder's rules out, one after another, and looks whether a test fails without it: "make mutate".
// A rule is a place that gives a refusal its code (Documentation/patch-author-guide.md, "The codes"); it is taken out by
// making the nearest condition around it false. The sources stay as they are: the tests are compiled once, from sources in
// which a variable of the environment takes a rule out (-overlay).
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"
)

func main() {
	list := flag.Bool("list", false, "say which rules there are and how many tests name their codes, and try none")
	only := flag.String("run", "", "only rules whose FILE:LINE:CODE matches this regular expression")
	page := flag.String("table", "", "write what comes of it into the table of this file")
	flag.Parse()
	if err := run(*list, *only, *page, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "mutator:", err)
		os.Exit(1)
	}
}

func run(list bool, only, page string, dirs []string) error {
	wanted, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	sources, err := findRules(dirs)
	if err != nil {
		return err
	}
	tests, err := findTests(dirs)
	if err != nil {
		return err
	}
	var all, some []*rule
	for _, s := range sources {
		all = append(all, s.rules...)
	}
	for _, r := range all {
		if wanted.MatchString(fmt.Sprintf("%s:%d:%s", r.file, r.line, r.code)) {
			some = append(some, r)
		}
	}
	if list {
		for _, r := range some {
			fmt.Printf("%s:%d %s: %d tests%s\n", r.file, r.line, r.code, len(r.tests(tests)), map[bool]string{true: ", cannot be taken out alone"}[r.whole])
		}
		return nil
	}
	t, err := newTrier(sources)
	if err != nil {
		return err
	}
	defer t.close()
	return tryAll(t, tests, some, func() error {
		if page == "" {
			return nil
		}
		return writeTable(page, all)
	})
}

// tryAll takes rules out, one after another. After each it calls written, for it takes long, and may be interrupted.
func tryAll(t *trier, tests map[string][]test, some []*rule, written func() error) error {
	survived := 0
	for _, r := range some {
		began := time.Now()
		verdict, err := t.try(r, r.tests(tests))
		if err != nil {
			return err
		}
		if r.missed == "" {
			survived++
		}
		fmt.Printf("%s:%d %s: %s (%.0f s)\n", r.file, r.line, r.code, verdict, time.Since(began).Seconds())
		if err := written(); err != nil {
			return err
		}
	}
	if survived > 0 {
		return fmt.Errorf("%d rules of %d can be taken out and no test fails", survived, len(some))
	}
	return nil
}
