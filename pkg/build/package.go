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

// PackageOptions say which Debian package to build patches for, and which fixes to put into them.
type PackageOptions struct {
	Source    string   // name of the source package
	From      string   // the version that runs, or a .dsc file or directory of it
	To        string   // the version that has the fixes, or a .dsc file or directory of it; "" if Patch is given
	Fixes     []string // of the newer version's new patches; none for all that differs
	Patch     string   // a file to apply with patch -p1 instead
	Suite     string   // name of the release
	Mirror    string   // where to fetch from; "" for where apt of this machine gets Debian
	Snapshot  string   // an archive of an earlier time, for what the mirror has no more and to build in; "" for none
	BuildInfo string   // file that says what the stock packages were built with; "" for what the archive has now
	Work      string   // directory for what is fetched and built; kept for the next time
	Jobs      int      // how many compilers at once
	Allowed
	// NotPartOf is as in Options.
	NotPartOf []string
	About     *patch.About // what is to be said of the patches in place of what the package says
	Tool      string
	Progress  progress.Reporter
}

// PackageResult is what came of a package.
type PackageResult struct {
	Fixes   []string // what was applied, in this order
	LeftOut []LeftOutFile
	Refused []RefusedFix // fixes that no patch has, or not those of all files
	Images  []ImageResult
	// Warnings are sentences about the package as a whole.
	Warnings []string
	// Seconds for building the old source and for building the new one; 0 for what was there from the last time.
	OldSeconds, NewSeconds float64
}

// LeftOutFile is a file in which the versions differ, or some lines of it, that is none of what the fix is taken for: by the name of a
// rule (deb.Settle), or because a patch of a series does not fit there.
type LeftOutFile struct{ Path, Rule string }

// RefusedFix is a patch of a series that was left out for the others' sake, and why.
type RefusedFix struct{ Name, Why string }

// ImageResult is what came of one program or library.
type ImageResult struct {
	Paths    []string // where it is in the stock packages, PACKAGE/usr/bin/x; several are one file under several names
	File     string   // the stock file
	Verified string   // what of it is equal in the one that was built here
	Name     string   // of the patch
	Fixes    []string // in it, if these are not all of the PackageResult's
	Result   *Result  // if a patch was built
	Err      error    // else: ErrNothing, Refusals, or another
	// Unproved is a warning about one with ErrNothing of which the linked images were not compared, "" for none.
	Unproved string
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
	for _, step := range []func(context.Context) error{p.find, p.prepareRoot, p.compareTrees, p.buildOld, p.rounds} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return p.res, nil
}

// lockWork has the work directory to itself until unlock is called, and says for whom it waits.
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

// packager builds a package: the directory of its version has root (where it is built), old-source and new-source, stock (the
// packages of Debian, unpacked), twin (the same files as built here), old and new (objects).
type packager struct {
	o          PackageOptions
	a          *deb.Archive
	old, newer *deb.Source // newer is nil if there is a patch instead
	info       *deb.BuildInfo
	root       *deb.Root
	dsc        string // of the old source
	dir        string
	fixes      []deb.Fix
	changed    []string            // patches of the series that are others in the newer version, or not there
	told       map[string]deb.Told // of the patches of the series, by name
	log        deb.Told            // of the changelog
	whole      bool                // the new source is the newer version's tree, not the older one's with fixes
	res        *PackageResult
}

func (p *packager) path(name string) string { return filepath.Join(p.dir, name) }

// prepareRoot makes the root in which the package is built, or takes that of the last time.
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

// buildOld builds the older version, unless that was done before.
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
	// What it made, debian/PACKAGE/usr/bin/x, as PACKAGE/usr/bin/x.
	if err := p.root.Take(ctx, filepath.Join(p.old.BuildPath(), "debian"), p.path("twin"), sandbox.Keep{ELF: true}); err != nil {
		return err
	}
	if files, err := images(p.path("twin")); err != nil || len(files) == 0 {
		return errors.Join(err, fmt.Errorf("%s: the build put no program or library below debian/", p.o.Source))
	}
	return os.Rename(objects, p.path("old"))
}

// shimDir is where the root has the shims, and what they record.
const shimDir = "/build/lpctl"

// build runs a target of debian/rules with the shims, and returns the directory of the objects. The build makes what it would make without:
// of the older source the stock files, and of both the linked images that are compared.
func (p *packager) build(ctx context.Context, target string) (objects string, seconds float64, err error) {
	s := shims{
		bin: shimDir + "/bin", objects: shimDir + "/objects", root: p.old.BuildPath(), origin: p.old.BuildPath(),
		path: "/usr/sbin:/usr/bin:/sbin:/bin", twice: true,
	}
	if err := p.putShims(ctx, s); err != nil {
		return "", 0, err
	}
	// Whether tracing is permitted is asked where it is to be done.
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

// putShims puts lpctl and the names of the root's compilers into the root.
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

// makePatches makes a patch for each stock image that the fixes change.
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

// libraries are the directories where an image finds its libraries: in its own packages first, then in the root.
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

// patchName makes a name like redis-CVE-2026-66373-redis-server; used has the names given so far.
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
