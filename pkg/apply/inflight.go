// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/names"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
)

// layer is a patch that a target has mapped.
type layer struct {
	*PatchFile
	report lpnl.Report
}

// layers are all patches that a target has mapped.
func (s *Session) layers(v *view) ([]layer, error) {
	has, err := s.reports(v)
	if err != nil {
		return nil, err
	}
	return s.mapped(v, has)
}

// mapped reads patches that a target has mapped. One that cannot be read is an error.
func (s *Session) mapped(v *view, list []lpnl.Report) ([]layer, error) {
	if _, err := v.maps(); err != nil {
		return nil, err
	}
	var out []layer
	for _, r := range list {
		file, err := s.fileAt(v, r.MappedAt)
		if errors.Is(err, errUnmapped) && s.stillHas(v, r) { // it has come, or is back, since the maps were read
			again := s.view(v.Process)
			v.maps, v.files = again.maps, again.files
			file, err = s.fileAt(v, r.MappedAt)
		}
		switch {
		case err == nil:
			out = append(out, layer{file, r})
		case s.stillHas(v, r):
			return nil, fmt.Errorf("patch %s is applied in %v and cannot be read there: %w; revert it first, or give --replace", r.Patch, v, err)
		case !v.fresh && !errors.Is(err, errUnmapped): // there is another one at its place, possibly
			return nil, errStale
		}
	}
	return out, nil
}

// stillHas tells whether a target has a patch as it had it before.
func (s *Session) stillHas(v *view, before lpnl.Report) bool {
	now, err := s.count(v.Process, before.Hash)
	return !lost(err) && (err != nil || now.MappedAt == before.MappedAt && effective(now.State) == effective(before.State))
}

var errUnmapped = errors.New("nothing is mapped")

// fileAt reads the patch that a target has mapped at an address, each file once. It is closed.
func (s *Session) fileAt(v *view, at uint64) (*PatchFile, error) {
	return s.readAt(v, at, &s.seen.files)
}

// readAt is fileAt, with the files that were read before.
func (s *Session) readAt(v *view, at uint64, files *fileCache) (*PatchFile, error) {
	maps, err := v.maps()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(maps, func(m proc.Mapping) bool { return m.Start == at })
	if i < 0 {
		return nil, fmt.Errorf("%w at %#x", errUnmapped, at)
	}
	found, err := s.proc.Find(v.PID, maps[i])
	if err != nil {
		return nil, v.note(err)
	}
	defer found.Close()
	if f := files.get(found.ID); f != nil {
		return f, nil
	}
	if files.most != 0 && found.ID.Size > files.most {
		return nil, fmt.Errorf("the file has more than %d bytes", files.most)
	}
	f, err := s.proc.Open(found)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	file, err := s.readMapped(v, f)
	if err == nil {
		files.put(found.ID, file)
	}
	return file, v.note(err)
}

// lone names the function of a patch that replaces just that one, which may be active, and no value.
func lone(spec *patch.Spec) string {
	if spec == nil || len(spec.Sites) != 1 || len(spec.Functions) != 1 || !spec.Functions[0].MayBeActive {
		return ""
	}
	return clip(spec.Functions[0].Symbol)
}

// allowable checks the functions that a person allows to be active, and returns their names as the kernel has them: it takes
// any name, and leaves the proof to the builder. A compiler's clone has a signature of its own, so old callers must not meet
// its new version.
func allowable(spec *patch.Spec, p PatchRef, given []string) ([]string, error) {
	var out []string
	for _, name := range given {
		if spec == nil {
			return nil, fmt.Errorf("whether %[2]s may be active is only in the file of patch %[1]s; give the file instead of the name", p.Name, name)
		}
		var all []string
		proved := true
		for _, f := range spec.Functions {
			all = append(all, f.Symbol)
			proved = proved && f.MayBeActive
		}
		found := names.Meant(all, name, lpnl.NameMax)
		switch {
		case len(found) == 0:
			return nil, fmt.Errorf("patch %s does not replace a function %s that could be allowed to be active; it replaces: %s",
				spec.Name, name, strings.Join(all, ", "))
		case len(found) > 1:
			return nil, fmt.Errorf("patch %s replaces several functions %s: %s; give the whole name of each that may be active", spec.Name, name, strings.Join(found, ", "))
		case !proved:
			return nil, &Refusal{Code: lpnl.RefusalThreadActive, Function: found[0],
				Message: fmt.Sprintf("patch %s has functions of which calls under way may not finish in the old code, "+
					"so %s must not be active; try again when no thread is in it", spec.Name, found[0])}
		}
		out = append(out, clip(found[0]))
	}
	return out, nil
}

// unclip gives texts of the kernel the names of a patch back that were clipped for it, but for those that several have in
// common then.
func unclip(spec *patch.Spec) *strings.Replacer {
	var pairs []string
	for clipped, name := range clippedNames(spec) {
		pairs = append(pairs, clipped, name)
	}
	return strings.NewReplacer(pairs...)
}

// clippedNames are the names in a patch that are longer than the kernel has them, by what it has.
func clippedNames(spec *patch.Spec) map[string]string {
	out := map[string]string{}
	if spec == nil {
		return out
	}
	several := map[string]bool{}
	add := func(name string) {
		c := clip(name)
		if c == name {
			return
		}
		several[c] = several[c] || out[c] != "" && out[c] != name
		out[c] = name
	}
	for _, f := range spec.Functions {
		add(f.Symbol)
	}
	for _, s := range spec.Sites {
		add(s.Symbol)
	}
	maps.DeleteFunc(out, func(c, _ string) bool { return several[c] })
	return out
}
