// SPDX-License-Identifier: GPL-2.0

// Package restart tells which processes need no restart after an upgrade, because patches have what the new files fix. In doubt, a
// process needs one.
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

// Verdict says of a process with patches, of whose files some were replaced, whether it needs a restart.
type Verdict struct {
	Process proc.Process
	Service string
	Needed  bool
	Why     string
}

// interpreters are programs that read others, which may have been replaced too, and which nobody looks at here.
var interpreters = []string{"java", "perl", "python", "ruby", "node", "php"}

// judge looks at processes, and remembers what the system's package manager told.
type judge struct {
	system deb.System
	owners map[string]owner
}

type owner struct {
	pkg *deb.Installed
	err error
}

// Judge tells it of each process that a scan has found so, by pid.
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

// process says why a process needs no restart; an error, why it does, as far as is known.
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

// file says of a file that was replaced why its process needs no restart.
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

// covered returns the names of the patches that have all that an installed package fixes, compared with what they are for: they say so
// of its version or of a later one, and its changelog names no more than the CVEs that they name.
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
