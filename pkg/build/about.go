// SPDX-License-Identifier: GPL-2.0

package build

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"lpatch/pkg/deb"
	"lpatch/pkg/diff"
	symbols "lpatch/pkg/names"
	"lpatch/pkg/patch"
)

// checkAbout rejects metadata given by the author that contradicts the package.
func (p *packager) checkAbout() error {
	a := p.o.About
	switch {
	case a == nil:
	case a.Package != "" && a.Package != p.old.Name:
		return fmt.Errorf("the patch is said to be for the package %s, and is built for %s; leave package out, build deb knows it", a.Package, p.old.Name)
	case a.Version != "" && a.Version != p.old.Version.String():
		return fmt.Errorf("the patch is said to be for version %s, and is built for %s; leave version out, build deb knows it", a.Version, p.old.Version)
	}
	return a.Or(p.base()).Check()
}

// base returns the metadata that follows from the package versions alone.
func (p *packager) base() *patch.About {
	a := &patch.About{Package: p.old.Name, Version: p.old.Version.String()}
	if p.newer != nil && p.newer.Version != p.old.Version {
		a.Fixed = p.newer.Version.String()
	}
	return a
}

// readFixes reads the metadata in the headers of the patches of the series.
func (p *packager) readFixes() error {
	p.told = map[string]deb.Told{}
	for _, f := range p.fixes {
		t, err := f.Told()
		if err != nil {
			return err
		}
		p.told[f.Name] = t
	}
	return nil
}

// readLog reads the changelog entries of the newer version that follow the older one. A changelog that cannot be read only
// causes a warning.
func (p *packager) readLog(newer string) {
	var err error
	if p.log, err = deb.ToldSince(newer, p.old.Version); err != nil {
		p.res.Warnings = append(p.res.Warnings, fmt.Sprintf("what is fixed is not taken from the changelog, which cannot be read: %v; give --cve and --title", err))
	}
}

// tell sets the metadata of the patch for each image. Fields given by the author take precedence over those from the package.
func (p *packager) tell(parts []*builder) {
	var all []string
	concerned := concerned(p.fixes, parts)
	alone := p.whole && isAlone(parts)
	nowhere := p.nowhere(concerned)
	for i, b := range parts {
		if b == nil {
			continue
		}
		a := p.about(concerned[i], alone && len(b.inputs) > 0)
		a.CVEs = slices.DeleteFunc(a.CVEs, func(id string) bool { return slices.Contains(nowhere, id) })
		all = append(all, a.CVEs...)
		b.o.About = p.o.About.Or(&a)
	}
	if p.o.About != nil && len(p.o.About.CVEs) > 0 {
		return
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) > 0 {
		p.o.Progress.Say("  by its changelog and patches it fixes %s; --cve says otherwise", strings.Join(all, " "))
	}
	p.warnUnclaimed(all)
}

// nowhere returns the CVEs of fixes which are compiled in part into no known image.
func (p *packager) nowhere(concerned [][]deb.Fix) []string {
	var out []string
	for _, f := range p.fixes {
		found := slices.ContainsFunc(concerned, func(fixes []deb.Fix) bool {
			return slices.ContainsFunc(fixes, func(c deb.Fix) bool { return c.Name == f.Name })
		})
		if !found && len(compiledFiles(f)) > 0 {
			out = append(out, p.told[f.Name].CVEs...)
		}
	}
	return out
}

// warnUnclaimed warns about CVEs that the package claims to fix but no patch does. CVEs of fixes that were left out are
// reported with those fixes.
func (p *packager) warnUnclaimed(claimed []string) {
	var list []string
	for _, f := range p.fixes {
		list = append(list, p.told[f.Name].CVEs...)
	}
	if p.whole {
		list = append(list, p.log.CVEs...)
	}
	list = slices.DeleteFunc(list, func(id string) bool { return slices.Contains(claimed, id) || p.refused(id) })
	slices.Sort(list)
	if list = slices.Compact(list); len(list) == 0 {
		return
	}
	text := fmt.Sprintf("no patch is said to fix %s, which the package names, for nothing tells which of its files that is in; give --cve if you know", strings.Join(list, " "))
	if !slices.Contains(p.res.Warnings, text) {
		p.res.Warnings = append(p.res.Warnings, text)
	}
}

// about returns the package's metadata for a set of fixes. A CVE of which a part was left out is not claimed. CVEs that only
// the changelog names concern the difference as a whole, and are claimed only for an image that contains all of it (alone).
func (p *packager) about(fixes []deb.Fix, alone bool) patch.About {
	a := *p.base()
	var titles []string
	for _, f := range fixes {
		t := p.told[f.Name]
		a.CVEs, a.Advisories = append(a.CVEs, t.CVEs...), append(a.Advisories, t.Advisories...)
		titles = append(titles, t.Title)
	}
	if slices.Sort(titles); len(slices.Compact(titles)) == 1 {
		a.Title = titles[0]
	}
	if alone {
		a.Title = cmp.Or(a.Title, p.log.Title)
		a.Advisories = append(a.Advisories, p.log.Advisories...)
		for _, id := range p.log.CVEs {
			if !p.inPatch(id) {
				a.CVEs = append(a.CVEs, id)
			}
		}
	}
	a.CVEs = slices.DeleteFunc(a.CVEs, p.refused)
	for _, list := range []*[]string{&a.CVEs, &a.Advisories} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return a
}

// inPatch reports whether the header of one of the patches claims to fix the CVE id.
func (p *packager) inPatch(id string) bool {
	for _, t := range p.told {
		if slices.Contains(t.CVEs, id) {
			return true
		}
	}
	return false
}

// refused reports whether a part of the fix for the CVE id was left out.
func (p *packager) refused(id string) bool {
	return slices.ContainsFunc(p.res.Refused, func(r RefusedFix) bool { return slices.Contains(p.told[r.Name].CVEs, id) })
}

// isAlone reports whether exactly one image changes, and it contains everything that changed.
func isAlone(parts []*builder) bool {
	n := 0
	for _, b := range parts {
		if b.isDoubtful() {
			return false
		}
		if len(b.inputs) > 0 {
			n++
		}
	}
	return n == 1
}

// isDoubtful reports whether the image may contain changes in addition to those known.
func (b *builder) isDoubtful() bool {
	return b == nil || len(b.refusals)+len(b.unknown) > 0 ||
		slices.ContainsFunc(b.res.LeftOut, func(l patch.LeftOut) bool { return l.Why != notLinked })
}

// concerned returns the fixes that concern each image. A fix that changes only headers, with no function known to have
// changed, concerns all images, provided that the changes of each image are known.
func concerned(fixes []deb.Fix, parts []*builder) [][]deb.Fix {
	out := make([][]deb.Fix, len(parts))
	for _, f := range fixes {
		files := compiledFiles(f)
		everywhere := isHeaders(files) && !slices.ContainsFunc(parts, func(b *builder) bool { return b.isDoubtful() || b.has(f, files, fixes) })
		for i, b := range parts {
			if everywhere || b.has(f, files, fixes) {
				out[i] = append(out[i], f)
			}
		}
	}
	return out
}

func isHeaders(files []string) bool {
	return len(files) > 0 && !slices.ContainsFunc(files, func(file string) bool { return !isHeader().MatchString(file) })
}

// has reports whether a fix, which changes files, concerns a changed object of the image: the object is built from one of the
// files and, if other fixes change a file of the same name, has a changed function that the fix mentions. For headers, a
// changed function that the fix mentions is sufficient.
func (b *builder) has(f deb.Fix, files []string, fixes []deb.Fix) bool {
	if b == nil {
		return false
	}
	for _, in := range b.inputs {
		names := slices.ContainsFunc(in.Diff.Changed, func(ch diff.Change) bool {
			short := symbols.Short(ch.Old.Name)
			return f.Mentions(short[strings.LastIndex(short, ":")+1:])
		})
		if isHeaders(files) && names {
			return true
		}
		for _, file := range files {
			if isObjectOf(in.Diff.New.Name, file) && (names || !hasNamesake(in.Diff.New.Name, file, fixes)) {
				return true
			}
		}
	}
	return false
}

// hasNamesake reports whether one of the fixes changes a file other than source from which the object may be built.
func hasNamesake(object, source string, fixes []deb.Fix) bool {
	return slices.ContainsFunc(fixes, func(f deb.Fix) bool {
		return slices.ContainsFunc(compiledFiles(f), func(file string) bool { return file != source && isObjectOf(object, file) })
	})
}
