package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lpatch/pkg/deb"
	"lpatch/pkg/durable"
	"lpatch/pkg/patch"
	"lpatch/pkg/progress"
)

// PackageOptions say which Debian package to build patches for, and which fixes to put into them.
type PackageOptions struct {
	Source string   // name of the source package
	From   string   // the version that runs
	To     string   // the version that has the fixes; "" if Patch is given
	Fixes  []string // of the newer version's new patches; none for all
	Patch  string   // a file to apply with patch -p1 instead
	Suite  string   // name of the release
	Mirror string   // where to fetch from; "" for where apt of this machine gets Debian
	Work   string   // folder for what is fetched and built; kept for the next time
	Jobs   int      // how many compilers at once
	Allowed
	// NotPartOf is as in Options.
	NotPartOf []string
	Tool      string
	Progress  progress.Reporter
}

// PackageResult is what came of a package.
type PackageResult struct {
	Fixes   []string // what was applied, in this order
	LeftOut []string // files of the fixes that did not fit: tests and documentation
	Images  []ImageResult
	// Seconds for building the old source and for building the new one; 0 for what was there from the last time.
	OldSeconds, NewSeconds float64
}

// ImageResult is what came of one program or library.
type ImageResult struct {
	Paths    []string // where it is in the stock packages, PACKAGE/usr/bin/x; several are one file under several names
	File     string   // the stock file
	Verified string   // what of it is equal in the one that was built here
	Name     string   // of the patch
	Result   *Result  // if a patch was built
	Err      error    // else: ErrNothing, Refusals, or another
}

// FromPackage builds an older version of a package as Debian did, and again with the fixes of a newer one, and makes a
// patch for each program and library of the stock packages that the fixes change.
func FromPackage(ctx context.Context, o PackageOptions) (*PackageResult, error) {
	if err := deb.Check(); err != nil {
		return nil, err
	}
	work, err := filepath.Abs(o.Work)
	if err != nil {
		return nil, err
	}
	o.Work = work
	if err := os.MkdirAll(work, 0o755); err != nil {
		return nil, err
	}
	p := &packager{o: o, res: &PackageResult{}}
	unlock, err := lockWork(ctx, work, o.Progress)
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, step := range []func(context.Context) error{p.find, p.buildOld, p.applyFixes, p.buildNew} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return p.res, p.makePatches()
}

// lockWork has the work directory to itself until unlock is called, and says for whom it waits.
func lockWork(ctx context.Context, work string, p progress.Reporter) (unlock func(), err error) {
	return durable.LockOrSay(ctx, work, func(pid int) {
		who := "another build"
		if pid != 0 {
			who = fmt.Sprintf("the build of process %d", pid)
		}
		p.Say("waiting for %s, which has %s; --work names another directory", who, work)
	})
}

// packager builds a package: the folder of its version has root (where it is built), old-source and new-source, stock (the
// packages of Debian, unpacked), twin (the same files as built here), old and new (objects).
type packager struct {
	o     PackageOptions
	a     *deb.Archive
	old   *deb.Source
	root  *deb.Root
	dsc   string
	dir   string
	fixes []deb.Fix
	res   *PackageResult
}

func (p *packager) path(name string) string { return filepath.Join(p.dir, name) }

// find looks in the archive for what is wanted, before anything that takes long.
func (p *packager) find(ctx context.Context) error {
	p.o.Progress.Say("reading the lists of %s", p.o.Suite)
	var err error
	if p.a, err = deb.OpenArchive(ctx, filepath.Join(p.o.Work, "apt"), p.o.Suite, p.o.Mirror); err != nil {
		return err
	}
	if p.old, err = p.a.FindSource(ctx, p.o.Source, p.o.From); err != nil {
		return err
	}
	p.dir = filepath.Join(p.o.Work, p.old.ID())
	if err := p.fetchFixes(ctx); err != nil {
		return err
	}
	if _, err := os.Stat(p.path("stock")); err == nil {
		return nil
	}
	list, err := p.a.FindBinaries(ctx, p.old)
	if err != nil {
		return err
	}
	p.o.Progress.Say("fetching %s %s as Debian built it", p.o.Source, p.o.From)
	tmp := p.path("stock.new")
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := p.a.FetchBinaries(ctx, list, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, p.path("stock"))
}

// fetchFixes fetches the sources and decides which patches to apply.
func (p *packager) fetchFixes(ctx context.Context) error {
	var err error
	p.o.Progress.Say("fetching the source of %s %s", p.o.Source, p.o.From)
	if p.dsc, err = p.a.FetchSource(ctx, p.old, p.path("old-source")); err != nil {
		return err
	}
	if p.o.Patch != "" {
		file, err := filepath.Abs(p.o.Patch)
		p.fixes = []deb.Fix{{Name: filepath.Base(file), Path: file}}
		return err
	}
	newer, err := p.a.FindSource(ctx, p.o.Source, p.o.To)
	if err != nil {
		return err
	}
	p.o.Progress.Say("fetching the patches of %s %s", p.o.Source, p.o.To)
	dsc, err := p.a.FetchDebian(ctx, newer, p.path("new-source"))
	if err != nil {
		return err
	}
	if newer.Version.Version != p.old.Version.Version {
		return fmt.Errorf("%s is another upstream version than %s, not a fix of it; make the change by hand, and give it with --patch", p.o.To, p.o.From)
	}
	var trees []string
	for _, f := range []string{p.dsc, dsc} {
		tree := filepath.Join(filepath.Dir(f), "debian-only")
		if err := p.a.UnpackDebian(ctx, f, tree); err != nil {
			return err
		}
		trees = append(trees, tree)
	}
	all, err := deb.NewFixes(trees[0], trees[1], len(p.o.Fixes) == 0)
	if err != nil {
		return err
	}
	if p.fixes, err = deb.Choose(all, p.o.Fixes); err != nil {
		return err
	}
	if len(p.fixes) == 0 {
		return fmt.Errorf("%w: %s has no patch in debian/patches that %s lacks", ErrNothing, p.o.To, p.o.From)
	}
	return nil
}

// prepareRoot makes the root in which the package is built, or takes that of the last time.
func (p *packager) prepareRoot(ctx context.Context) error {
	ready := p.path("root-ready")
	if _, err := os.Stat(ready); err == nil {
		p.root = deb.OpenRoot(p.a, p.path("root"))
		return nil
	}
	p.o.Progress.Say("making a clean root of %s", p.o.Suite)
	var err error
	if p.root, err = deb.NewRoot(ctx, p.a, filepath.Join(p.o.Work, "root-"+p.o.Suite+".tar"), p.path("root")); err != nil {
		return err
	}
	p.o.Progress.Say("installing what %s needs to be built", p.o.Source)
	if err := p.root.InstallBuildDeps(ctx, p.old); err != nil {
		return err
	}
	return os.WriteFile(ready, nil, 0o644)
}

// buildOld builds the older version, unless that was done before.
func (p *packager) buildOld(ctx context.Context) error {
	if err := p.prepareRoot(ctx); err != nil {
		return err
	}
	if _, err := os.Stat(p.path("old")); err == nil {
		p.o.Progress.Say("%s %s was built before", p.o.Source, p.o.From)
		return nil
	}
	p.o.Progress.Say("building %s %s", p.o.Source, p.o.From)
	if err := p.root.Unpack(ctx, p.dsc, p.old.BuildPath()); err != nil {
		return err
	}
	objects, seconds, err := p.build(ctx, "binary-arch", true)
	if err != nil {
		return err
	}
	p.res.OldSeconds = seconds
	if err := os.RemoveAll(p.path("twin")); err != nil {
		return err
	}
	if err := keepTwins(filepath.Join(p.root.Dir, p.old.BuildPath()), p.path("twin")); err != nil {
		return err
	}
	return os.Rename(objects, p.path("old"))
}

// build runs a target of debian/rules with the shims, and returns the folder of the objects. With twice the build makes the
// stock files at the same time.
func (p *packager) build(ctx context.Context, target string, twice bool) (objects string, seconds float64, err error) {
	const inner = "/build/lpctl"
	outer := filepath.Join(p.root.Dir, inner)
	if err := os.RemoveAll(outer); err != nil {
		return "", 0, err
	}
	for _, d := range []string{"bin", "objects"} {
		if err := os.MkdirAll(filepath.Join(outer, d), 0o755); err != nil {
			return "", 0, err
		}
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return "", 0, err
	}
	if err := os.WriteFile(filepath.Join(outer, "shim"), self, 0o755); err != nil {
		return "", 0, err
	}
	if err := makeShims(filepath.Join(outer, "bin"), inner+"/shim", []string{filepath.Join(p.root.Dir, "usr/bin")}); err != nil {
		return "", 0, err
	}
	s := shims{
		bin: inner + "/bin", objects: inner + "/objects", root: p.old.BuildPath(), origin: p.old.BuildPath(),
		path: "/usr/sbin:/usr/bin:/sbin:/bin", twice: twice,
	}
	job := deb.BuildJob(p.old.BuildPath(), target, p.o.Jobs)
	if err := s.write(filepath.Join(outer, "bin"), nil); err != nil {
		return "", 0, err
	}
	env, by := s.around(canTrace())
	job.Env, job.By = append(job.Env, env...), by
	started := time.Now()
	stop := p.o.Progress.Watch(func() string { return objectsMade(filepath.Join(outer, "objects")) })
	err = p.root.Run(ctx, job)
	stop()
	if err != nil {
		return "", 0, err
	}
	if err := readRefused(filepath.Join(outer, "objects"), p.o.Source); err != nil {
		return "", 0, err
	}
	if objectCount(filepath.Join(outer, "objects")) == 0 {
		return "", 0, fmt.Errorf("the build of %s made no object with gcc, g++ or clang from its PATH; its log: %s", p.o.Source, p.root.Log(target))
	}
	return filepath.Join(outer, "objects"), time.Since(started).Seconds(), nil
}

// applyFixes puts the older source there anew, with the fixes.
func (p *packager) applyFixes(ctx context.Context) error {
	if err := p.root.Unpack(ctx, p.dsc, p.old.BuildPath()); err != nil {
		return err
	}
	tree := filepath.Join(p.root.Dir, p.old.BuildPath())
	olds, err := sourcesOfFixes(p.fixes, tree)
	if err != nil {
		return err
	}
	for _, f := range p.fixes {
		p.o.Progress.Say("applying %s", f.Name)
		leftOut, err := deb.Apply(ctx, f, tree)
		if err != nil {
			return err
		}
		p.res.Fixes = append(p.res.Fixes, f.Name)
		p.res.LeftOut = append(p.res.LeftOut, leftOut...)
	}
	for path, old := range olds {
		if err := keepLines(path, old); err != nil {
			return err
		}
	}
	return nil
}

func (p *packager) buildNew(ctx context.Context) error {
	p.o.Progress.Say("building it with the fixes")
	objects, seconds, err := p.build(ctx, "build-arch", false)
	if err != nil {
		return err
	}
	p.res.NewSeconds = seconds
	if err := os.RemoveAll(p.path("new")); err != nil {
		return err
	}
	return os.Rename(objects, p.path("new"))
}

// makePatches makes a patch for each stock image that the fixes change.
func (p *packager) makePatches() error {
	list, err := stockImages(p.path("stock"))
	if err != nil {
		return err
	}
	if err := matchTwins(list, p.path("twin")); err != nil {
		return err
	}
	links, err := readLinks(p.path("old"), p.path("new"))
	if err != nil {
		return err
	}
	names := map[string]int{}
	var parts []*builder
	for _, im := range list {
		p.o.Progress.Say("comparing for %s", strings.Join(im.paths, " = "))
		r := ImageResult{Paths: im.paths, File: im.file, Verified: im.twinIs, Name: p.patchName(im, names)}
		b, err := prepare(Options{
			Target: im.file, Symbols: im.twin, Libraries: p.libraries(im), Old: []string{p.path("old")}, New: []string{p.path("new")}, Links: links,
			NotPartOf: p.o.NotPartOf,
			Allowed:   p.o.Allowed, Name: r.Name, Tool: p.o.Tool, Description: fmt.Sprintf("%s %s: %s", p.o.Source, p.o.From, strings.Join(p.res.Fixes, ", ")),
		})
		if err != nil {
			return err
		}
		p.res.Images, parts = append(p.res.Images, r), append(parts, b)
	}
	if err := finishAll(p.res.Images, parts); err != nil {
		return err
	}
	if len(list) == 0 {
		return fmt.Errorf("%w: the packages of %s %s have no program or library for amd64", ErrNothing, p.o.Source, p.o.From)
	}
	return together(p.res.Images)
}

// libraries are the folders where an image finds its libraries: in its own packages first, then in the root.
func (p *packager) libraries(im *stockImage) []string {
	var out []string
	pkg, _, _ := strings.Cut(im.paths[0], "/")
	for _, dir := range []string{p.path("stock/" + pkg), p.root.Dir} {
		for _, lib := range []string{"usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib"} {
			if _, err := os.Stat(filepath.Join(dir, lib)); err == nil {
				out = append(out, filepath.Join(dir, lib))
			}
		}
	}
	return out
}

// patchName makes a name like redis-CVE-2026-66373-redis-server; used has the names given so far.
func (p *packager) patchName(im *stockImage, used map[string]int) string {
	what := p.o.To
	if len(p.fixes) == 1 {
		base := filepath.Base(p.fixes[0].Name)
		what = strings.TrimSuffix(strings.TrimSuffix(base, filepath.Ext(base)), ".")
	}
	name := p.o.Source + "-" + what
	room := patch.MaxNameLen - len(im.name()) - 4
	if len(name) > room {
		name = name[:max(room, 0)]
	}
	name = strings.Map(func(r rune) rune {
		if strings.ContainsRune(".+-_", r) || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '-'
	}, name+"-"+im.name())
	used[name]++
	if n := used[name]; n > 1 {
		name = fmt.Sprintf("%s-%d", name, n)
	}
	return name
}
