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

// InstallBuildDeps installs what a source package needs to be built: as the root's archive has it, or exactly what was installed when
// the stock packages were made, if that is known.
func (r *Root) InstallBuildDeps(ctx context.Context, s *Source, info *BuildInfo) error {
	const name = "build-deps"
	switch {
	case info != nil:
		return r.installExactly(ctx, name, info)
	case s.Local():
		// Its control file names them, as apt takes that.
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

// installExactly installs packages of these versions. What the archive has not is named.
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

// BuildPath is where Debian's build machines build a package, or where a .buildinfo says that it was built. The path gets into the
// files: as the room that cmake leaves for run paths, for one.
func (s *Source) BuildPath() string {
	if s.Path != "" {
		return s.Path
	}
	return "/build/reproducible-path/" + s.Name + "-" + s.Version.Version
}

// Where the root has a source of this machine.
const (
	broughtTree = "/build/old"
	broughtDsc  = "/build/dsc"
)

// versionControl is what of an unpacked source is version control's.
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

// place has the builder make a directory anew, with what is to be beside it.
func (r *Root) place(ctx context.Context, dir string) error {
	const script = `rm -rf "$1"; mkdir -p "${1%/*}"; chown build "${1%/*}"`
	return r.Run(ctx, sandbox.Job{Name: "place", As: sandbox.Installer, Args: []string{"sh", "-ec", script, "sh", dir}})
}

// Unpack unpacks a source package, with its patches applied, at a path in the root. dsc is where it was fetched to.
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

// PutTree puts a tree of this machine at a path in the root, to be built there.
func (r *Root) PutTree(ctx context.Context, tree, dir string) error {
	if err := r.place(ctx, dir); err != nil {
		return err
	}
	return r.Put(ctx, tree, dir)
}

// TakeTree copies an unpacked source out of the root. Its links stay what they are, so nobody is to follow them.
func (r *Root) TakeTree(ctx context.Context, dir, tree string) error {
	return r.Take(ctx, dir, tree, sandbox.Keep{Link: sandbox.AllLinks})
}

// TakeFiles copies those of these files that a tree of the root has.
func (r *Root) TakeFiles(ctx context.Context, dir string, names []string, to string) error {
	const script = `for f; do [ ! -f "$f" ] || printf '%s\0' "$f"; done | tar -cf - --null -T -`
	return r.TakeFrom(ctx, sandbox.Job{Name: "take", Dir: dir, Args: append([]string{"sh", "-ec", script, "sh"}, names...)}, to, sandbox.Keep{})
}

// PutFiles puts files into a tree of the root, in the place of those of their names.
func (r *Root) PutFiles(ctx context.Context, from, dir string) error {
	return r.PutBy(ctx, sandbox.Job{Name: "put", Args: []string{"tar", "-xpf", "-", "--no-same-owner", "-C", dir}}, from)
}

// TakeLibraries copies the libraries of the root, which packages link with.
func (r *Root) TakeLibraries(ctx context.Context, to string) error {
	const script = `for d in lib/x86_64-linux-gnu usr/lib/x86_64-linux-gnu usr/lib; do
	[ -L "${d%%/*}" ] || [ ! -d "$d" ] || find "$d" -maxdepth 1 -name '*.so*' -print0
done | tar -cf - --null -T -`
	return r.TakeFrom(ctx, sandbox.Job{Name: "take", Args: []string{"sh", "-ec", script}}, to, sandbox.Keep{ELF: true})
}
