// SPDX-License-Identifier: GPL-2.0

// Package packaging creates Debian and RPM packages of patches. The maintainer scripts of such a package call lpatch-package
// (scripts/packaging), which registers the patches, applies them, and removes them.
package packaging

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"lpatch/pkg/apply"
	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/patch"
	"lpatch/pkg/sign"
)

// Options override the properties derived from the patches, unless they are "" or nil.
type Options struct {
	Name       string
	Version    string
	Maintainer string
	Triggers   []string  // additional paths of files whose installation by a package causes the patches to be applied again
	Time       time.Time // modification time of all files in the package
}

// Package is a package to be built.
type Package struct {
	Name       string
	Version    string
	Maintainer string
	Source     string // source package that the patches are for, or ""
	Patches    []*Patch
	Triggers   []string
	Time       time.Time
}

// Patch is a patch in a package.
type Patch struct {
	Name   string
	Signed bool
	Images []string // paths for option --image of lpctl boot add

	about patch.About
	spec  *patch.Spec
	data  []byte
}

// namePrefix is the prefix of package names; the name of the source package follows.
const namePrefix = "lpatch-fix-"

// Dir is the installation directory of patches.
const Dir = "/usr/lib/lpatch"

var (
	maintainerForm = lazyregexp.New(`^[^<>\p{C}]+ <[^<>@\s\p{C}]+@[^<>@\s\p{C}]+>$`)
	triggerForm    = lazyregexp.New(`^/[A-Za-z0-9/._+@:-]+$`)
)

// New reads the patches and determines the name of the package. It rejects patches that a host could not install or would not
// apply.
func New(files []string, o Options) (*Package, error) {
	p := &Package{Name: o.Name, Version: o.Version, Maintainer: o.Maintainer, Time: o.Time}
	from := map[string]string{}
	for _, file := range files {
		one, err := read(file)
		if err != nil {
			return nil, err
		}
		if first, ok := from[one.Name]; ok {
			return nil, fmt.Errorf("%s and %s are both of a patch named %s; leave out the older one", first, file, one.Name)
		}
		from[one.Name] = file
		p.Patches = append(p.Patches, one)
	}
	if err := p.checkTogether(); err != nil {
		return nil, err
	}
	if err := p.nameIt(); err != nil {
		return nil, err
	}
	if !maintainerForm().MatchString(p.Maintainer) {
		return nil, fmt.Errorf("the maintainer %q is none; give --maintainer \"NAME <ADDRESS>\"", p.Maintainer)
	}
	return p, p.setTriggers(o.Triggers)
}

func read(file string) (*Patch, error) {
	f, err := patch.Open(file)
	if err != nil {
		return nil, err
	}
	_, signature, err := sign.Split(f.Data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := apply.Bootable(f.Spec); err != nil {
		return nil, err
	}
	p := &Patch{Name: f.Spec.Name, Signed: signature != nil, spec: f.Spec, data: f.Data}
	if f.Spec.About != nil {
		p.about = *f.Spec.About
	}
	return p, nil
}

// checkTogether rejects patches that exclude each other on a host.
func (p *Package) checkTogether() error {
	for i, a := range p.Patches {
		for _, b := range p.Patches[i+1:] {
			for _, two := range [][2]*Patch{{a, b}, {b, a}} {
				if slices.Contains(two[0].about.Supersedes, two[1].Name) {
					return fmt.Errorf("patch %s takes the place of patch %s; leave out that one", two[0].Name, two[1].Name)
				}
			}
			if clash, _ := patch.Collision(a.spec, b.spec); clash != "" {
				return fmt.Errorf("%s; build one patch of both fixes", clash)
			}
		}
	}
	return nil
}

// nameIt derives the name and version of the package from the patches.
func (p *Package) nameIt() error {
	first := p.Patches[0]
	p.Source = first.about.Package
	for _, other := range p.Patches[1:] {
		if other.about.Package == p.Source {
			continue
		}
		if p.Name == "" {
			return fmt.Errorf("patch %s is for %s and patch %s for %s; make one package for each, or name this one with --name",
				first.Name, sourceOf(first), other.Name, sourceOf(other))
		}
		p.Source = ""
		break
	}
	switch {
	case p.Name == "" && p.Source == "":
		return fmt.Errorf("patch %s does not say which source package it is for; name the package with --name", first.Name)
	case p.Name == "":
		p.Name = namePrefix + p.Source
	}
	if p.Version != "" {
		return nil
	}
	for _, other := range p.Patches[1:] {
		if a, b := first.about.Fixed, other.about.Fixed; a != b && a != "" && b != "" {
			return fmt.Errorf("patch %s has the fix of version %s and patch %s that of %s; give the package's version with --version",
				first.Name, a, other.Name, b)
		}
	}
	for _, one := range p.Patches {
		if one.about.Fixed == "" {
			return fmt.Errorf("patch %s does not say which version has the fix in its files; give the package's version with --version", one.Name)
		}
	}
	p.Version = first.about.Fixed
	return nil
}

func sourceOf(p *Patch) string {
	if p.about.Package == "" {
		return "no source package that it names"
	}
	return "the source package " + p.about.Package
}

// Headers returns the directory of the module sources and the kernel headers, from which DKMS builds the module.
func (*Package) Headers() string { return "/usr/src" }

// Directories returns the directories of all triggers, because RPM only supports triggers on directories.
func (p *Package) Directories() []string {
	list := []string{p.Headers()}
	for _, trigger := range p.Triggers {
		list = append(list, path.Dir(trigger))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// setTriggers determines the paths at which packages may install the files that the patches are for: the usual ones and those
// given. A given path whose base name is that of such a file is also used as its location.
func (p *Package) setTriggers(given []string) error {
	for _, trigger := range given {
		if !triggerForm().MatchString(trigger) || path.Clean(trigger) != trigger {
			return fmt.Errorf("%q cannot be a trigger: it is to be the absolute path of a file, of letters, digits and / . _ + @ : -", trigger)
		}
	}
	p.Triggers = slices.Clone(given)
	for _, one := range p.Patches {
		for i := range one.spec.Images {
			image := &one.spec.Images[i]
			for _, trigger := range given {
				if base := path.Base(trigger); base == image.Name || base == image.Soname {
					one.Images = append(one.Images, trigger)
				}
			}
			for _, place := range apply.UsualPlaces(image) {
				// names that would need quoting can be set with --trigger
				if triggerForm().MatchString(place) {
					p.Triggers = append(p.Triggers, place)
				}
			}
		}
	}
	slices.Sort(p.Triggers)
	p.Triggers = slices.Compact(p.Triggers)
	return nil
}

// Unsigned returns the names of the patches without signature.
func (p *Package) Unsigned() []string {
	var names []string
	for _, one := range p.Patches {
		if !one.Signed {
			names = append(names, one.Name)
		}
	}
	return names
}

// program returns the name of the patched program for descriptions.
func (p *Package) program() string {
	if p.Source != "" {
		return p.Source
	}
	return strings.TrimPrefix(p.Name, namePrefix)
}
