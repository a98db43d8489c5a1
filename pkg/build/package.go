// SPDX-License-Identifier: GPL-2.0

package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lpatch/pkg/atomicfile"
	"lpatch/pkg/deb"
	"lpatch/pkg/patch"
	"lpatch/pkg/progress"
	"lpatch/pkg/sandbox"
)

// PackageOptions select the Debian package to build patches for, and the fixes to include.
type PackageOptions struct {
	Source    string   // name of the source package
	From      string   // installed version, or a .dsc file or its directory
	To        string   // version with the fixes, or a .dsc file or its directory; "" if Patch is given
	Fixes     []string // new patches of the newer version to include; empty for the whole difference
	Patch     string   // file to apply with patch -p1 instead
	Suite     string   // name of the release
	Mirror    string   // URL of the archive; "" for the one that apt is configured for
	Snapshot  string   // archive of an earlier time, for files that the mirror no longer has and for the build environment; "" for none
	BuildInfo string   // .buildinfo file with the build environment of the stock packages; "" for current packages of the archive
	Work      string   // directory for downloads and builds; reused by later calls
	Jobs      int      // number of parallel compiler processes
	Allowed
	// NotPartOf is as in Options.
	NotPartOf []string
	About     *patch.About // metadata that overrides that of the package
	Tool      string
	Progress  progress.Reporter
}

// PackageResult is the result of FromPackage.
type PackageResult struct {
	Fixes   []string // applied fixes, in order
	LeftOut []LeftOutFile
	Refused []RefusedFix // fixes that are missing from the patches of some or all files
	Images  []ImageResult
	// Warnings are sentences about the package as a whole.
	Warnings []string
	// OldSeconds and NewSeconds are the durations of the two builds in seconds; 0 if an earlier result was reused.
	OldSeconds, NewSeconds float64
}

// LeftOutFile is a file, or a part of it, in which the versions differ but which is not considered part of the fix: according
// to a rule (deb.Settle), or because a patch of the series does not apply to it.
type LeftOutFile struct{ Path, Rule string }

// RefusedFix is a patch of the series that was left out so that others could be built, with the reason.
type RefusedFix struct{ Name, Why string }

// ImageResult is the result for one program or library.
type ImageResult struct {
	Paths    []string // paths in the stock packages, PACKAGE/usr/bin/x; several paths are names of the same file
	File     string   // path of the unpacked stock file
	Verified string   // parts of the stock file that are equal in the rebuilt file
	Name     string   // name of the patch
	Fixes    []string // fixes in this patch, if not all of PackageResult.Fixes
	Result   *Result  // set if a patch was built
	Err      error    // otherwise ErrNothing, Refusals, or another error
	// Unproved is a warning if Err is ErrNothing but the linked images were not compared; "" for none.
	Unproved string
}

// FromPackage builds the older version of a package as Debian did, builds it again with the fixes of the newer version, and
// creates a patch for each program and library of the stock packages that the fixes change.
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
	for _, step := range []func(context.Context) error{p.find, p.prepareRoot, p.compareTrees, p.buildOld, p.rounds} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return p.res, nil
}

// lockWork acquires exclusive use of the work directory until unlock is called. While it waits, it reports which process
// holds it.
func lockWork(ctx context.Context, work string, p progress.Reporter) (unlock func(), err error) {
	stop := func() {}
	defer func() { stop() }()
	return atomicfile.LockOrSay(ctx, work, func(pid int) {
		who := "another build"
		if pid != 0 {
			who = fmt.Sprintf("the build of process %d", pid)
		}
		stop = p.Step("waiting for %s, which has %s; --work names another directory", who, work)
	})
}

// packager builds a package. The directory of its version contains root (the build environment), old-source and new-source,
// stock (the unpacked packages of Debian), twin (the same files as rebuilt), old and new (objects).
type packager struct {
	o          PackageOptions
	a          *deb.Archive
	old, newer *deb.Source // newer is nil if PackageOptions.Patch is given
	info       *deb.BuildInfo
	root       *deb.Root
	dsc        string // .dsc file of the old source
	dir        string
	fixes      []deb.Fix
	changed    []string            // patches of the series that differ or are missing in the newer version
	told       map[string]deb.Told // metadata of the patches of the series, by name
	log        deb.Told            // metadata from the changelog
	whole      bool                // the new source is the tree of the newer version instead of the older one with fixes
	res        *PackageResult
}

func (p *packager) path(name string) string { return filepath.Join(p.dir, name) }

// prepareRoot creates the build environment, or reuses an existing one.
func (p *packager) prepareRoot(ctx context.Context) error {
	ready := p.path("root-ready")
	var err error
	if _, missing := os.Stat(ready); missing == nil {
		if p.root, err = deb.OpenRoot(p.a, p.path("root")); !isMissing(err) {
			return err
		}
	}
	stop := p.o.Progress.Step("making a clean root of %s", p.o.Suite)
	p.root, err = deb.NewRoot(ctx, p.a, p.baseRoot(), p.path("root"))
	stop()
	if err != nil {
		return err
	}
	stop = p.o.Progress.Step("installing what %s needs to be built", p.o.Source)
	err = p.root.InstallBuildDeps(ctx, p.old, p.info)
	stop()
	if err != nil {
		return err
	}
	if err := p.root.TakeLibraries(ctx, p.path("libraries")); err != nil {
		return err
	}
	return os.WriteFile(ready, nil, 0o644)
}

// buildOld builds the older version, unless the result exists already.
func (p *packager) buildOld(ctx context.Context) error {
	if _, err := os.Stat(p.path("old")); err == nil {
		p.o.Progress.Say("%s %s was built before", p.o.Source, p.old.Version)
		return nil
	}
	p.o.Progress.Say("building %s %s", p.o.Source, p.old.Version)
	if err := p.root.Unpack(ctx, p.old, p.dsc, p.old.BuildPath()); err != nil {
		return err
	}
	objects, seconds, err := p.build(ctx, "binary-arch")
	if err != nil {
		return err
	}
	p.res.OldSeconds = seconds
	// outputs are in debian/PACKAGE/usr/bin/x
	if err := p.root.Take(ctx, filepath.Join(p.old.BuildPath(), "debian"), p.path("twin"), sandbox.Keep{ELF: true}); err != nil {
		return err
	}
	if files, err := images(p.path("twin")); err != nil || len(files) == 0 {
		return errors.Join(err, fmt.Errorf("%s: the build put no program or library below debian/", p.o.Source))
	}
	return os.Rename(objects, p.path("old"))
}

// shimDir is the directory in the build environment that contains the shims and their records.
const shimDir = "/build/lpctl"

// build runs a target of debian/rules with the shims and returns the directory of the objects. The outputs are the same as
// without shims: for the older source, the stock files; for both, the linked images that are compared.
func (p *packager) build(ctx context.Context, target string) (objects string, seconds float64, err error) {
	s := shims{
		bin: shimDir + "/bin", objects: shimDir + "/objects", root: p.old.BuildPath(), origin: p.old.BuildPath(),
		path: "/usr/sbin:/usr/bin:/sbin:/bin", twice: true,
	}
	if err := p.putShims(ctx, s); err != nil {
		return "", 0, err
	}
	// whether tracing is permitted must be tested inside the environment
	err = p.root.Run(ctx, sandbox.Job{Name: "trial", Args: []string{filepath.Join(s.bin, traceName), s.bin, "true"}})
	if ctx.Err() != nil {
		return "", 0, err
	}
	traced := err == nil
	job := deb.BuildJob(p.old.BuildPath(), target, p.o.Jobs)
	env, by := s.around(traced)
	job.Env, job.Args = append(job.Env, env...), append(by, job.Args...)
	started := time.Now()
	before := objectCount(p.path("old"))
	stop := p.o.Progress.Watch(func() string { return objectsOf(p.root.Size(filepath.Join(s.objects, countFile)), before) })
	err = p.root.Run(ctx, job)
	stop()
	if err != nil {
		return "", 0, err
	}
	objects = p.path("objects")
	if err := p.root.Take(ctx, s.objects, objects, sandbox.Keep{}); err != nil {
		return "", 0, err
	}
	if !traced {
		if err := noteUntraced(objects); err != nil {
			return "", 0, err
		}
	}
	if err := readRefused(objects, p.o.Source); err != nil {
		return "", 0, err
	}
	if objectCount(objects) == 0 {
		return "", 0, fmt.Errorf("the build of %s made no object with %s; its log: %s", p.o.Source, seenCompilers(!traced), p.root.Log(target))
	}
	return objects, time.Since(started).Seconds(), nil
}

// putShims installs lpctl and links with the names of the compilers in the build environment.
func (p *packager) putShims(ctx context.Context, s shims) error {
	names, err := p.root.Output(ctx, sandbox.Job{Name: "list", Args: []string{"ls", "-A", "/usr/bin"}})
	if err != nil {
		return err
	}
	stage, err := os.MkdirTemp(p.dir, "shims-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	bin := filepath.Join(stage, "bin")
	if err := errors.Join(os.Mkdir(bin, 0o755), os.Mkdir(filepath.Join(stage, "objects"), 0o755)); err != nil {
		return err
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(filepath.Join(stage, "shim"), self, 0o755), makeShims(bin, shimDir+"/shim", strings.Split(names, "\n")), s.write(bin, nil)); err != nil {
		return err
	}
	return p.root.Put(ctx, stage, shimDir)
}

func (p *packager) buildNew(ctx context.Context) error {
	p.o.Progress.Say("building it with the fixes")
	objects, seconds, err := p.build(ctx, "build-arch")
	if err != nil {
		return err
	}
	p.res.NewSeconds += seconds
	if err := os.RemoveAll(p.path("new")); err != nil {
		return err
	}
	return os.Rename(objects, p.path("new"))
}

// makePatches creates a patch for each stock image that the fixes change.
func (p *packager) makePatches() error {
	p.res.Images = nil
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
		r := ImageResult{Paths: im.paths, File: im.file, Verified: im.twinIs, Name: p.patchName(im, names), Fixes: p.res.Fixes}
		b, err := prepare(Options{
			Target: im.file, Symbols: im.twin, Libraries: p.libraries(im), Old: []string{p.path("old")}, New: []string{p.path("new")}, Links: links,
			NotPartOf: p.o.NotPartOf,
			Allowed:   p.o.Allowed, Name: r.Name, Tool: p.o.Tool, Description: fmt.Sprintf("%s %s: %s", p.o.Source, p.old.Version, strings.Join(p.res.Fixes, ", ")),
		})
		if err != nil {
			r.Err = unfit(im.paths[0], err)
		}
		p.res.Images, parts = append(p.res.Images, r), append(parts, b)
	}
	p.tell(parts)
	if err := finishAll(p.res.Images, parts); err != nil {
		return err
	}
	if len(list) == 0 {
		return fmt.Errorf("%w: the packages of %s %s have no program or library for amd64", ErrNothing, p.o.Source, p.old.Version)
	}
	return together(p.res.Images)
}

// libraries returns the directories in which an image finds its libraries: its own packages first, then the build
// environment.
func (p *packager) libraries(im *stockImage) []string {
	var out []string
	pkg, _, _ := strings.Cut(im.paths[0], "/")
	for _, dir := range []string{p.path("stock/" + pkg), p.path("libraries")} {
		for _, lib := range []string{"usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib"} {
			if _, err := os.Stat(filepath.Join(dir, lib)); err == nil {
				out = append(out, filepath.Join(dir, lib))
			}
		}
	}
	return out
}

// patchName returns a name such as redis-CVE-2026-66373-redis-server. used counts the names returned so far.
func (p *packager) patchName(im *stockImage, used map[string]int) string {
	what := p.o.To
	if p.newer != nil {
		what = p.newer.Version.String()
	}
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
