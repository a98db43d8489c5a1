// SPDX-License-Identifier: GPL-2.0

package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lpatch/pkg/deb"
	"lpatch/pkg/sandbox"
)

// find checks that everything requested exists, before any long operation.
func (p *packager) find(ctx context.Context) error {
	stop := p.o.Progress.Step("reading the lists of %s", p.o.Suite)
	var err error
	p.a, err = deb.OpenArchive(ctx, filepath.Join(p.o.Work, "apt"), p.o.Suite, p.o.Mirror, p.o.Snapshot)
	stop()
	if err != nil {
		return err
	}
	if p.old, err = p.source(ctx, p.o.From); err != nil {
		return err
	}
	if err := p.checkAbout(); err != nil {
		return err
	}
	if p.o.BuildInfo != "" {
		if p.info, err = deb.ReadBuildInfo(p.o.BuildInfo, p.old); err != nil {
			return err
		}
		p.old.Path = p.info.Path
	}
	p.dir = filepath.Join(p.o.Work, p.old.ID())
	if err := p.claim(ctx); err != nil {
		return err
	}
	if err := p.fetchSources(ctx); err != nil {
		return err
	}
	if err := p.fetchStock(ctx); err != nil {
		return err
	}
	if missing := p.old.NotIn(p.path("stock")); len(missing) > 0 {
		p.res.Warnings = append(p.res.Warnings, fmt.Sprintf("of what %s %s builds there was no package %s for amd64, so nothing is said about its programs and libraries; have all packages that run beside the .dsc file or directory that --from names",
			p.o.Source, p.old.Version, strings.Join(missing, " or ")))
	}
	return nil
}

// fetchStock downloads the stock packages, unless they exist already.
func (p *packager) fetchStock(ctx context.Context) error {
	if _, err := os.Stat(p.path("stock")); err == nil {
		return nil
	}
	defer p.o.Progress.Step("fetching %s %s as Debian built it", p.o.Source, p.old.Version)()
	tmp := p.path("stock.new")
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := p.a.FetchStock(ctx, p.old, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, p.path("stock"))
}

// source finds a version of the package: in the archive, or at a path.
func (p *packager) source(ctx context.Context, want string) (*deb.Source, error) {
	if deb.IsLocal(want) {
		return deb.OpenSource(want, p.o.Source)
	}
	return p.a.FindSource(ctx, p.o.Source, want)
}

// claim discards earlier results that were made from something else: packages of another suite, or another source of the same
// version. Results with records of another format are discarded as well.
func (p *packager) claim(ctx context.Context) error {
	sum, err := p.old.Sum()
	if err != nil {
		return err
	}
	what := []string{p.o.Suite, p.o.Snapshot, sum, fmt.Sprintf("records %d", recordFormat)}
	if p.o.BuildInfo != "" {
		info, err := fileSum(p.o.BuildInfo)
		if err != nil {
			return err
		}
		what = append(what, info)
	}
	text, file := strings.Join(what, "\n")+"\n", p.path("made-for")
	have, err := os.ReadFile(file)
	if err == nil && string(have) == text {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := sandbox.Remove(ctx, p.path("root")); err != nil {
		return err
	}
	if err := os.RemoveAll(p.dir); err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(p.dir, 0o755), os.WriteFile(file, []byte(text), 0o644))
}

// baseRoot returns the directory of a pristine build environment. An environment of another time has another directory.
func (p *packager) baseRoot() string {
	name := "base-" + p.o.Suite
	if p.o.Snapshot != "" {
		name += "-" + sumOf([]byte(p.o.Snapshot))[:16]
	}
	return filepath.Join(p.o.Work, name+".tar")
}

// fetchSources downloads the sources and selects the patches to apply, unless the difference of the trees is used.
func (p *packager) fetchSources(ctx context.Context) error {
	var err error
	stop := p.o.Progress.Step("fetching the source of %s %s", p.o.Source, p.old.Version)
	p.dsc, err = p.a.FetchSource(ctx, p.old, p.path("old-source"))
	stop()
	if err != nil {
		return err
	}
	if p.o.Patch != "" {
		fix, err := deb.ReadFix(p.o.Patch)
		p.fixes = []deb.Fix{fix}
		return err
	}
	if p.newer, err = p.source(ctx, p.o.To); err != nil {
		return err
	}
	p.whole = len(p.o.Fixes) == 0
	if p.whole {
		return nil
	}
	if p.newer.Version.Version != p.old.Version.Version {
		return fmt.Errorf("%s is another upstream version than %s, so --fix has no series of patches to choose from that fits; leave --fix out for all that differs, or make the change by hand, and give it with --patch", p.newer.Version, p.old.Version)
	}
	return p.chooseFixes(ctx)
}

// chooseFixes finds the patches of the series that the options name.
func (p *packager) chooseFixes(ctx context.Context) error {
	defer p.o.Progress.Step("fetching the patches of %s %s", p.o.Source, p.newer.Version)()
	older, err := p.a.DebianOf(ctx, p.old, p.path("old-source"))
	if err != nil {
		return err
	}
	newer, err := p.a.DebianOf(ctx, p.newer, p.path("new-source"))
	if err != nil {
		return err
	}
	all, err := deb.NewFixes(older, newer)
	if err != nil {
		return err
	}
	p.fixes, err = deb.Choose(all, p.o.Fixes)
	return err
}

// The locations of the compared trees in the build environment.
const (
	olderTree = "/build/older"
	newerTree = "/build/newer"
)

// compareTrees determines the differences between two versions with their patches applied, and derives the source to build
// from the newer one.
func (p *packager) compareTrees(ctx context.Context) error {
	if !p.whole {
		return nil
	}
	dir := p.path("new-source")
	if err := deb.CopyUpstream(p.path("old-source"), dir); err != nil {
		return err
	}
	stop := p.o.Progress.Step("fetching the source of %s %s", p.o.Source, p.newer.Version)
	dsc, err := p.a.FetchSource(ctx, p.newer, dir)
	stop()
	if err != nil {
		return err
	}
	if err := errors.Join(p.root.Unpack(ctx, p.old, p.dsc, olderTree), p.root.Unpack(ctx, p.newer, dsc, newerTree)); err != nil {
		return err
	}
	older, newer := p.path("older"), p.path("newer")
	if err := errors.Join(p.root.TakeTree(ctx, olderTree, older), p.root.TakeTree(ctx, newerTree, newer)); err != nil {
		return err
	}
	p.readLog(newer)
	d, err := deb.Settle(older, newer, p.old.Version, p.newer.Version)
	if err != nil {
		return err
	}
	if d.Nothing() {
		return fmt.Errorf("%w: the sources of %s and %s differ in debian/changelog and in lines about the version alone", ErrNothing, p.old.Version, p.newer.Version)
	}
	for _, l := range d.LeftOut {
		p.res.LeftOut = append(p.res.LeftOut, LeftOutFile(l))
	}
	p.o.Progress.Say("  they differ in %s that may be compiled", plural(len(d.Taken), "file"))
	if err := keepLinesOf(older, newer, d.Taken); err != nil {
		return err
	}
	return p.seriesOfTrees(older, newer)
}

// keepLinesOf preserves the line numbers of the named files.
func keepLinesOf(older, newer string, names []string) error {
	was, err := os.OpenRoot(older)
	if err != nil {
		return err
	}
	defer was.Close()
	is, err := os.OpenRoot(newer)
	if err != nil {
		return err
	}
	defer is.Close()
	for _, name := range names {
		if !hasLines(name) {
			continue
		}
		st, err := was.Lstat(name)
		if isMissing(err) || err == nil && !st.Mode().IsRegular() { // a new file has no old lines
			continue
		} else if err != nil {
			return err
		}
		old, err := was.ReadFile(name)
		if err != nil {
			return err
		}
		if err := keepLines(is, name, old); err != nil {
			return err
		}
	}
	return nil
}

// seriesOfTrees finds the new patches if both versions have the same upstream version. They name and split the difference.
func (p *packager) seriesOfTrees(older, newer string) error {
	if p.newer.Version.Version != p.old.Version.Version {
		return nil
	}
	var err error
	if p.fixes, err = deb.NewFixes(older, newer); err != nil {
		return err
	}
	p.changed, err = deb.ChangedFixes(older, newer)
	return err
}
