// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"pault.ag/go/debian/control"
)

// Mirror is an archive of Debian as configured for apt of this machine.
type Mirror struct {
	URI string // without trailing slash
	// Options contains the options in sources.list that concern authentication: "signed-by=/usr/share/keyrings/x.gpg".
	Options []string
}

// Mirrors contains the mirrors of Debian's archive and of its security archive. Security is nil if apt of this machine does
// not use it.
type Mirrors struct{ Main, Security *Mirror }

// keyring contains the archive keys of Debian, from package debian-archive-keyring.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// passed lists the source options that apply to other suites of the same archive.
var passed = []string{"signed-by", "trusted", "check-valid-until", "check-date", "allow-insecure", "allow-weak"}

// FindMirrors queries apt of this machine for its mirrors. If another is set, it is used instead, with Debian's keys; its
// security archive has the same URI with "-security" appended. Files are written to dir: keys embedded in a source, and
// package lists if the machine has none. If apt knows no mirror, the error tells what to do.
func FindMirrors(ctx context.Context, dir, another string) (Mirrors, error) {
	if another != "" {
		if _, err := os.Stat(keyring); err != nil {
			return Mirrors{}, errors.New("this machine has no keys of Debian's archive (apt-get install debian-archive-keyring)")
		}
		m := &Mirror{strings.TrimRight(another, "/"), []string{"signed-by=" + keyring}}
		return Mirrors{m, &Mirror{m.URI + "-security", m.Options}}, nil
	}
	out, err := indexTargets(ctx)
	if err == nil && len(bytes.TrimSpace(out)) == 0 {
		out, err = freshTargets(ctx)
	}
	if err != nil {
		return Mirrors{}, err
	}
	return findMirrors(out, os.ReadFile, dir)
}

// freshTargets returns the index targets of a machine without package lists, which are needed to identify the archives. It
// downloads the lists separately, as apt's own user if there is one, and does not modify those of the machine.
func freshTargets(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "lpctl-lists-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "partial"), 0o755)); err != nil {
		return nil, err
	}
	lists := []string{"-o", "Dir::State::lists=" + dir}
	// one of several sources may be unavailable, so use what was downloaded
	_, failed := output(ctx, "apt-get", append(slices.Clone(lists), "-qq", "update")...)
	out, err := indexTargets(ctx, lists...)
	if err == nil && len(out) == 0 {
		err = failed
	}
	return out, err
}

func indexTargets(ctx context.Context, options ...string) ([]byte, error) {
	return output(ctx, "apt-get", append(slices.Clone(options), "indextargets", "Created-By: Packages")...)
}

// output runs a command and returns its standard output. The error contains its standard error.
func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out, nil
}

// findMirrors parses the output of apt-get indextargets. readFile reads the files that it names.
func findMirrors(targets []byte, readFile func(string) ([]byte, error), dir string) (Mirrors, error) {
	var m Mirrors
	r, err := control.NewParagraphReader(bytes.NewReader(targets), nil)
	if err != nil {
		return m, err
	}
	list, err := r.All()
	if err != nil {
		return m, fmt.Errorf("apt-get indextargets: %w", err)
	}
	var others []string
	for _, p := range list {
		place := map[string]**Mirror{"Debian": &m.Main, "Debian-Security": &m.Security}[p.Values["Label"]]
		uri := strings.TrimRight(p.Values["Repo-URI"], "/")
		if p.Values["Origin"] != "Debian" || place == nil || strings.HasPrefix(uri, "cdrom:") {
			if !slices.Contains(others, uri) {
				others = append(others, uri)
			}
			continue
		}
		if *place != nil {
			continue // apt uses the first one, too
		}
		if *place, err = newMirror(uri, p.Values["Sourcesentry"], readFile, dir); err != nil {
			return m, err
		}
	}
	if m.Main == nil {
		return m, noMirror(others)
	}
	return m, nil
}

// noMirror returns an error with instructions for a machine that does not use Debian's archive.
func noMirror(others []string) error {
	has := "no source at all"
	if len(others) > 0 {
		has = "only " + strings.Join(others, ", ")
	}
	return errors.New("apt of this machine has no source of Debian's archive (it has " + has +
		"); name one with --mirror or in LPATCH_MIRROR, as http://deb.debian.org/debian")
}

// newMirror determines the options of a source from the entry where apt has read it, FILE:NUMBER.
func newMirror(uri, entry string, readFile func(string) ([]byte, error), dir string) (*Mirror, error) {
	m := &Mirror{URI: uri}
	file := entry[:max(strings.LastIndexByte(entry, ':'), 0)]
	text, err := readFile(file)
	if err != nil {
		return nil, err
	}
	for _, s := range parseSources(file, string(text)) {
		if !slices.ContainsFunc(s.uris, func(u string) bool { return strings.TrimRight(u, "/") == uri }) {
			continue
		}
		if m.Options, err = s.passOn(dir); err != nil {
			return nil, err
		}
		break
	}
	// a mirror list is a file of this machine; its first entry is sufficient
	if list, ok := strings.CutPrefix(uri, "mirror+file:"); ok {
		text, err := readFile("/" + strings.TrimLeft(list, "/"))
		if err != nil {
			return nil, err
		}
		if fields := strings.Fields(string(text)); len(fields) > 0 {
			m.URI = strings.TrimRight(fields[0], "/")
		}
	}
	return m, nil
}

// passOn returns the options to be passed on. It writes an embedded key to dir.
func (s source) passOn(dir string) ([]string, error) {
	var options []string
	for _, name := range passed {
		value := s.options[name]
		if strings.Contains(value, "BEGIN PGP") {
			var err error
			if value, err = keepKey(dir, value); err != nil {
				return nil, err
			}
		}
		if value != "" {
			options = append(options, name+"="+strings.Join(strings.Fields(value), ","))
		}
	}
	return options, nil
}

// keepKey writes an embedded key to a file, which sources.list can refer to.
func keepKey(dir, key string) (string, error) {
	var lines []string
	for line := range strings.Lines(key) {
		if line = strings.TrimSpace(line); line == "." {
			line = ""
		}
		lines = append(lines, line)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "mirror-key.asc")
	return path, os.WriteFile(path, []byte(strings.TrimSpace(strings.Join(lines, "\n"))+"\n"), 0o644)
}

// source is an entry in a file of sources.
type source struct {
	uris    []string
	options map[string]string // by their names in sources.list
}

// parseSources parses a file of sources: paragraphs in NAME.sources, otherwise lines.
func parseSources(file, text string) []source {
	if !strings.HasSuffix(file, ".sources") {
		return parseLines(text)
	}
	var list []source
	for _, paragraph := range strings.Split(withoutComments(text), "\n\n") {
		s := source{options: map[string]string{}}
		name := ""
		for line := range strings.Lines(paragraph) {
			if line[0] == ' ' || line[0] == '\t' {
				s.options[name] += "\n" + strings.TrimSpace(line)
			} else if key, value, ok := strings.Cut(line, ":"); ok {
				name = strings.ToLower(strings.TrimSpace(key))
				s.options[name] = strings.TrimSpace(value)
			}
		}
		s.uris = strings.Fields(s.options["uris"])
		list = append(list, s)
	}
	return list
}

// withoutComments removes comment lines, and makes lines of white space empty.
func withoutComments(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimRight(line, " \t\n"))
		}
	}
	return strings.Join(lines, "\n")
}

// parseLines parses lines of the form deb [arch=amd64 signed-by=FILE] URI SUITE COMPONENT…
func parseLines(text string) []source {
	var list []source
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		s := source{options: map[string]string{}}
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.TrimSpace(rest)
		if options, after, ok := strings.Cut(rest, "]"); ok && strings.HasPrefix(rest, "[") {
			for _, o := range strings.Fields(options[1:]) {
				name, value, _ := strings.Cut(o, "=")
				s.options[strings.ToLower(name)] = value
			}
			rest = after
		}
		if fields := strings.Fields(rest); kind == "deb" && len(fields) > 1 {
			s.uris = fields[:1]
			list = append(list, s)
		}
	}
	return list
}

// keys returns the paths of the key files on this machine that authenticate the mirrors.
func (m Mirrors) keys() []string {
	var files []string
	for _, one := range []*Mirror{m.Main, m.Security} {
		if one == nil {
			continue
		}
		i := slices.IndexFunc(one.Options, func(o string) bool { return strings.HasPrefix(o, "signed-by=/") })
		if i >= 0 {
			files = append(files, strings.Split(strings.TrimPrefix(one.Options[i], "signed-by="), ",")...)
			continue
		}
		for _, pattern := range []string{"/etc/apt/trusted.gpg", "/etc/apt/trusted.gpg.d/*"} {
			found, _ := filepath.Glob(pattern) // the pattern is valid
			files = append(files, found...)
		}
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// List returns lines of sources.list of the given kinds (deb, deb-src), for component main of each suite. Suites called
// NAME-security are in the security archive, and omitted if apt of this machine does not use it.
func (m Mirrors) List(kinds []string, suites ...string) string {
	var b strings.Builder
	for _, kind := range kinds {
		for _, suite := range suites {
			from := m.Main
			if strings.HasSuffix(suite, "-security") {
				from = m.Security
			}
			if from == nil {
				continue
			}
			options := ""
			if len(from.Options) > 0 {
				options = "[" + strings.Join(from.Options, " ") + "] "
			}
			fmt.Fprintf(&b, "%s %s%s %s main\n", kind, options, from.URI, suite)
		}
	}
	return b.String()
}
