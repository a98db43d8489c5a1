// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lpatch/pkg/atomicfile"
	"lpatch/pkg/sandbox"
)

// Root is a sandbox in which packages are built: a minimal Debian system with the build-essential packages.
type Root struct {
	*sandbox.Sandbox
	a *Archive
}

// Check returns an error if this machine lacks something that is needed to build packages.
func Check() error { return check(os.Geteuid(), exec.LookPath) }

func check(uid int, lookPath func(string) (string, error)) error {
	lacks := func(name string) bool {
		_, err := lookPath(name)
		return err != nil
	}
	var missing []string
	if lacks("apt-get") || lacks("dpkg-deb") {
		missing = append(missing, "apt-get and dpkg-deb (Debian, a relative of it, or a container of one)")
	}
	if lacks("mmdebstrap") {
		missing = append(missing, "mmdebstrap (apt-get install mmdebstrap)")
	}
	missing = append(missing, sandbox.Missing(uid, lookPath)...)
	if len(missing) > 0 {
		return fmt.Errorf("building a package needs %s", strings.Join(missing, ", and "))
	}
	return nil
}

// NewRoot creates a root in dir from the archive's release. A pristine copy is kept in base for later calls.
func NewRoot(ctx context.Context, a *Archive, base, dir string) (*Root, error) {
	if _, err := os.Stat(base); err != nil {
		if err := a.makeBase(ctx, base); err != nil {
			return nil, err
		}
	}
	s, err := sandbox.Make(ctx, dir)
	if err != nil {
		return nil, err
	}
	f, err := openRegular(base)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := &Root{s, a}
	// the root has no device nodes, which only real root can create
	if err := r.Run(ctx, sandbox.Job{
		Name: "unpack-root", Host: true, As: sandbox.Installer, In: f, Args: []string{"tar", "-xpf", "-", "-C", "/mnt", "--numeric-owner", "--exclude=./dev/*"},
	}); err != nil {
		return nil, err
	}
	return r, r.setUp(ctx)
}

// makeBase atomically writes the archive of a fresh root.
func (a *Archive) makeBase(ctx context.Context, base string) error {
	stage, err := sandbox.Make(ctx, base+".new")
	if err != nil {
		return err
	}
	settings, err := Settings(ctx)
	if err != nil {
		return err
	}
	// in the archive's own sandbox the paths of these files are known
	copied, err := os.MkdirTemp("", "lpctl-root-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(copied)
	files, err := copyFiles(filepath.Join(copied, "root"), a.ofTime().keys(), settings, isAny)
	if err != nil {
		return err
	}
	list, settings := moved(a.ofTime().List([]string{"deb"}, a.Suite), settings, files, "/mnt/root")
	for name, text := range map[string]string{"sources.list": list, "apt.conf": settings} {
		if err := os.WriteFile(filepath.Join(copied, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	unpack := sandbox.Job{Name: "configure", Host: true, As: sandbox.Installer, Args: []string{"tar", "-xpf", "-", "--no-same-owner", "--no-overwrite-dir", "-C", "/mnt"}}
	if err := stage.PutBy(ctx, unpack, copied); err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(base), atomicfile.Temporary)
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	if err := stage.Run(ctx, sandbox.Job{
		Name: "root", Host: true, Net: true, As: sandbox.Mounter, Out: out, Env: proxies(),
		Args: []string{"mmdebstrap", "--variant=buildd", "--mode=root", "--architectures=amd64", "--format=tar", "--include=fakeroot", "--aptopt=/mnt/apt.conf", a.Suite, "-", "/mnt/sources.list"},
	}); err != nil {
		return fmt.Errorf("no root of %s can be made: %w", a.Suite, err)
	}
	return errors.Join(os.Rename(out.Name(), base), sandbox.Remove(ctx, stage.Dir))
}

// setUp configures all sources of the archive in the root, upgrades it, and adds the build user.
func (r *Root) setUp(ctx context.Context) error {
	settings, err := Settings(ctx)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "lpctl-root-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Mkdir(filepath.Join(tmp, "unless-there"), 0o755); err != nil {
		return err
	}
	if _, err := copyFiles(filepath.Join(tmp, "unless-there"), r.a.ofTime().keys(), settings, isOpen); err != nil {
		return err
	}
	files := map[string]string{
		"etc/apt/sources.list":                sourcesList(r.a.ofTime(), r.a.Suite),
		"etc/apt/apt.conf.d/90lpctl":          "APT::Install-Recommends \"false\";\nDpkg::Use-Pty \"0\";\n",
		"etc/dpkg/dpkg.cfg.d/90lpctl":         "force-unsafe-io\n",
		"usr/sbin/policy-rc.d":                "#!/bin/sh\nexit 101\n", // no daemon starts
		"etc/apt/apt.conf.d/91lpctl-no-langs": "Acquire::Languages \"none\";\n",
		"etc/apt/apt.conf.d/92lpctl-settings": settings,
	}
	for _, path := range []string{"etc/resolv.conf", "etc/hosts"} {
		if data, err := os.ReadFile("/" + path); err == nil { // name resolution may work without it
			files[path] = string(data)
		}
	}
	for path, text := range files {
		path = filepath.Join(tmp, "always", path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o755)); err != nil {
			return err
		}
	}
	for dir, option := range map[string]string{"always": "--keep-directory-symlink", "unless-there": "--skip-old-files"} {
		job := sandbox.Job{Name: "configure", As: sandbox.Installer, Args: []string{"tar", "-xpf", "-", "--no-same-owner", option, "-C", "/"}}
		if err := r.PutBy(ctx, job, filepath.Join(tmp, dir)); err != nil {
			return err
		}
	}
	// remove settings that refer to the sandbox in which it was created
	const script = `rm -f /etc/apt/sources.list.d/* /etc/apt/apt.conf.d/99mmdebstrap
echo build:x:1000:1000::/nonexistent:/bin/sh >>/etc/passwd; echo build:x:1000: >>/etc/group; mkdir -p /build; chown build /build`
	if err := r.Run(ctx, sandbox.Job{Name: "configure", As: sandbox.Installer, Args: []string{"sh", "-ec", script}}); err != nil {
		return err
	}
	if _, err := r.fetch(ctx, "update", "update"); err != nil {
		return err
	}
	return r.install(ctx, "upgrade", "dist-upgrade")
}

// install installs packages with apt: it first downloads them, with network but without running code of the packages, and
// then installs them, without network and without access to secrets.
func (r *Root) install(ctx context.Context, name string, args ...string) error {
	args = append([]string{"-y", "--no-install-recommends"}, args...)
	secrets, err := r.fetch(ctx, name, append([]string{"--download-only"}, args...)...)
	if err != nil {
		return err
	}
	const script = `while [ "$1" != -- ]; do rm -f "$1"; shift; done; shift; apt-get -q --no-download "$@"; apt-get clean`
	return r.Run(ctx, sandbox.Job{
		Name: name, As: sandbox.Installer, Env: []string{"DEBIAN_FRONTEND=noninteractive"},
		Args: slices.Concat([]string{"sh", "-ec", script, "sh"}, secrets, []string{"--"}, args),
	})
}

// fetch runs apt in the root with network. It returns the files in the root that are not world-readable.
func (r *Root) fetch(ctx context.Context, name string, args ...string) (secrets []string, err error) {
	settings, err := Settings(ctx)
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp("", "lpctl-secrets-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	if secrets, err = copyFiles(tmp, r.a.ofTime().keys(), settings, isSecret); err != nil {
		return nil, err
	}
	if len(secrets) > 0 {
		job := sandbox.Job{Name: "configure", As: sandbox.Installer, Args: []string{"tar", "-xpf", "-", "--no-same-owner", "--keep-directory-symlink", "-C", "/"}}
		if err := r.PutBy(ctx, job, tmp); err != nil {
			return nil, err
		}
	}
	return secrets, r.Run(ctx, sandbox.Job{Name: name, As: sandbox.Installer, Net: true, Env: proxies(), Args: append([]string{"apt-get", "-q"}, args...)})
}

// proxies returns apt options for the proxies in the environment of this process.
func proxies() []string {
	var list []string
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy"} {
		if value := os.Getenv(name); value != "" {
			list = append(list, name+"="+value)
		}
	}
	return list
}

// BuildJob returns a job that builds the packages for amd64 of an unpacked source like Debian's build machines, but without
// tests and without stripping. target is a target of debian/rules: binary-arch, or build-arch to stop after compilation.
func BuildJob(path, target string, jobs int) sandbox.Job {
	return sandbox.Job{
		Name: target, Dir: path,
		Args: []string{"dpkg-buildpackage", "-B", "-uc", "-us", "-d", "--rules-target=" + target},
		Env: []string{
			"DEB_BUILD_OPTIONS=nocheck nostrip noautodbgsym parallel=" + strconv.Itoa(jobs),
			"DPKG_DEB_COMPRESSOR_TYPE=none", // the packages themselves are not used
		},
	}
}

// OpenRoot opens an existing root.
func OpenRoot(a *Archive, dir string) (*Root, error) {
	s, err := sandbox.Open(dir)
	return &Root{s, a}, err
}
