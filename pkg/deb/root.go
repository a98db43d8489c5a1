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

	"lpatch/pkg/command"
)

// Root is a root file system in which packages are built: a minimal Debian with the tools that every package may rely on.
type Root struct {
	Dir string
	a   *Archive
}

// Check finds what this machine lacks for building packages, before anything is fetched.
func Check() error { return check(os.Geteuid(), exec.LookPath) }

func check(uid int, lookPath func(string) (string, error)) error {
	lacks := func(name string) bool {
		_, err := lookPath(name)
		return err != nil
	}
	var missing []string
	if uid != 0 {
		missing = append(missing, "root, for a root file system of its own (run it with sudo)")
	}
	if lacks("apt-get") || lacks("dpkg-deb") {
		missing = append(missing, "apt-get and dpkg-deb (Debian, a relative of it, or a container of one)")
	}
	if lacks("mmdebstrap") && lacks("debootstrap") {
		missing = append(missing, "mmdebstrap or debootstrap (apt-get install mmdebstrap)")
	}
	for _, tool := range []string{"unshare", "chroot", "tar", "patch"} {
		if lacks(tool) {
			missing = append(missing, tool)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("building a package needs %s", strings.Join(missing, ", and "))
	}
	return nil
}

// NewRoot makes one in dir from the archive's release. A copy is kept in base, for the next time.
func NewRoot(ctx context.Context, a *Archive, base, dir string) (*Root, error) {
	r := &Root{dir, a}
	if _, err := os.Stat(base); err != nil {
		if err := a.makeBase(ctx, base); err != nil {
			return nil, err
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := a.tool(ctx, "unpack-root", "tar", "-xpf", base, "-C", dir, "--numeric-owner"); err != nil {
		return nil, err
	}
	return r, r.setUp(ctx)
}

func (a *Archive) tool(ctx context.Context, log string, args ...string) error {
	c := command.Command{Args: args, Log: filepath.Join(a.dir, log+".log")}
	return c.Run(ctx)
}

// makeBase writes the archive of a fresh root, as a whole or not at all.
func (a *Archive) makeBase(ctx context.Context, base string) error {
	if err := os.MkdirAll(filepath.Dir(base), 0o755); err != nil {
		return err
	}
	tmp := base + ".new"
	defer os.RemoveAll(tmp)
	settings, err := Settings(ctx)
	if err != nil {
		return err
	}
	main := a.ofTime().List([]string{"deb"}, a.Suite)
	conf, list := filepath.Join(a.dir, "apt.conf"), filepath.Join(a.dir, "root.list")
	if err := errors.Join(os.WriteFile(conf, []byte(settings), 0o644), os.WriteFile(list, []byte(main), 0o644)); err != nil {
		return err
	}
	if path, err := exec.LookPath("mmdebstrap"); err == nil {
		// Its name decides about compression: none, for it is read each time.
		tar := filepath.Join(filepath.Dir(base), ".new.tar")
		if err := a.tool(ctx, "root", path, "--variant=buildd", "--mode=root", "--architectures=amd64", "--format=tar", "--aptopt="+conf,
			a.Suite, tar, list); err != nil {
			return fmt.Errorf("no root of %s can be made: %w", a.Suite, err)
		}
		return os.Rename(tar, base)
	}
	key := keyring
	if keys := a.ofTime().keys(); len(keys) > 0 && !slices.Contains(keys, key) {
		key = keys[0]
	}
	if err := a.tool(ctx, "root", "debootstrap", "--variant=buildd", "--arch=amd64", "--keyring="+key, a.Suite, tmp, a.ofTime().Main.URI); err != nil {
		return fmt.Errorf("no root of %s can be made: %w", a.Suite, err)
	}
	if err := a.tool(ctx, "pack-root", "tar", "-cf", base+".tar", "--numeric-owner", "-C", tmp, "."); err != nil {
		return err
	}
	return os.Rename(base+".tar", base)
}

// setUp gives the root all sources of the archive, and what is newer there.
func (r *Root) setUp(ctx context.Context) error {
	settings, err := Settings(ctx)
	if err != nil {
		return err
	}
	if err := copyFiles(r.Dir, r.a.ofTime().keys(), settings); err != nil {
		return err
	}
	for path, text := range map[string]string{
		"etc/apt/sources.list":                sourcesList(r.a.ofTime(), r.a.Suite),
		"etc/apt/apt.conf.d/90lpctl":          "APT::Install-Recommends \"false\";\nAPT::Sandbox::User \"root\";\nDpkg::Use-Pty \"0\";\n",
		"etc/dpkg/dpkg.cfg.d/90lpctl":         "force-unsafe-io\n",
		"usr/sbin/policy-rc.d":                "#!/bin/sh\nexit 101\n", // no daemon starts
		"etc/apt/apt.conf.d/91lpctl-no-langs": "Acquire::Languages \"none\";\n",
		"etc/apt/apt.conf.d/92lpctl-settings": settings,
	} {
		if err := os.WriteFile(filepath.Join(r.Dir, path), []byte(text), 0o755); err != nil {
			return err
		}
	}
	for _, path := range []string{"etc/resolv.conf", "etc/hosts"} {
		data, err := os.ReadFile("/" + path)
		if err != nil {
			continue // names may be found without
		}
		if err := os.WriteFile(filepath.Join(r.Dir, path), data, 0o644); err != nil {
			return err
		}
	}
	return r.Run(ctx, Job{Name: "upgrade", Args: []string{"sh", "-ec", "apt-get -q update; apt-get -q -y dist-upgrade; apt-get clean"}, Net: true})
}

// Job is a command in a root.
type Job struct {
	Name string // of its log
	Args []string
	Dir  string
	Env  []string
	By   []string // a command that runs Args, if they are to be run by one
	Net  bool     // may use the network; a build may not
}

// inside mounts what programs expect and changes into the root. All of it ends with the job, for the mounts and the
// processes are in namespaces of their own.
const inside = `root=$1 dir=$2; shift 2
mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" && mount -t sysfs -o ro sysfs "$root/sys" || mount --rbind /sys "$root/sys" || exit
exec chroot "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$dir" "$@"`

// Log returns where a job's output goes.
func (r *Root) Log(name string) string { return r.Dir + "." + name + ".log" }

// Run runs a job.
func (r *Root) Run(ctx context.Context, j Job) error {
	args := []string{"unshare", "--mount", "--pid", "--fork", "--kill-child", "--ipc", "--uts"}
	if !j.Net {
		args = append(args, "--net")
	}
	dir := j.Dir
	if dir == "" {
		dir = "/"
	}
	args = append(args, "sh", "-c", inside, "sh", r.Dir, dir)
	// Nothing else of this process's environment.
	args = append(args, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/nonexistent", "LC_ALL=C.UTF-8", "TERM=dumb",
		"DEBIAN_FRONTEND=noninteractive", "USER=root", "LOGNAME=root")
	if j.Net {
		args = append(args, proxies()...)
	}
	args = slices.Concat(args, j.Env, j.By, j.Args)
	c := command.Command{Args: args, Log: r.Log(j.Name)}
	err := c.Run(ctx)
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return fmt.Errorf("%s in %s: %w\nall of its output: %s", j.Args[0], r.Dir, err, c.Log)
	}
	return err
}

// proxies are those that this process's environment names, for apt.
func proxies() []string {
	var list []string
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy"} {
		if value := os.Getenv(name); value != "" {
			list = append(list, name+"="+value)
		}
	}
	return list
}

// BuildJob builds the packages for amd64 of an unpacked source package as Debian's build machines do, without running tests and
// without taking the symbols off; target is one of debian/rules: binary-arch, or build-arch to stop when all is compiled.
func BuildJob(path, target string, jobs int) Job {
	return Job{
		Name: target, Dir: path,
		Args: []string{"dpkg-buildpackage", "-B", "-uc", "-us", "-d", "--rules-target=" + target},
		Env: []string{
			"DEB_BUILD_OPTIONS=nocheck nostrip noautodbgsym parallel=" + strconv.Itoa(jobs),
			"DPKG_DEB_COMPRESSOR_TYPE=none", // nobody wants the packages themselves
		},
	}
}

// OpenRoot takes a root that was made before.
func OpenRoot(a *Archive, dir string) *Root { return &Root{dir, a} }
