// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"pault.ag/go/debian/changelog"
	"pault.ag/go/debian/version"

	"lpatch/pkg/lazyregexp"
)

// System is a system with packages installed by dpkg.
type System struct{ Root string }

// Installed is an installed and configured package.
type Installed struct {
	Name    string // name of the binary package
	Source  string
	Version version.Version // of the source package, and of the binary package
	system  System
}

// maxChangelog is the maximum size of a changelog in bytes.
const maxChangelog = 64 << 20

// Owner returns the package that a file belongs to. It returns an error if this is not certain.
func (s System) Owner(path string) (*Installed, error) {
	names, err := s.search(path)
	if err != nil {
		return nil, err
	}
	if len(names) != 1 {
		return nil, fmt.Errorf("%s is of %d packages by dpkg: %s", path, len(names), strings.Join(names, ", "))
	}
	out, err := s.query("--show", "--showformat=${db:Status-Abbrev}\n${Version}\n${source:Package}\n${source:Version}\n", names[0])
	if err != nil {
		return nil, err
	}
	f := strings.Split(strings.TrimRight(out, "\n"), "\n")
	switch {
	case len(f) != 4:
		return nil, fmt.Errorf("dpkg has several packages %s", names[0])
	case strings.TrimSpace(f[0]) != "ii":
		return nil, fmt.Errorf("package %s is not installed and configured, its status is %q", names[0], f[0])
	case f[1] != f[3]: // a binary-only rebuild, whose source does not tell the reason
		return nil, fmt.Errorf("package %s is %s, built from %s %s: what differs is not known", names[0], f[1], f[2], f[3])
	}
	p := &Installed{Name: names[0], Source: f[2], system: s}
	if p.Version, err = version.Parse(f[1]); err != nil {
		return nil, fmt.Errorf("package %s: %w", names[0], err)
	}
	return p, nil
}

// search queries dpkg for the packages that contain a file. dpkg may list it under the path from before the /usr merge.
func (s System) search(path string) ([]string, error) {
	out, err := s.query("--search", path)
	short, merged := strings.CutPrefix(path, "/usr")
	if err != nil && merged {
		if out, again := s.query("--search", short); again == nil {
			return owners(out, short)
		}
	}
	if err != nil {
		return nil, err
	}
	return owners(out, path)
}

// owners parses the output of dpkg-query --search.
func owners(out, path string) ([]string, error) {
	names, ok := strings.CutSuffix(strings.TrimRight(out, "\n"), ": "+path)
	if !ok || strings.ContainsAny(names, "\n ") && strings.HasPrefix(names, "diversion ") || strings.Contains(names, "\n") {
		return nil, fmt.Errorf("whose %s is, dpkg does not say in one line: %s", path, strings.TrimSpace(out))
	}
	return strings.Split(names, ", "), nil
}

func (s System) query(args ...string) (string, error) {
	cmd := exec.Command("dpkg-query", append([]string{"--admindir=" + filepath.Join(s.Root, "var/lib/dpkg")}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if said := strings.TrimSpace(stderr.String()); said != "" {
			return "", errors.New(strings.TrimPrefix(said, "dpkg-query: "))
		}
		return "", err
	}
	return stdout.String(), nil
}

// changelog reads the changelog installed with the package.
func (p *Installed) changelog() ([]byte, error) {
	name, _, _ := strings.Cut(p.Name, ":")
	dir := filepath.Join(p.system.Root, "usr/share/doc", name)
	f, err := os.Open(filepath.Join(dir, "changelog.Debian.gz"))
	if errors.Is(err, fs.ErrNotExist) && p.Version.IsNative() {
		f, err = os.Open(filepath.Join(dir, "changelog.gz"))
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxChangelog+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	case len(text) > maxChangelog:
		return nil, fmt.Errorf("%s has more than %d bytes", f.Name(), maxChangelog)
	}
	return text, nil
}

// Brings determines from the changelog whether the package contains changes other than fixes of the CVEs in besides, compared
// with an earlier version. The error names such a change, or the reason why this is not known.
func (p *Installed) Brings(after version.Version, besides []string) error {
	text, err := p.changelog()
	if err != nil {
		return fmt.Errorf("what is new in it is not known: %w", err)
	}
	return brings(text, after, p.Version, besides)
}

// brings examines a changelog. Its first entry must be that of the installed version, and it must contain the earlier
// version.
func brings(text []byte, after, installed version.Version, besides []string) error {
	first := true
	for in := entries(text); ; first = false {
		entry, err := changelog.ParseOne(in)
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("its changelog does not go back to %s", after)
		case err != nil:
			return fmt.Errorf("its changelog cannot be read: %w", err)
		case first && version.Compare(entry.Version, installed) != 0:
			return fmt.Errorf("its changelog is of %s", entry.Version)
		case version.Compare(entry.Version, after) == 0:
			return nil
		case version.Compare(entry.Version, after) < 0:
			return fmt.Errorf("its changelog does not have %s", after)
		}
		if more := unfixed(entry.Changelog, besides); more != "" {
			return fmt.Errorf("%s has more: %s", entry.Version, more)
		}
	}
}

var (
	// formal matches items that describe no change.
	formal = lazyregexp.New(`(?i)^ {2,}[*+-] ((non-maintainer|team|QA|security( team)?) upload|upload to [a-z-]+)( by the [a-z ]*team)?[.!]?$`)
	// whole matches items that include more changes than they list.
	whole  = lazyregexp.New(`(?i)\bnew (upstream|stable|bug-?fix|point|maintenance|minor|major|snapshot)|\bupstream (version|release|snapshot|stable)|\b(re-?bas|import|sync|updat|upgrad)(e|es|ed|s|ing)?\b|\breleases?\b`)
	people = lazyregexp.New(`^\s*(\[[^]]*\]\s*)*$`)
)

// unfixed returns the first item of a changelog entry that is not a fix of one of the CVEs in besides, or "". Items nested
// below a fix belong to it; an item with nested items is a heading for them.
func unfixed(text string, besides []string) string {
	list := slices.DeleteFunc(items(text), people().MatchString)
	for i := range list {
		list[i] = strings.TrimRight(list[i], " ")
	}
	indent := func(i int) int { return len(item().FindString(list[i])) }
	under := -1 // fix that the following items belong to
	fixes := false
	for i, thing := range list {
		if under >= 0 && indent(i) <= indent(under) {
			under = -1
		}
		found := cves(thing)
		more := slices.IndexFunc(found, func(id string) bool { return !slices.Contains(besides, id) })
		parent := i+1 < len(list) && item().MatchString(thing) && indent(i+1) > indent(i)
		switch {
		case more >= 0:
			return found[more]
		case whole().MatchString(thing):
			return title(item().ReplaceAllString(thing, ""))
		case len(found) > 0:
			fixes = true
			if under < 0 {
				under = i
			}
		case under >= 0, parent, formal().MatchString(thing):
		default:
			return title(item().ReplaceAllString(thing, ""))
		}
	}
	if !fixes {
		return "what it is for is not said by CVE ids"
	}
	return ""
}
