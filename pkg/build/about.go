// SPDX-License-Identifier: GPL-2.0

package build

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"lpatch/pkg/deb"
	symbols "lpatch/pkg/names"
	"lpatch/pkg/patch"
)

// checkAbout refuses what the author says of a patch for a package if the package says otherwise.
func (p *packager) checkAbout() error {
	a := p.o.About
	switch {
	case a == nil:
	case a.Package != "" && a.Package != p.old.Name:
		return fmt.Errorf("the patch is said to be for the package %s, and is built for %s; leave package out, --deb knows it", a.Package, p.old.Name)
	case a.Version != "" && a.Version != p.old.Version.String():
		return fmt.Errorf("the patch is said to be for version %s, and is built for %s; leave version out, --deb knows it", a.Version, p.old.Version)
	}
	return a.Or(p.base()).Check()
}

// base is what is known of the patches without reading anything.
func (p *packager) base() *patch.About {
	a := &patch.About{Package: p.old.Name, Version: p.old.Version.String()}
	if p.newer != nil && p.newer.Version != p.old.Version {
		a.Fixed = p.newer.Version.String()
	}
	return a
}

// readFixes reads what the patches say of themselves.
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

// readLog reads what the changelog of the newer version says of what came after the older one. One that cannot be read tells nothing.
func (p *packager) readLog(newer string) {
	var err error
	if p.log, err = deb.ToldSince(newer, p.old.Version); err != nil {
		p.res.Warnings = append(p.res.Warnings, fmt.Sprintf("what is fixed is not taken from the changelog, which cannot be read: %v; give --cve and --title", err))
	}
}

// tell says in the patch of each image what it is for. What the author says counts before what the package says.
func (p *packager) tell(parts []*builder) {
	var all []string
	concerned := concerned(p.fixes, parts)
	for i, b := range parts {
		if b == nil {
			continue
		}
		a := p.about(concerned[i])
		all = append(all, a.CVEs...)
		b.o.About = p.o.About.Or(&a)
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) > 0 && (p.o.About == nil || len(p.o.About.CVEs) == 0) {
		p.o.Progress.Say("  by its changelog and patches it fixes %s; --cve says otherwise", strings.Join(all, " "))
	}
}

// about is what the package says of some of its fixes together. A CVE of which a part was left out is not fixed. Those that only the
// changelog names are in the whole difference of the versions.
func (p *packager) about(fixes []deb.Fix) patch.About {
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
	if p.whole {
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

// inPatch tells whether one of the patches says that it fixes a CVE.
func (p *packager) inPatch(id string) bool {
	for _, t := range p.told {
		if slices.Contains(t.CVEs, id) {
			return true
		}
	}
	return false
}

// refused tells whether a part of a CVE's fix was left out.
func (p *packager) refused(id string) bool {
	return slices.ContainsFunc(p.res.Refused, func(r RefusedFix) bool { return slices.Contains(p.told[r.Name].CVEs, id) })
}

// concerned returns the fixes that each image is about: those that change the source of an object of it, or have a function in what they
// change that is another one now. A fix of which that is true nowhere, as of a header, is about all; one of nothing that is
// compiled about none.
func concerned(fixes []deb.Fix, parts []*builder) [][]deb.Fix {
	out := make([][]deb.Fix, len(parts))
	for _, f := range fixes {
		if len(compiledFiles(f)) == 0 {
			continue
		}
		everywhere := !slices.ContainsFunc(parts, func(b *builder) bool { return b.has(f) })
		for i, b := range parts {
			if everywhere || b.has(f) {
				out[i] = append(out[i], f)
			}
		}
	}
	return out
}

// has tells whether a fix is about what changes in an image.
func (b *builder) has(f deb.Fix) bool {
	if b == nil {
		return false
	}
	for _, in := range b.inputs {
		if slices.ContainsFunc(compiledFiles(f), func(file string) bool { return isObjectOf(in.Diff.New.Name, file) }) {
			return true
		}
		for _, ch := range in.Diff.Changed {
			short := symbols.Short(ch.Old.Name)
			if f.Mentions(short[strings.LastIndex(short, ":")+1:]) {
				return true
			}
		}
	}
	return false
}
