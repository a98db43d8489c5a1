// SPDX-License-Identifier: GPL-2.0

package packaging

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"lpatch/pkg/atomicfile"
	"lpatch/pkg/command"
	"lpatch/pkg/lazyregexp"
)

//go:embed templates
var templateFiles embed.FS

// fill executes a template.
func (p *Package) fill(name string) ([]byte, error) {
	t, err := template.New(name).Funcs(template.FuncMap{"macroless": macroless}).ParseFS(templateFiles, "templates/"+name)
	if err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	var out bytes.Buffer
	err = t.Execute(&out, p)
	return out.Bytes(), err
}

// Kind is a package format.
type Kind struct {
	tool, from string // program that builds it, and the package that provides the program
	form       func(*Package) (file string, err error)
	build      func(b *builder) error
}

// The supported formats.
var (
	Deb = &Kind{tool: "dpkg-deb", from: "dpkg", form: (*Package).debFile, build: (*builder).deb}
	RPM = &Kind{tool: "rpmbuild", from: "rpm on Debian, rpm-build elsewhere", form: (*Package).rpmFile, build: (*builder).rpm}
)

var (
	debName    = lazyregexp.New(`^[a-z0-9][a-z0-9+.-]+$`)
	debVersion = lazyregexp.New(`^([0-9]{1,9}:)?[0-9][A-Za-z0-9.+~]*(-[A-Za-z0-9.+~]+)*$`)
	rpmName    = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._+-]+$`)
	rpmVersion = lazyregexp.New(`^(?:([0-9]{1,9}):)?([A-Za-z0-9][A-Za-z0-9._+~^]*)(?:-([A-Za-z0-9][A-Za-z0-9._+~^]*))?$`)
)

// debFile returns the file name of a Debian package, which omits the epoch of the version.
func (p *Package) debFile() (string, error) {
	if !debName().MatchString(p.Name) {
		return "", fmt.Errorf("a Debian package cannot be named %q: small letters, digits and + . - (a letter or digit first); give another with --name", p.Name)
	}
	if !debVersion().MatchString(p.Version) {
		return "", fmt.Errorf("a Debian package cannot have the version %q: a digit first, then letters, digits and . + ~ -, "+
			"behind an epoch and a colon if there is one; give another with --version", p.Version)
	}
	version := p.Version[strings.Index(p.Version, ":")+1:]
	return p.Name + "_" + version + "_amd64.deb", nil
}

// rpmFile returns the file name of an RPM package, which omits the epoch of the version.
func (p *Package) rpmFile() (string, error) {
	if !rpmName().MatchString(p.Name) {
		return "", fmt.Errorf("an RPM package cannot be named %q: letters, digits and . _ + - (a letter or digit first); give another with --name", p.Name)
	}
	if !rpmVersion().MatchString(p.Version) {
		return "", fmt.Errorf("an RPM package cannot have the version %q: letters, digits and . _ + ~ ^ (a letter or digit first), and as many "+
			"behind a - for the release, all behind an epoch and a colon if there is one; give another with --version", p.Version)
	}
	v := p.EVR()
	return p.Name + "-" + v.Version + "-" + v.Release + ".x86_64.rpm", nil
}

// EVR is a version in the form that RPM uses.
type EVR struct{ Epoch, Version, Release string }

// EVR splits the version. The default release is 1.
func (p *Package) EVR() EVR {
	part := rpmVersion().FindStringSubmatch(p.Version)
	if part[3] == "" {
		part[3] = "1"
	}
	return EVR{part[1], part[2], part[3]}
}

// builder contains the inputs and paths of a package build.
type builder struct {
	*Package
	ctx  context.Context
	work string // private working directory
	out  string // path of the output, in work
}

// Build builds packages of the given kinds in dir and returns their paths. It replaces no file, and creates none if it can be
// predicted that one of the packages cannot be built.
func (p *Package) Build(ctx context.Context, kinds []*Kind, dir string) ([]string, error) {
	var made []string
	for _, kind := range kinds {
		file, err := p.place(kind, dir)
		if err != nil {
			return nil, err
		}
		made = append(made, file)
	}
	for i, kind := range kinds {
		if err := p.build(ctx, kind, made[i]); err != nil {
			return made[:i], err
		}
	}
	return made, nil
}

// place determines the path of a package.
func (p *Package) place(kind *Kind, dir string) (string, error) {
	file, err := kind.form(p)
	if err != nil {
		return "", err
	}
	to := filepath.Join(dir, file)
	if err := atomicfile.CanWrite(to); err != nil {
		return "", err
	}
	if _, err := os.Lstat(to); err == nil {
		return "", fmt.Errorf("%s is there already; remove it first, or make another --version", to)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if _, err := exec.LookPath(kind.tool); err != nil {
		return "", fmt.Errorf("%s, which makes such packages, is not installed; install the package that has it (%s)", kind.tool, kind.from)
	}
	return to, nil
}

func (p *Package) build(ctx context.Context, kind *Kind, to string) error {
	work, err := os.MkdirTemp("", "lpatch-package-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b := &builder{Package: p, ctx: ctx, work: work, out: filepath.Join(work, "made", filepath.Base(to))}
	if err := kind.build(b); err != nil {
		return err
	}
	data, err := os.ReadFile(b.out)
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(to, data, 0o644)
}

// put writes a file below the working directory. Directories are world-readable, independent of the umask.
func (b *builder) put(name string, data []byte, mode os.FileMode) error {
	for i, r := range name {
		if r == '/' {
			dir := filepath.Join(b.work, name[:i])
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			if err := os.Chmod(dir, 0o755); err != nil {
				return err
			}
		}
	}
	file := filepath.Join(b.work, name)
	if err := os.WriteFile(file, data, mode); err != nil {
		return err
	}
	return os.Chmod(file, mode)
}

// run runs the tool so that its output does not depend on the machine, the user or the time.
func (b *builder) run(args ...string) error {
	c := &command.Command{Args: args, Dir: b.work, Log: filepath.Join(b.work, "log"),
		Env: []string{"LC_ALL=C.UTF-8", "TZ=UTC0", fmt.Sprintf("SOURCE_DATE_EPOCH=%d", b.Time.Unix())}}
	return c.Run(b.ctx)
}

// date sets the modification time of all files below the working directory to that of the package.
func (b *builder) date(dir string) error {
	return filepath.WalkDir(filepath.Join(b.work, dir), func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, b.Time, b.Time)
	})
}

func (b *builder) deb() error {
	doc := "usr/share/doc/" + b.Name + "/"
	files := map[string][]byte{}
	for _, one := range b.Patches {
		files[strings.TrimPrefix(path.Join(Dir, one.Name+".lp"), "/")] = one.data
	}
	copyright, err := b.fill("copyright")
	if err != nil {
		return err
	}
	changelog, err := b.fill("changelog")
	if err != nil {
		return err
	}
	files[doc+"copyright"] = copyright
	if files[doc+"changelog.gz"], err = compressed(changelog); err != nil {
		return err
	}
	var sums []string
	for name, data := range files {
		if err := b.put("tree/"+name, data, 0o644); err != nil {
			return err
		}
		sums = append(sums, fmt.Sprintf("%x  %s\n", md5.Sum(data), name))
	}
	slices.Sort(sums)
	if err := b.put("tree/DEBIAN/md5sums", []byte(strings.Join(sums, "")), 0o644); err != nil {
		return err
	}
	for name, mode := range map[string]os.FileMode{"control": 0o644, "triggers": 0o644, "postinst": 0o755, "postrm": 0o755} {
		text, err := b.fill(name)
		if err != nil {
			return err
		}
		if err := b.put("tree/DEBIAN/"+name, text, mode); err != nil {
			return err
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Dir(b.out), 0o755), b.date("tree")); err != nil {
		return err
	}
	return b.run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", "tree", b.out)
}

// compressed returns text compressed like gzip -9n.
func compressed(text []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(text)
	err = errors.Join(err, w.Close()) // flushes the data
	return out.Bytes(), err
}

func (b *builder) rpm() error {
	for _, one := range b.Patches {
		if err := b.put("patches/"+one.Name+".lp", one.data, 0o644); err != nil {
			return err
		}
	}
	spec, err := b.fill("spec")
	if err != nil {
		return err
	}
	if err := errors.Join(b.put("spec", spec, 0o644), b.date("patches")); err != nil {
		return err
	}
	if err := b.run("rpmbuild", "-bb", "--quiet", "--target", "x86_64", "--define", "_topdir "+b.work+"/rpm",
		"--define", "_rpmdir "+b.work+"/rpms", "--define", "_buildhost localhost", "--define", "use_source_date_epoch_as_buildtime 1",
		"--define", "clamp_mtime_to_source_date_epoch 1", "--define", "source_date_epoch_from_changelog 0",
		"--define", "patches "+b.work+"/patches", "spec"); err != nil {
		return err
	}
	b.out = filepath.Join(b.work, "rpms/x86_64", filepath.Base(b.out))
	return nil
}
