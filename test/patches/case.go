// SPDX-License-Identifier: GPL-2.0

// Package patches reads and builds the cases of this directory: see README.md.
package patches

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Case is one directory: sources that define FIX in their new version, and what is to come of the patch from one to the other.
type Case struct {
	Name    string
	Dir     string
	Sources []string // below Dir: *.c, *.cc
	Headers []string // and other files
	Cxx     bool

	Old, New int64   // what probe() gives
	Between  []int64 // what a thread may get besides, while functions that do not call each other change one after another
	Changes  string  // the functions of the patch, sorted; "": whatever they are
	Refused  []Reason
	Nothing  string // what is said where there is nothing to do
	Warns    string // part of a warning

	Only    []string // words of which one must be part of the name of a configuration
	Flags   []string // of the compiler, for all sources
	Link    []string // of the program
	Library bool     // the case is a shared library of the program
	Strip   bool     // the program is stripped
	// Options of lpctl build.
	Data        bool     // --data
	LayoutOK    []string // --layout-ok TYPE…
	StartCodeOK bool     // --start-code-ok
}

// Reason is a refusal that must be given.
type Reason struct{ Code, Symbol, Text string }

// directive is a line of the comment at the top of case.c or case.cc.
var directive = regexp.MustCompile(`^ \* ([a-z]+): (.*)$`)

// Read reads all cases below a directory, by name.
func Read(root string) ([]*Case, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	var cases []*Case
	for _, e := range entries {
		if !e.IsDir() || slices.Contains([]string{"inside", "load", "programs"}, e.Name()) {
			continue
		}
		c, err := readCase(filepath.Join(root, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		cases = append(cases, c)
	}
	return cases, nil
}

func readCase(dir string) (*Case, error) {
	c := &Case{Name: filepath.Base(dir), Dir: dir}
	if err := c.list(); err != nil {
		return nil, err
	}
	main := "case.c"
	if !slices.Contains(c.Sources, main) {
		main = "case.cc"
	}
	text, err := os.ReadFile(filepath.Join(dir, main))
	if err != nil {
		return nil, err
	}
	head, _, ok := strings.Cut(string(text), " */")
	if !ok {
		return nil, fmt.Errorf("%s does not begin with a comment", main)
	}
	for line := range strings.Lines(head) {
		if m := directive.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			if err := c.take(m[1], m[2]); err != nil {
				return nil, err
			}
		}
	}
	return c, c.check()
}

// list finds the case's files, those in directories of it too.
func (c *Case) list() error {
	return filepath.WalkDir(c.Dir, func(path string, f fs.DirEntry, err error) error {
		if err != nil || f.IsDir() {
			return err
		}
		name, err := filepath.Rel(c.Dir, path)
		if err != nil {
			return err
		}
		switch filepath.Ext(name) {
		case ".cc":
			c.Cxx = true
			fallthrough
		case ".c":
			c.Sources = append(c.Sources, name)
		case ".h", ".map":
			c.Headers = append(c.Headers, name)
		default:
			return fmt.Errorf("%s is neither a source nor a header nor a version script", name)
		}
		return nil
	})
}

// take takes up one directive.
func (c *Case) take(key, value string) (err error) {
	words := strings.Fields(value)
	switch key {
	case "old":
		c.Old, err = strconv.ParseInt(value, 0, 64)
	case "new":
		c.New, err = strconv.ParseInt(value, 0, 64)
	case "between":
		for _, w := range words {
			n, err := strconv.ParseInt(w, 0, 64)
			if err != nil {
				return err
			}
			c.Between = append(c.Between, n)
		}
	case "changes":
		slices.Sort(words)
		c.Changes = strings.Join(words, " ")
	case "refused":
		where, text, _ := strings.Cut(value, ": ")
		code, symbol, _ := strings.Cut(where, " ")
		c.Refused = append(c.Refused, Reason{Code: code, Symbol: symbol, Text: text})
	case "nothing":
		c.Nothing = value
	case "warns":
		c.Warns = value
	case "only":
		c.Only = words
	case "flags":
		c.Flags = words
	case "link":
		c.Link = strings.Fields(strings.ReplaceAll(value, "{dir}", c.Dir))
	case "image":
		c.Library, c.Strip = slices.Contains(words, "library"), slices.Contains(words, "stripped")
	case "options":
		c.Data, c.StartCodeOK = slices.Contains(words, "--data"), slices.Contains(words, "--start-code-ok")
		if i := slices.Index(words, "--layout-ok"); i >= 0 {
			c.LayoutOK = words[i+1:]
		}
	default:
		err = fmt.Errorf("there is no directive %q", key)
	}
	return err
}

// check sees whether the directives make sense together.
func (c *Case) check() error {
	refused := strings.HasSuffix(c.Name, "-refused")
	switch {
	case refused != (len(c.Refused) > 0):
		return fmt.Errorf("a case is called -refused if, and only if, it says \"refused:\"")
	case !refused && c.Nothing == "" && c.Old == c.New:
		return fmt.Errorf("old and new give the same value, so nobody would see the patch")
	}
	return nil
}

// Config is a way to compile a case.
type Config struct{ CC, Opt, Kind string }

// Name is how a configuration is called.
func (c Config) Name() string { return c.CC + "-" + c.Opt + "-" + c.Kind }

// Configs are the ways in which a case can be compiled. Opposite ones (i and 7-i) differ in everything.
func (c *Case) Configs() []Config {
	var all []Config
	for _, cc := range []string{"gcc", "clang"} {
		for _, opt := range []string{"O2", "O3"} {
			for _, kind := range []string{"pie", "nopie"} {
				all = append(all, Config{cc, opt, kind})
			}
		}
	}
	var fit []Config
	for _, cfg := range all {
		if c.fits(cfg) {
			fit = append(fit, cfg)
		}
	}
	return fit
}

func (c *Case) fits(cfg Config) bool {
	for _, word := range c.Only {
		if !slices.Contains([]string{cfg.CC, cfg.Opt, cfg.Kind}, word) {
			return false
		}
	}
	return !c.Library || cfg.Kind == "pie" // there is one kind of library
}

// Selected is one of the configurations, another for the next case, so that all are among those of all cases; all of them
// if the environment has PATCHES=all.
func (c *Case) Selected(nr int) []Config {
	all := c.Configs()
	if os.Getenv("PATCHES") == "all" {
		return all
	}
	i := nr % len(all)
	return all[i : i+1]
}
