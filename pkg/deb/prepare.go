// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// InstallBuildDeps installs what a source package needs to be built: as the root's archive has it, or exactly what was installed when
// the stock packages were made, if that is known.
func (r *Root) InstallBuildDeps(ctx context.Context, s *Source, info *BuildInfo) error {
	job := Job{Name: "build-deps", Net: true}
	switch {
	case info != nil:
		return r.installExactly(ctx, info)
	case s.Local():
		// Its control file names them, as apt takes that.
		job.Args = []string{"sh", "-ec", `apt-get -q -y --arch-only build-dep "$1"; apt-get clean`, "sh", "/build/old"}
		if s.Dsc != "" {
			job.Args[4] = "/build/dsc/" + filepath.Base(s.Dsc)
		}
		if err := r.bring(ctx, s); err != nil {
			return err
		}
	default:
		job.Args = []string{"sh", "-ec", `apt-get -q -y --arch-only --only-source build-dep "$1"; apt-get clean`, "sh", s.Name + "=" + s.Version.String()}
	}
	return r.Run(ctx, job)
}

// installExactly installs packages of these versions. What the archive has not is named.
func (r *Root) installExactly(ctx context.Context, info *BuildInfo) error {
	var wanted []string
	for _, b := range info.Installed {
		wanted = append(wanted, b.Name+"="+b.Version)
	}
	const missing = "/build/missing"
	script := `mkdir -p /build; : >` + missing + `
for p; do apt-cache show "$p" >/dev/null 2>&1 || echo "$p" >>` + missing + `; done
[ -s ` + missing + ` ] || { apt-get -q -y --no-install-recommends --allow-downgrades --allow-change-held-packages install "$@"; apt-get clean; }`
	if err := r.Run(ctx, Job{Name: "build-deps", Net: true, Args: append([]string{"sh", "-ec", script, "sh"}, wanted...)}); err != nil {
		return err
	}
	gone, err := os.ReadFile(filepath.Join(r.Dir, missing))
	if err != nil {
		return err
	}
	if list := strings.Fields(string(gone)); len(list) > 0 {
		return fmt.Errorf("%s says that the stock packages were built with %s, which %s does not have; name an archive of that time with --snapshot, or leave --buildinfo out",
			info.File, strings.Join(list, " "), r.a.ofTime().Main.URI)
	}
	return nil
}

// BuildPath is where Debian's build machines build a package, or where a .buildinfo says that it was built. The path gets into the
// files: as the room that cmake leaves for run paths, for one.
func (s *Source) BuildPath() string {
	if s.Path != "" {
		return s.Path
	}
	return "/build/reproducible-path/" + s.Name + "-" + s.Version.Version
}

// bring copies a source of this machine into the root: the files of a .dsc to /build/dsc, an unpacked one to /build/old.
func (r *Root) bring(ctx context.Context, s *Source) error {
	from, inner := s.Tree, "/build/old"
	if s.Dsc != "" {
		from, inner = "", "/build/dsc"
	}
	outer := filepath.Join(r.Dir, inner)
	if err := os.RemoveAll(outer); err != nil {
		return err
	}
	if from == "" {
		_, err := s.copySource(ctx, r.a, outer)
		return err
	}
	if err := os.MkdirAll(outer, 0o755); err != nil {
		return err
	}
	// Without what version control keeps, and as root's: its scripts ask whose files they are.
	return r.a.tool(ctx, "copy-source", "sh", "-ec", `cd "$1" && tar --exclude-vcs -cf - . | tar --no-same-owner -xf - -C "$2"`, "sh", from, outer)
}

// Unpack unpacks a source package, with its patches applied, at a path in the root. dsc is where it was fetched to.
func (r *Root) Unpack(ctx context.Context, s *Source, dsc, path string) error {
	script, from := `rm -rf "$2"; mkdir -p "$(dirname "$2")"; dpkg-source --no-check -x "$1" "$2"`, "/build/dsc/"+filepath.Base(dsc)
	if s.Tree != "" {
		script, from = `rm -rf "$2"; mkdir -p "$(dirname "$2")"; mv "$1" "$2"; dpkg-source --before-build "$2"`, "/build/old"
		if err := r.bring(ctx, s); err != nil {
			return err
		}
	} else if err := r.copyIn(ctx, filepath.Dir(dsc), "/build/dsc"); err != nil {
		return err
	}
	return r.Run(ctx, Job{Name: "unpack", Args: []string{"sh", "-ec", script, "sh", from, path}})
}

func (r *Root) copyIn(ctx context.Context, from, inner string) error {
	outer := filepath.Join(r.Dir, inner)
	if err := os.RemoveAll(outer); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(outer), 0o755); err != nil {
		return err
	}
	return r.a.tool(ctx, "copy-source", "cp", "-a", from, outer)
}

// CopyTree copies a tree of the root, in the place of what is there.
func (r *Root) CopyTree(ctx context.Context, from, to string) error {
	return r.Run(ctx, Job{Name: "copy", Args: []string{"sh", "-ec", `rm -rf "$2"; mkdir -p "$(dirname "$2")"; cp -a "$1" "$2"`, "sh", from, to}})
}
