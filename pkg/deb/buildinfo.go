// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"fmt"
	"path/filepath"
	"strings"

	"lpatch/pkg/lazyregexp"
)

// BuildInfo describes the build of the stock packages according to a .buildinfo file (deb-buildinfo(5)).
type BuildInfo struct {
	File      string
	Path      string   // build directory; "" if not recorded
	Installed []Binary // installed packages
}

var dependency = lazyregexp.New(`^([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9]+)? \(= ([^()\s]+)\)$`)

// ReadBuildInfo reads a .buildinfo file, which must be that of a build of s for amd64.
func ReadBuildInfo(file string, s *Source) (*BuildInfo, error) {
	list, err := paragraphsOf(file)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || list[0].Values["Installed-Build-Depends"] == "" {
		return nil, fmt.Errorf("%s is not a .buildinfo file: it has no field Installed-Build-Depends", file)
	}
	v := list[0].Values
	name, _, _ := strings.Cut(v["Source"], " ")
	if name != s.Name || !sameVersion(v["Version"], s) {
		return nil, fmt.Errorf("%s is about a build of %s %s, not of %s %s", file, name, v["Version"], s.Name, s.Version)
	}
	if arch := v["Build-Architecture"]; arch != "amd64" {
		return nil, fmt.Errorf("%s is about a build on %s, and lpctl builds for amd64; name the one of the build machine for amd64", file, arch)
	}
	b := &BuildInfo{File: file, Path: v["Build-Path"]}
	// this path is removed in the root
	if b.Path != "" && (filepath.Clean(b.Path) != b.Path || strings.Count(b.Path, "/") < 2 || !filepath.IsAbs(b.Path)) {
		return nil, fmt.Errorf("%s: Build-Path %s is not where a package can be built", file, b.Path)
	}
	for _, one := range strings.Split(v["Installed-Build-Depends"], ",") {
		one = strings.TrimSpace(one)
		if one == "" {
			continue
		}
		m := dependency().FindStringSubmatch(one)
		if m == nil {
			return nil, fmt.Errorf("%s: %q in Installed-Build-Depends is not PACKAGE (= VERSION)", file, one)
		}
		b.Installed = append(b.Installed, Binary{m[1], m[2]})
	}
	return b, nil
}

// sameVersion reports whether a build was of the version of s.
func sameVersion(text string, s *Source) bool {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), s.Version.String())
	return ok && ofVersion().MatchString(rest)
}
