// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"pault.ag/go/debian/control"
	"pault.ag/go/debian/version"

	"lpatch/pkg/lazyregexp"
)

// IsLocal reports whether want is a .dsc file or a directory of this machine, and not a version. No version contains a slash.
func IsLocal(want string) bool { return strings.Contains(want, "/") || strings.HasSuffix(want, ".dsc") }

// OpenSource identifies the source package of a .dsc file or an unpacked directory. name is its expected name.
func OpenSource(path, name string) (*Source, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	s := &Source{}
	if st.IsDir() {
		err = s.readTree(path)
	} else {
		err = s.readDsc(path)
	}
	if err == nil && s.Name != name {
		return nil, fmt.Errorf("%s is of the source package %s, not of %s, which was asked for", path, s.Name, name)
	}
	return s, err
}

func (s *Source) readDsc(path string) error {
	list, err := paragraphsOf(path)
	if err != nil || len(list) == 0 || list[0].Values["Source"] == "" {
		return fmt.Errorf("%s is not a .dsc file, which describes a source package: %w", path, errors.Join(err, errNoSource))
	}
	p := list[0]
	s.Name, s.Dsc, s.Binaries, s.paragraph = p.Values["Source"], path, packageNames(splitList(p.Values["Binary"])), p
	return s.setVersion(path, p.Values["Version"])
}

func (s *Source) setVersion(path, text string) error {
	v, err := version.Parse(strings.TrimSpace(text))
	if err != nil {
		return fmt.Errorf("%s: %q is not a version of a Debian package: %w", path, text, err)
	}
	s.Version = v
	return nil
}

var (
	errNoSource = errors.New("it has no field Source")
	packageName = lazyregexp.New(`^[a-z0-9][a-z0-9+.-]*$`)
	heading     = lazyregexp.New(`(?m)^([a-z0-9][a-z0-9+.-]*) \(([^()]+)\)`)
)

// packageNames returns those of list that are valid package names, because they are used in paths and commands.
func packageNames(list []string) []string {
	return slices.DeleteFunc(list, func(name string) bool { return !packageName().MatchString(name) })
}

// readTree reads debian/changelog and debian/control.
func (s *Source) readTree(dir string) error {
	tree, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer tree.Close()
	text, err := readInside(tree, "debian/changelog")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s has no debian/changelog; name the top directory of an unpacked source package, or its .dsc file", dir)
	} else if err != nil {
		return err
	}
	m := heading().FindStringSubmatch(string(text))
	if m == nil {
		return fmt.Errorf("%s/debian/changelog does not begin with the name of a source package and a version", dir)
	}
	s.Name, s.Tree = m[1], dir
	text, err = readInside(tree, "debian/control")
	if err != nil {
		return err
	}
	list, err := paragraphs(bytes.NewReader(text), filepath.Join(dir, "debian/control"))
	if err != nil {
		return err
	}
	for _, p := range list {
		if name := p.Values["Package"]; packageName().MatchString(name) {
			s.Binaries = append(s.Binaries, name)
			if hasPrograms(p.Values["Architecture"], p.Values["Package-Type"], strings.Trim(p.Values["Build-Profiles"], "<> ")) {
				s.programs = append(s.programs, name)
			}
		}
	}
	return s.setVersion(dir, m[2])
}

// paragraphsOf parses a file that was named by the user.
func paragraphsOf(path string) ([]control.Paragraph, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return paragraphs(io.LimitReader(f, maxText), path)
}

// paragraphs parses a control file, which may be signed. The signature is not verified, because the user named the file by
// its path.
func paragraphs(f io.Reader, path string) ([]control.Paragraph, error) {
	r, err := control.NewParagraphReader(f, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	list, err := r.All()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return list, nil
}

// MD5
type sourceFile struct{ name, size, sum string } // sum is of MD5

// listed returns the files that a .dsc file lists. Some package lists contain checksums other than MD5 only; a .dsc file
// needs an MD5 for its syntax, but it is not used, since apt has verified the others.
func listed(p control.Paragraph) []sourceFile {
	for _, field := range []string{"Files", "Checksums-Sha256", "Checksums-Sha512"} {
		var out []sourceFile
		for line := range strings.Lines(p.Values[field]) {
			f := strings.Fields(line)
			if len(f) != 3 {
				continue
			}
			if field != "Files" {
				f[0] = f[0][:min(32, len(f[0]))]
			}
			out = append(out, sourceFile{f[2], f[1], f[0]})
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// copySource copies the files that a .dsc file of this machine lists.
func (s *Source) copySource(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, f := range append(listed(s.paragraph), sourceFile{name: filepath.Base(s.Dsc)}) {
		if filepath.Base(f.name) != f.name || !filepath.IsLocal(f.name) {
			return "", fmt.Errorf("%s names %s, which is not the name of a file beside it", s.Dsc, f.name)
		}
		err := copyRegular(filepath.Join(filepath.Dir(s.Dsc), f.name), filepath.Join(dir, f.name))
		switch {
		case errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(f.name, ".asc"):
		case errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("%s names %s, which is not beside it", s.Dsc, f.name)
		case err != nil:
			return "", err
		}
	}
	return filepath.Join(dir, filepath.Base(s.Dsc)), nil
}

// openRegular opens a regular file, without following a link: the source is untrusted, and a link could refer to private
// files of this user.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link, which is not followed: have the file itself there", path)
	} else if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// copyRegular copies a regular file and replaces the target.
func copyRegular(from, to string) error {
	f, err := openRegular(from)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return errors.Join(err, w.Close())
}

// writeDsc writes the .dsc file of a source package from its description in the package lists.
func (s *Source) writeDsc(dir string) error {
	var b strings.Builder
	own := s.ID() + ".dsc"
	fmt.Fprintf(&b, "Format: %s\nSource: %s\nVersion: %s\nMaintainer: x\nArchitecture: any\nFiles:\n", s.paragraph.Values["Format"], s.Name, s.Version)
	for _, f := range listed(s.paragraph) {
		if f.name != own {
			fmt.Fprintf(&b, " %s %s %s\n", f.sum, f.size, f.name)
		}
	}
	return os.WriteFile(filepath.Join(dir, own), []byte(b.String()), 0o644)
}

// stockBeside returns the packages built from a source that are next to its .dsc file or directory, as
// NAME_VERSION_amd64.deb.
func (s *Source) stockBeside() []string {
	dir := filepath.Dir(s.Dsc + s.Tree)
	var found []string
	for _, name := range s.Binaries {
		list, _ := filepath.Glob(filepath.Join(dir, name+"_"+s.Version.StringWithoutEpoch()+"*_amd64.deb")) // the pattern is valid, because names contain no brackets
		for _, file := range list {
			rest := strings.TrimPrefix(filepath.Base(file), name+"_"+s.Version.StringWithoutEpoch())
			if rest, ok := strings.CutSuffix(rest, "_amd64.deb"); ok && ofVersion().MatchString(rest) {
				found = append(found, file)
			}
		}
	}
	return found
}

// ofVersion matches what may follow the version of a build: +bN after a binary-only rebuild.
var ofVersion = lazyregexp.New(`^(\+b[0-9]+)?$`)

// FetchStock obtains the packages built from a source and unpacks each one into the subdirectory of dir with its name: those
// next to a source of this machine, otherwise those of the archive.
func (a *Archive) FetchStock(ctx context.Context, s *Source, dir string) error {
	var beside []string
	if s.Local() {
		beside = s.stockBeside()
	}
	if len(beside) == 0 {
		list, err := a.FindBinaries(ctx, s)
		if err != nil {
			return err
		}
		return a.FetchBinaries(ctx, list, dir)
	}
	for _, file := range beside {
		name, _, _ := strings.Cut(filepath.Base(file), "_")
		if err := a.unpackBinary(ctx, file, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// DebianOf returns the path of the unpacked directory debian of a source. For a source in the archive, only this part is
// downloaded, into dir.
func (a *Archive) DebianOf(ctx context.Context, s *Source, dir string) (string, error) {
	if s.Tree != "" {
		return s.Tree, nil
	}
	get := a.FetchDebian
	if s.Dsc != "" {
		get = a.FetchSource
	}
	dsc, err := get(ctx, s, dir)
	if err != nil {
		return "", err
	}
	tree := filepath.Join(dir, "debian-only")
	return tree, a.UnpackDebian(ctx, dsc, tree)
}

// CopyUpstream copies the upstream tar files of one source to the directory of another, since both may use the same files.
func CopyUpstream(from, to string) error {
	tars, err := filepath.Glob(filepath.Join(from, "*.orig*.tar.*"))
	if err != nil {
		return err
	}
	for _, tar := range tars {
		if err := errors.Join(os.MkdirAll(to, 0o755), copyRegular(tar, filepath.Join(to, filepath.Base(tar)))); err != nil {
			return err
		}
	}
	return nil
}

// Sum distinguishes sources of the same version on this machine. It is "" for a source in the archive, where a version is
// unique.
func (s *Source) Sum() (string, error) {
	if s.Dsc != "" {
		return sumOf(s.Dsc)
	}
	if s.Tree == "" {
		return "", nil
	}
	files, err := filesOf(s.Tree)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%s %v ", name, files[name].Mode())
		if !files[name].Mode().IsRegular() {
			continue
		}
		sum, err := sumOf(filepath.Join(s.Tree, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, sum)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// sumOf returns the SHA-256 of a file.
func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return fmt.Sprintf("%x", h.Sum(nil)), err
}
