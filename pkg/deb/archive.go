// SPDX-License-Identifier: GPL-2.0

// Package deb fetches Debian packages, sources and binaries, and builds them in clean roots of their release.
package deb

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"pault.ag/go/debian/control"
	"pault.ag/go/debian/version"

	"lpatch/pkg/command"
)

// Archive is Debian's archive for one release, by apt with a configuration of its own: the machine's stays as it is.
type Archive struct {
	Suite   string // "bookworm"
	dir     string
	mirrors Mirrors
	// snapshot is an archive of an earlier time, from which a root is then made alone; Main is nil if there is none.
	snapshot Mirrors
	// options are in front of each command of apt.
	options []string
}

// sourcesList returns the lines of sources.list for a release, with its security updates and what is about to be in its next
// point release.
func sourcesList(m Mirrors, suite string) string {
	return m.List([]string{"deb", "deb-src"}, suite, suite+"-updates", suite+"-security")
}

// OpenArchive reads the lists of a release into dir, from where apt of this machine gets Debian, or from another mirror if that
// is not "": see FindMirrors. A snapshot, if it is not "", is read as well: see snapshotMirrors.
func OpenArchive(ctx context.Context, dir, suite, mirror, snapshot string) (*Archive, error) {
	earlier, err := snapshotMirrors(snapshot)
	if err != nil {
		return nil, err
	}
	m, err := FindMirrors(ctx, filepath.Join(dir, "machine"), mirror)
	if err != nil {
		return nil, err
	}
	list := sourcesList(m, suite)
	if earlier.Main != nil {
		list += sourcesList(earlier, suite)
	}
	a, err := openArchive(ctx, dir, suite, list)
	if err != nil {
		return nil, err
	}
	a.mirrors, a.snapshot = m, earlier
	return a, nil
}

func openArchive(ctx context.Context, dir, suite, list string) (*Archive, error) {
	a := &Archive{Suite: suite, dir: dir}
	for _, d := range []string{"lists/partial", "cache/archives/partial", "none"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "sources.list"), []byte(list), 0o644); err != nil {
		return nil, err
	}
	// As user root: apt's own cannot write here. Nothing of what the machine has installed is of interest.
	for _, o := range []string{
		"APT::Sandbox::User=root", "APT::Architecture=amd64", "APT::Architectures=amd64", "Dir::State::lists=" + dir + "/lists",
		"Dir::State::status=/dev/null", "Dir::Cache=" + dir + "/cache", "Dir::Etc::sourcelist=" + dir + "/sources.list",
		"Dir::Etc::sourceparts=" + dir + "/none", "Dir::Etc::preferences=/dev/null", "Dir::Etc::preferencesparts=" + dir + "/none",
	} {
		a.options = append(a.options, "-o", o)
	}
	return a, a.get(ctx, dir, "update", "--error-on=any", "update")
}

// get runs apt-get in a directory.
func (a *Archive) get(ctx context.Context, dir, log string, args ...string) error {
	c := command.Command{
		Args: append(append([]string{"apt-get", "-q"}, a.options...), args...), Dir: dir, Log: filepath.Join(a.dir, log+".log"),
	}
	return c.Run(ctx)
}

// show runs apt-cache and reads the paragraphs that it prints.
func (a *Archive) show(ctx context.Context, args ...string) ([]control.Paragraph, error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, "apt-cache", append(append([]string{}, a.options...), args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil { // names that it does not know are none, if it knows one
		return nil, fmt.Errorf("apt-cache %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	r, err := control.NewParagraphReader(&out, nil)
	if err != nil {
		return nil, err
	}
	return r.All()
}

// Source is a source package.
type Source struct {
	Name    string
	Version version.Version
	// Binaries are the names of the packages that it builds.
	Binaries []string
	// Dsc or Tree is where it is on this machine: its description, or a directory of it, unpacked. Else it is the archive's.
	Dsc, Tree string
	// Path is where it is to be built; "" for where Debian's build machines do it.
	Path string

	// programs are those of Binaries that amd64 has with programs in them, as far as debian/control of a tree says it.
	programs  []string
	paragraph control.Paragraph // what describes it
}

// Local tells whether it is on this machine.
func (s *Source) Local() bool { return s.Dsc+s.Tree != "" }

// ID is as in file names, NAME_VERSION without epoch.
func (s *Source) ID() string { return s.Name + "_" + s.Version.StringWithoutEpoch() }

// FindSource looks for one version of a source package. The error says which versions there are.
func (a *Archive) FindSource(ctx context.Context, name, want string) (*Source, error) {
	v, err := version.Parse(want)
	if err != nil {
		return nil, fmt.Errorf("%q is not a version of a Debian package: %w", want, err)
	}
	list, err := a.show(ctx, "showsrc", "--only-source", name)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no source package %s (dpkg -s shows the one of a package that is installed)", a.Suite, name)
	}
	var have []string
	for _, p := range list {
		if version.Compare(parseVersion(p.Values["Version"]), v) == 0 {
			return &Source{Name: name, Version: v, Binaries: splitList(p.Values["Binary"]), paragraph: p}, nil
		}
		have = append(have, p.Values["Version"])
	}
	hint := ""
	if a.mirrors.Main != nil && a.mirrors.Security == nil {
		hint = " (apt of this machine has no source of Debian's security updates)"
	}
	return nil, fmt.Errorf("%s has no version %s of the source package %s; it has %s%s; name a .dsc file or an unpacked directory of it, or an archive of its time with --snapshot", a.Suite, want, name, strings.Join(have, " and "), hint)
}

// parseVersion reads a version of the archive's own lists; a broken one is the zero version and equals none.
func parseVersion(s string) version.Version {
	v, err := version.Parse(strings.TrimSpace(s))
	if err != nil {
		return version.Version{}
	}
	return v
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' })
}

// FetchSource gets a source package into a directory and returns its .dsc file; "" for one that is unpacked on this machine.
//
// All that is needed to build it are the tar files and Debian's own part. The archive at times does not serve the rest where it says:
// the signature of the upstream tar, and the description, of which its lists say as much. What is in the directory is not got again.
func (a *Archive) FetchSource(ctx context.Context, s *Source, dir string) (string, error) {
	switch {
	case s.Tree != "":
		return "", nil
	case s.Dsc != "":
		return s.copySource(ctx, a, dir)
	}
	dsc := filepath.Join(dir, s.ID()+".dsc")
	err := a.fetchSource(ctx, s, dir)
	if err == nil {
		return dsc, nil
	}
	for _, part := range []string{"--tar-only", "--diff-only"} {
		if a.fetchSource(ctx, s, dir, part) != nil {
			return "", notServed(s, err)
		}
	}
	if a.fetchSource(ctx, s, dir, "--dsc-only") == nil {
		return dsc, nil
	}
	return dsc, s.writeDsc(dir)
}

// FetchDebian downloads what Debian adds to the source of a package, its directory debian, and returns where the .dsc file would
// be. It is all that is needed of a version that is not built, and often served for longer than the rest.
func (a *Archive) FetchDebian(ctx context.Context, s *Source, dir string) (string, error) {
	if err := a.fetchSource(ctx, s, dir, "--diff-only"); err != nil {
		return "", notServed(s, err)
	}
	return filepath.Join(dir, s.ID()+".dsc"), nil
}

func (a *Archive) fetchSource(ctx context.Context, s *Source, dir string, options ...string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	args := append([]string{"--download-only", "--only-source"}, options...)
	return a.get(ctx, dir, "source", append(args, "source", s.Name+"="+s.Version.String())...)
}

func notServed(s *Source, err error) error {
	return fmt.Errorf("the archive lists the source %s %s but does not serve it (any more); name a .dsc file or an unpacked directory of it, or an archive of its time with --snapshot: %w", s.Name, s.Version, err)
}

// Binary is a package that was built from a source package.
type Binary struct {
	Name    string
	Version string // differs from the source's where only the build was repeated ("+b1")
}

// FindBinaries lists the packages for amd64 that were built from a source package, without those of debugging symbols.
func (a *Archive) FindBinaries(ctx context.Context, s *Source) ([]Binary, error) {
	list, err := a.show(ctx, append([]string{"show", "--all-versions"}, s.Binaries...)...)
	if err != nil {
		return nil, err
	}
	var found []Binary
	for _, p := range list {
		b := Binary{p.Values["Package"], p.Values["Version"]}
		if p.Values["Architecture"] == "amd64" && sourceOf(p) == s.Name && version.Compare(sourceVersion(p), s.Version) == 0 && !slices.Contains(found, b) {
			found = append(found, b)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s has no packages for amd64 built from %s %s; without the stock files nothing can be said about what runs: "+
			"name an archive of their time with --snapshot, or have them beside the .dsc file or directory that --from names", a.Suite, s.Name, s.Version)
	}
	return found, nil
}

// sourceOf and sourceVersion read the field Source, "NAME (VERSION)"; it is left out where it says nothing new.
func sourceOf(p control.Paragraph) string {
	name, _, _ := strings.Cut(p.Values["Source"], " ")
	if name == "" {
		return p.Values["Package"]
	}
	return name
}

func sourceVersion(p control.Paragraph) version.Version {
	if _, rest, ok := strings.Cut(p.Values["Source"], "("); ok {
		v, _, _ := strings.Cut(rest, ")")
		return parseVersion(v)
	}
	return parseVersion(p.Values["Version"])
}

// FetchBinaries downloads packages and unpacks each into a directory of its name below dir.
func (a *Archive) FetchBinaries(ctx context.Context, list []Binary, dir string) error {
	debs := filepath.Join(a.dir, "debs")
	for _, b := range list {
		if err := os.RemoveAll(debs); err != nil {
			return err
		}
		if err := os.MkdirAll(debs, 0o755); err != nil {
			return err
		}
		if err := a.get(ctx, debs, "download", "download", b.Name+"="+b.Version); err != nil {
			return fmt.Errorf("the archive lists the package %s %s but does not serve it (any more); name an archive of its time with --snapshot, or have it beside the .dsc file or directory that --from names: %w", b.Name, b.Version, err)
		}
		files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
		if err != nil || len(files) != 1 {
			return fmt.Errorf("apt-get download %s: %d files, not one", b.Name, len(files))
		}
		if err := a.unpackBinary(ctx, files[0], filepath.Join(dir, b.Name)); err != nil {
			return err
		}
	}
	return nil
}

func (a *Archive) unpackBinary(ctx context.Context, file, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	return a.tool(ctx, "unpack", "dpkg-deb", "-x", file, dir)
}

// UnpackDebian unpacks the directory debian of a source package to tree, and nothing else of it.
func (a *Archive) UnpackDebian(ctx context.Context, dsc, tree string) error {
	tars, err := filepath.Glob(strings.TrimSuffix(dsc, ".dsc") + ".debian.tar.*")
	if err != nil || len(tars) != 1 {
		return fmt.Errorf("%s: not of format 3.0 (quilt), so it has no debian/patches to compare; give the fix with --patch", dsc)
	}
	if err := os.RemoveAll(tree); err != nil {
		return err
	}
	if err := os.MkdirAll(tree, 0o755); err != nil {
		return err
	}
	c := command.Command{Args: []string{"tar", "-xf", tars[0], "-C", tree, "--no-same-owner"}, Log: filepath.Join(a.dir, "unpack-debian.log")}
	return c.Run(ctx)
}
