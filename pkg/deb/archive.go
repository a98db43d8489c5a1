// SPDX-License-Identifier: GPL-2.0

// Package deb downloads Debian packages, as source and binary, and builds them in clean roots of their release. Every program
// that processes untrusted data runs in a sandbox, and so do all untrusted programs; this process only copies files from
// there.
package deb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pault.ag/go/debian/control"
	"pault.ag/go/debian/version"

	"lpatch/pkg/sandbox"
)

// Archive is the Debian archive for one release, accessed by apt with a separate configuration.
type Archive struct {
	Suite   string // for example "bookworm"
	dir     string
	box     *sandbox.Sandbox // sandbox in which apt of this machine runs
	mirrors Mirrors
	// snapshot is the archive at an earlier time, from which alone a root is then created; Main is nil if there is none.
	snapshot Mirrors
	// options precede the arguments of each apt command.
	options []string
}

// sourcesList returns the lines of sources.list for a release, with its updates (SUITE-updates) and its security updates.
func sourcesList(m Mirrors, suite string) string {
	return m.List([]string{"deb", "deb-src"}, suite, suite+"-updates", suite+"-security")
}

// OpenArchive reads the package lists of a release into dir. It uses the mirror that apt of this machine uses, unless mirror
// is set; see FindMirrors. If snapshot is set, it reads this archive as well; see snapshotMirrors.
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
	a, err := openArchive(ctx, dir, suite, list, append(m.keys(), earlier.keys()...))
	if err != nil {
		return nil, err
	}
	a.mirrors, a.snapshot = m, earlier
	return a, nil
}

// The paths in the sandbox of apt, as seen by apt. The builder owns those that it unpacks.
const (
	aptDir  = "/mnt/apt"
	aptWork = "/mnt/work"
)

func openArchive(ctx context.Context, dir, suite, list string, keys []string) (*Archive, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	a := &Archive{Suite: suite, dir: dir}
	box := filepath.Join(dir, "box")
	var err error
	if a.box, err = sandbox.Open(box); errors.Is(err, os.ErrNotExist) {
		a.box, err = sandbox.Make(ctx, box)
	}
	if err != nil {
		return nil, err
	}
	if err := a.configure(ctx, list, keys); err != nil {
		return nil, err
	}
	// packages installed on this machine are irrelevant
	for _, o := range []string{
		"APT::Architecture=amd64", "APT::Architectures=amd64", "Dir::State::lists=" + aptDir + "/lists",
		"Dir::State::status=/dev/null", "Dir::Cache=" + aptDir + "/cache", "Dir::Etc::sourcelist=" + aptDir + "/sources.list",
		"Dir::Etc::sourceparts=" + aptDir + "/none", "Dir::Etc::preferences=/dev/null", "Dir::Etc::preferencesparts=" + aptDir + "/none",
		"Dir::Etc::netrc=" + aptDir + "/root/etc/apt/auth.conf", "Dir::Etc::netrcparts=" + aptDir + "/root/etc/apt/auth.conf.d",
	} {
		a.options = append(a.options, "-o", o)
	}
	a.options = append(a.options, "-c", aptDir+"/apt.conf")
	return a, a.box.Run(ctx, a.apt("update", "update", "--error-on=any"))
}

// configure copies apt's input files into its sandbox. Keys and passwords that are not world-readable, and files in
// inaccessible directories, are copied below aptDir/root.
func (a *Archive) configure(ctx context.Context, list string, keys []string) error {
	settings, err := Settings(ctx)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "lpctl-apt-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	files, err := copyFiles(filepath.Join(tmp, "root"), keys, settings, isAny)
	if err != nil {
		return err
	}
	list, settings = moved(list, settings, files, aptDir+"/root")
	for name, text := range map[string]string{"sources.list": list, "apt.conf": settings} {
		if err := os.WriteFile(filepath.Join(tmp, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	const script = `rm -rf "$1/root"; mkdir -p "$1/lists/partial" "$1/cache/archives/partial" "$1/none" "$1/root/etc/apt/auth.conf.d"
mkdir -p "$2"; chown 1000 "$2"; exec tar -xpf - --no-same-owner -C "$1"`
	return a.box.PutBy(ctx, sandbox.Job{Name: "configure", Host: true, As: sandbox.Installer, Args: []string{"sh", "-ec", script, "sh", aptDir, aptWork}}, tmp)
}

// apt returns a job that runs apt-get.
func (a *Archive) apt(log string, args ...string) sandbox.Job {
	return sandbox.Job{
		Name: log, Host: true, Net: true, As: sandbox.Installer, Env: proxies(), Args: slices.Concat([]string{"apt-get", "-q"}, a.options, args),
	}
}

// get runs apt-get to download files, and merges them into a directory of this machine.
func (a *Archive) get(ctx context.Context, dir, log string, args ...string) error {
	const out = aptDir + "/out"
	// downloads run as an unprivileged user even in the sandbox; partial results are kept
	const script = `rm -rf "$1"; mkdir -p "$1"; cd "$1"; tar -xpf - --no-same-owner; chown _apt . || true
status=0; shift; "$@" >&2 || status=$?; tar -cf - .; exit $status`
	was, err := sandbox.Pack(dir)
	if err != nil {
		return err
	}
	defer was.Close()
	job := a.apt(log, args...)
	job.In, job.Args = was, slices.Concat([]string{"sh", "-ec", script, "sh", out}, job.Args)
	return a.box.TakeFrom(ctx, job, dir, sandbox.Keep{})
}

// show runs apt-cache and parses the paragraphs that it prints.
func (a *Archive) show(ctx context.Context, args ...string) ([]control.Paragraph, error) {
	// apt-cache ignores unknown names if it knows at least one
	out, err := a.box.Output(ctx, sandbox.Job{Name: "show", Host: true, Args: slices.Concat([]string{"apt-cache"}, a.options, args)})
	if err != nil {
		return nil, err
	}
	r, err := control.NewParagraphReader(strings.NewReader(out), nil)
	if err != nil {
		return nil, err
	}
	return r.All()
}

// Source is a source package.
type Source struct {
	Name    string
	Version version.Version
	// Binaries contains the names of the binary packages built from it.
	Binaries []string
	// Dsc or Tree is set for a source on this machine: the .dsc file, or the unpacked directory. Otherwise it is in the
	// archive.
	Dsc, Tree string
	// Path is the directory in which it is to be built; "" for that of Debian's build machines.
	Path string

	// programs contains those of Binaries for amd64 that contain programs, according to debian/control of a tree.
	programs  []string
	paragraph control.Paragraph // describes the source package
}

// Local reports whether the source is on this machine.
func (s *Source) Local() bool { return s.Dsc+s.Tree != "" }

// ID returns NAME_VERSION without epoch, as in file names.
func (s *Source) ID() string { return s.Name + "_" + s.Version.StringWithoutEpoch() }

// FindSource finds a version of a source package. The error lists the available versions.
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
			return &Source{Name: name, Version: v, Binaries: packageNames(splitList(p.Values["Binary"])), paragraph: p}, nil
		}
		have = append(have, p.Values["Version"])
	}
	hint := ""
	if a.mirrors.Main != nil && a.mirrors.Security == nil {
		hint = " (apt of this machine has no source of Debian's security updates)"
	}
	return nil, fmt.Errorf("%s has no version %s of the source package %s; it has %s%s; name a .dsc file or an unpacked directory of it, or an archive of its time with --snapshot", a.Suite, want, name, strings.Join(have, " and "), hint)
}

// parseVersion parses a version from the archive's lists. An invalid one is the zero version, which equals no other.
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

// FetchSource downloads a source package into a directory and returns the path of its .dsc file, or "" for an unpacked source
// on this machine.
//
// The build only needs the tar files and Debian's part. Mirrors may lack the other files: the signature of the upstream tar
// file, and the .dsc file, whose content is also in the package lists. Files that are in the directory already are not
// downloaded again.
func (a *Archive) FetchSource(ctx context.Context, s *Source, dir string) (string, error) {
	switch {
	case s.Tree != "":
		return "", nil
	case s.Dsc != "":
		return s.copySource(dir)
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

// FetchDebian downloads only Debian's part of a source package, the directory debian, and returns the path of the .dsc file.
// This is sufficient for a version that is not built, and often available for longer than the rest.
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

// Binary is a binary package.
type Binary struct {
	Name    string
	Version string // differs from the version of the source after a binary-only rebuild ("+b1")
}

// FindBinaries returns the binary packages for amd64 of a source package, without debug symbol packages.
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

// sourceOf and sourceVersion parse the field Source, "NAME (VERSION)". Parts equal to those of the binary package are
// omitted.
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

// FetchBinaries downloads packages and unpacks each one into the subdirectory of dir with its name.
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

// unpackBinary unpacks a package. Files become readable, and lose set-user-ID bits and the like.
func (a *Archive) unpackBinary(ctx context.Context, file, dir string) error {
	f, err := openRegular(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	// only links that are names of programs are needed, and nothing follows them
	keep := sandbox.Keep{Link: func(name, to string) bool {
		return !strings.Contains(to, "/") || strings.HasSuffix(filepath.Dir(name), "bin")
	}}
	return a.box.TakeFrom(ctx, sandbox.Job{Name: "unpack", Host: true, Args: []string{"dpkg-deb", "--fsys-tarfile", "-"}, In: io.MultiReader(f)}, dir, keep)
}

// UnpackDebian unpacks only the directory debian of a source package to tree.
func (a *Archive) UnpackDebian(ctx context.Context, dsc, tree string) error {
	tars, err := filepath.Glob(strings.TrimSuffix(dsc, ".dsc") + ".debian.tar.*")
	if err != nil || len(tars) != 1 {
		return fmt.Errorf("%s: not of format 3.0 (quilt), so it has no debian/patches to compare; give the fix with --patch", dsc)
	}
	f, err := openRegular(tars[0])
	if err != nil {
		return err
	}
	defer f.Close()
	const script = `cat >"$1/$2"; mkdir "$1/tree"; tar -xf "$1/$2" --no-same-permissions -C "$1/tree"; exec tar -C "$1/tree" -cf - .`
	return a.box.TakeFrom(ctx, sandbox.Job{
		Name: "unpack-debian", Host: true, In: io.MultiReader(f),
		Args: []string{"sh", "-ec", `rm -rf "$1"/*; ` + script, "sh", aptWork, filepath.Base(tars[0])},
	}, tree, sandbox.Keep{Link: sandbox.AllLinks})
}
