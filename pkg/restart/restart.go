// SPDX-License-Identifier: GPL-2.0

// Package restart determines which processes need no restart after an upgrade, because patches contain all fixes of the new
// files. In case of doubt, a restart is needed.
package restart

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"pault.ag/go/debian/version"

	"lpatch/pkg/apply"
	"lpatch/pkg/deb"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
)

// Verdict tells whether a patched process, some of whose files were replaced, needs a restart.
type Verdict struct {
	Process proc.Process
	Service string
	Needed  bool
	Why     string
}

// interpreters lists programs that read other files, which may have been replaced as well and are not examined here.
var interpreters = []string{"java", "perl", "python", "ruby", "node", "php"}

// judge examines processes and caches answers of the package manager.
type judge struct {
	system deb.System
	owners map[string]owner
}

type owner struct {
	pkg *deb.Installed
	err error
}

// Judge returns the verdicts for the processes of a scan, sorted by PID.
func Judge(live []apply.Live, system deb.System) []Verdict {
	j := judge{system, map[string]owner{}}
	var list []Verdict
	for _, l := range live {
		v := Verdict{Process: l.Process, Service: l.Service}
		if why, err := j.process(l); err != nil {
			v.Needed, v.Why = true, err.Error()
		} else {
			v.Why = why
		}
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b Verdict) int { return a.Process.PID - b.Process.PID })
	return list
}

// process returns the reason why a process needs no restart. The error is the reason why it does, or why this is not known.
func (j *judge) process(l apply.Live) (string, error) {
	if len(l.Replaced) == 0 {
		return "only the file of a patch has gone", nil
	}
	name := filepath.Base(l.Exe)
	if slices.ContainsFunc(interpreters, func(i string) bool { return strings.HasPrefix(name, i) }) {
		return "", fmt.Errorf("%s runs programs that are not looked at", name)
	}
	var list []string
	for _, r := range l.Replaced {
		text, err := j.file(r)
		if err != nil {
			return "", fmt.Errorf("%s: %w", r.Path, err)
		}
		if !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return strings.Join(list, "; "), nil
}

// file returns the reason why a replaced file requires no restart of its process.
func (j *judge) file(r apply.Replaced) (string, error) {
	if len(r.Patches) == 0 {
		return "", errors.New("it was replaced, and no patch that is applied changes it")
	}
	here, err := proc.FileAt(filepath.Join(j.system.Root, r.Path))
	if err != nil || !here.IsFile(r.Now) {
		return "", errors.New("what the process sees there is not a file of this system's, or there is none any more")
	}
	p, err := j.owner(r.Path)
	if err != nil {
		return "", err
	}
	names, err := covered(r.Patches, p)
	if err != nil {
		return "", fmt.Errorf("package %s %s: %w", p.Name, p.Version, err)
	}
	return fmt.Sprintf("patched live: %s has what %s %s fixes", strings.Join(names, ", "), p.Source, p.Version), nil
}

func (j *judge) owner(path string) (*deb.Installed, error) {
	o, ok := j.owners[path]
	if !ok {
		o.pkg, o.err = j.system.Owner(path)
		j.owners[path] = o
	}
	return o.pkg, o.err
}

// covered returns the names of the patches that contain all fixes of an installed package, compared with the version they are
// for: they claim to correspond to its version or a later one, and its changelog contains no CVEs other than theirs.
func covered(patches []*patch.Spec, p *deb.Installed) ([]string, error) {
	var from, fixed version.Version
	var cves, names []string
	for _, s := range patches {
		a := s.About
		if a == nil || a.Package != p.Source || a.Version == "" || a.Fixed == "" {
			continue
		}
		of, err1 := version.Parse(a.Version)
		has, err2 := version.Parse(a.Fixed)
		if err := cmp.Or(err1, err2); err != nil {
			return nil, fmt.Errorf("patch %s: %w", s.Name, err)
		}
		if len(names) > 0 && version.Compare(of, from) != 0 {
			return nil, fmt.Errorf("patches %s and %s are for two versions", names[0], s.Name)
		}
		if len(names) == 0 || version.Compare(has, fixed) > 0 {
			fixed = has
		}
		from, names, cves = of, append(names, s.Name), append(cves, a.CVEs...)
	}
	switch {
	case len(names) == 0:
		return nil, fmt.Errorf("no patch that is applied says which version of %s it is for, and which has the fix", p.Source)
	case version.Compare(from, p.Version) >= 0:
		return nil, fmt.Errorf("what runs is %s, which is no older", from)
	case version.Compare(fixed, p.Version) < 0:
		return nil, fmt.Errorf("the patches have what %s fixes", fixed)
	}
	if err := p.Brings(from, cves); err != nil {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}
