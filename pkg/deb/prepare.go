// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"lpatch/pkg/sandbox"
)

// InstallBuildDeps installs the build dependencies of a source package: the current versions in the root's archive or, if
// info is set, exactly those that were installed when the stock packages were built.
func (r *Root) InstallBuildDeps(ctx context.Context, s *Source, info *BuildInfo) error {
	const name = "build-deps"
	switch {
	case info != nil:
		return r.installExactly(ctx, name, info)
	case s.Local():
		// apt reads the dependencies from its control file
		if err := r.bring(ctx, s); err != nil {
			return err
		}
		at := broughtTree
		if s.Dsc != "" {
			at = path.Join(broughtDsc, filepath.Base(s.Dsc))
		}
		return r.install(ctx, name, "--arch-only", "build-dep", at)
	}
	return r.install(ctx, name, "--arch-only", "--only-source", "build-dep", s.Name+"="+s.Version.String())
}

// installExactly installs packages in exact versions. The error lists those that the archive lacks.
func (r *Root) installExactly(ctx context.Context, name string, info *BuildInfo) error {
	var wanted []string
	for _, b := range info.Installed {
		wanted = append(wanted, b.Name+"="+b.Version)
	}
	const script = `for p; do apt-cache show "$p" >/dev/null 2>&1 || echo "$p"; done`
	gone, err := r.Output(ctx, sandbox.Job{Name: name, Args: append([]string{"sh", "-ec", script, "sh"}, wanted...)})
	if err != nil {
		return err
	}
	if list := strings.Fields(gone); len(list) > 0 {
		return fmt.Errorf("%s says that the stock packages were built with %s, which %s does not have; name an archive of that time with --snapshot, or leave --buildinfo out",
			info.File, strings.Join(list, " "), r.a.ofTime().Main.URI)
	}
	return r.install(ctx, name, append([]string{"--allow-downgrades", "--allow-change-held-packages", "install"}, wanted...)...)
}

// BuildPath returns the directory in which Debian's build machines build a package, or the one recorded in a .buildinfo file.
// The path influences the output, for example the space that cmake reserves for run paths.
func (s *Source) BuildPath() string {
	if s.Path != "" {
		return s.Path
	}
	return "/build/reproducible-path/" + s.Name + "-" + s.Version.Version
}

// The locations of a source of this machine in the root.
const (
	broughtTree = "/build/old"
	broughtDsc  = "/build/dsc"
)

// versionControl lists files of an unpacked source that belong to version control.
var versionControl = []string{
	"CVS", "RCS", "SCCS", ".git", ".gitignore", ".gitattributes", ".gitmodules", ".cvsignore", ".svn", ".arch-ids", "{arch}",
	".bzr", ".bzrignore", ".bzrtags", ".hg", ".hgignore", ".hgtags", "_darcs",
}

// bring copies a source of this machine into the root.
func (r *Root) bring(ctx context.Context, s *Source) error {
	if s.Tree != "" {
		return r.Put(ctx, s.Tree, broughtTree, versionControl...)
	}
	tmp, err := os.MkdirTemp("", "lpctl-source-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if _, err := s.copySource(tmp); err != nil {
		return err
	}
	return r.Put(ctx, tmp, broughtDsc)
}

// place makes the builder create a directory again, and its parent.
func (r *Root) place(ctx context.Context, dir string) error {
	const script = `rm -rf "$1"; mkdir -p "${1%/*}"; chown build "${1%/*}"`
	return r.Run(ctx, sandbox.Job{Name: "place", As: sandbox.Installer, Args: []string{"sh", "-ec", script, "sh", dir}})
}

// Unpack unpacks a source package and applies its patches, at a path in the root. dsc is the path of the downloaded .dsc
// file.
func (r *Root) Unpack(ctx context.Context, s *Source, dsc, dir string) error {
	script, from := `dpkg-source --no-check -x "$1" "$2"`, path.Join(broughtDsc, filepath.Base(dsc))
	if s.Tree != "" {
		script, from = `mv "$1" "$2"; dpkg-source --before-build "$2"`, broughtTree
		if err := r.bring(ctx, s); err != nil {
			return err
		}
	} else if err := r.Put(ctx, filepath.Dir(dsc), broughtDsc); err != nil {
		return err
	}
	if err := r.place(ctx, dir); err != nil {
		return err
	}
	return r.Run(ctx, sandbox.Job{Name: "unpack", Args: []string{"sh", "-ec", script, "sh", from, dir}})
}

// PutTree copies a tree of this machine to a path in the root, to be built there.
func (r *Root) PutTree(ctx context.Context, tree, dir string) error {
	if err := r.place(ctx, dir); err != nil {
		return err
	}
	return r.Put(ctx, tree, dir)
}

// TakeTree copies an unpacked source out of the root. Links are preserved, so they must not be followed.
func (r *Root) TakeTree(ctx context.Context, dir, tree string) error {
	return r.Take(ctx, dir, tree, sandbox.Keep{Link: sandbox.AllLinks})
}

// TakeFiles copies those of the named files that exist in a tree of the root.
func (r *Root) TakeFiles(ctx context.Context, dir string, names []string, to string) error {
	const script = `for f; do [ ! -f "$f" ] || printf '%s\0' "$f"; done | tar -cf - --null -T -`
	return r.TakeFrom(ctx, sandbox.Job{Name: "take", Dir: dir, Args: append([]string{"sh", "-ec", script, "sh"}, names...)}, to, sandbox.Keep{})
}

// PutFiles copies files into a tree of the root and replaces files of the same names.
func (r *Root) PutFiles(ctx context.Context, from, dir string) error {
	return r.PutBy(ctx, sandbox.Job{Name: "put", Args: []string{"tar", "-xpf", "-", "--no-same-owner", "-C", dir}}, from)
}

// TakeLibraries copies the shared libraries of the root, with which packages link.
func (r *Root) TakeLibraries(ctx context.Context, to string) error {
	const script = `for d in lib/x86_64-linux-gnu usr/lib/x86_64-linux-gnu usr/lib; do
	[ -L "${d%%/*}" ] || [ ! -d "$d" ] || find "$d" -maxdepth 1 -name '*.so*' -print0
done | tar -cf - --null -T -`
	return r.TakeFrom(ctx, sandbox.Job{Name: "take", Args: []string{"sh", "-ec", script}}, to, sandbox.Keep{ELF: true})
}
