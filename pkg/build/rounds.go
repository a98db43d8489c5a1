// SPDX-License-Identifier: GPL-2.0

package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/deb"
	"lpatch/pkg/diff"
	"lpatch/pkg/lazyregexp"
)

// All fixes are first built together. If some files are refused, the responsible fixes are left out together with those that
// may depend on them, and the refused files are tried again with the remaining fixes. Files that were built keep all fixes:
// they are not used together with a refused file (see together).
func (p *packager) rounds(ctx context.Context) error {
	if err := p.readFixes(); err != nil {
		return err
	}
	if err := p.round(ctx); err != nil {
		return err
	}
	last := p.res.Images
	for {
		blamed := blame(p.fixes, last)
		rest := slices.DeleteFunc(slices.Clone(p.fixes), func(f deb.Fix) bool { return blamed[f.Name] != "" })
		if len(blamed) == 0 || len(rest) == 0 {
			return nil
		}
		before, names := p.res.Images, p.res.Fixes
		for _, f := range p.fixes {
			if why := blamed[f.Name]; why != "" {
				p.refuseFix(f, why)
			}
		}
		p.leaveWhole()
		p.fixes = rest
		p.o.Progress.Say("trying again without %s", strings.Join(namesOf(p.res.Refused), ", "))
		err := p.round(ctx)
		last = p.res.Images
		p.res.Images, p.res.Fixes = merge(before, last), names
		last = stillRefused(p.res.Images, last)
		if ctx.Err() != nil {
			return err
		}
		if err != nil {
			p.res.Images = before
			for _, f := range p.fixes {
				p.refuseFix(f, fmt.Sprintf("without those it is not built: %v", err))
			}
			return nil
		}
	}
}

// leaveWhole switches to the older tree with patches applied. Changes that the newer version made to older patches are then
// not included.
func (p *packager) leaveWhole() {
	if p.whole {
		for _, name := range p.changed {
			p.refuseFix(deb.Fix{Name: name}, "it is another one in the newer version, or not there, which only the whole difference has")
		}
	}
	p.whole = false
}

// stillRefused returns the results of a round for files that have no patch so far.
func stillRefused(merged, now []ImageResult) []ImageResult {
	return slices.DeleteFunc(slices.Clone(now), func(r ImageResult) bool {
		return slices.ContainsFunc(merged, func(m ImageResult) bool { return m.File == r.File && m.Result != nil })
	})
}

func (p *packager) refuseFix(f deb.Fix, why string) {
	p.res.Refused = append(p.res.Refused, RefusedFix{f.Name, why})
}

func namesOf(list []RefusedFix) []string {
	var out []string
	for _, r := range list {
		out = append(out, r.Name)
	}
	return out
}

// round builds the new source and compares it.
func (p *packager) round(ctx context.Context) error {
	for _, step := range []func(context.Context) error{p.applyFixes, p.buildNew} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return p.makePatches()
}

// merge replaces results that were refused by those of a later round that succeeded.
func merge(before, now []ImageResult) []ImageResult {
	out := slices.Clone(before)
	for i := range out {
		var refusals Refusals
		if j := slices.IndexFunc(now, func(r ImageResult) bool { return r.File == out[i].File }); j >= 0 && now[j].Result != nil && errors.As(out[i].Err, &refusals) {
			out[i] = now[j]
		}
	}
	return out
}

// applyFixes installs the new source: the newer tree, or the older one with the fixes. If there are several fixes, one that
// does not apply is left out.
func (p *packager) applyFixes(ctx context.Context) error {
	p.res.Fixes = nil
	path := p.old.BuildPath()
	if p.whole {
		for _, f := range p.fixes {
			p.res.Fixes = append(p.res.Fixes, f.Name)
		}
		if len(p.fixes) == 0 {
			p.res.Fixes = []string{"all that differs in " + p.newer.Version.String()}
		}
		return p.root.PutTree(ctx, p.path("newer"), path)
	}
	if err := p.root.Unpack(ctx, p.old, p.dsc, path); err != nil {
		return err
	}
	names, err := sourcesOfFixes(p.fixes)
	if err != nil {
		return err
	}
	older, newer := p.path("older-files"), p.path("newer-files")
	if err := p.root.TakeFiles(ctx, path, names, older); err != nil {
		return err
	}
	if err := p.applyEach(ctx, path); err != nil {
		return err
	}
	if err := p.root.TakeFiles(ctx, path, names, newer); err != nil {
		return err
	}
	if err := keepLinesOf(older, newer, names); err != nil {
		return err
	}
	return p.root.PutFiles(ctx, newer, path)
}

func (p *packager) applyEach(ctx context.Context, tree string) error {
	var fit, misfit []deb.Fix
	for _, f := range p.fixes {
		if below := standsUpon(f, misfit); below != "" {
			misfit = append(misfit, f)
			p.refuseFix(f, upon(below))
			continue
		}
		p.o.Progress.Say("applying %s", f.Name)
		leftOut, err := p.root.Apply(ctx, f, tree)
		switch {
		case err != nil && (len(p.fixes) == 1 || ctx.Err() != nil):
			return err
		case err != nil:
			misfit = append(misfit, f)
			p.refuseFix(f, err.Error())
			continue
		}
		fit = append(fit, f)
		p.res.Fixes = append(p.res.Fixes, f.Name)
		for _, name := range leftOut {
			p.res.LeftOut = append(p.res.LeftOut, LeftOutFile{name, doesNotFit})
		}
	}
	if len(fit) == 0 {
		return fmt.Errorf("none of the fixes applies to %s: %s", p.old.Version, p.res.Refused[0].Why)
	}
	p.fixes = fit
	return nil
}

// doesNotFit is the rule of LeftOutFile for files that are not compiled and to which a patch that depends on others does not
// apply.
const doesNotFit = "does not fit"

// standsUpon returns the name of an earlier patch that f may depend on, because both change the same compiled file or are
// parts of the fix for one CVE; "" if there is none.
func standsUpon(f deb.Fix, earlier []deb.Fix) string {
	own := compiledFiles(f)
	for _, e := range earlier {
		if id := cve().FindString(f.Name); id != "" && id == cve().FindString(e.Name) ||
			slices.ContainsFunc(compiledFiles(e), func(name string) bool { return slices.Contains(own, name) }) {
			return e.Name
		}
	}
	return ""
}

func upon(below string) string {
	return "it may stand upon " + below + ", which is left out, for both change the same file or are of one CVE"
}

var cve = lazyregexp.New(`(?i)CVE-[0-9]+-[0-9]+`)

func compiledFiles(f deb.Fix) []string {
	names, err := f.CompiledFiles()
	if err != nil {
		return nil // the patch does not apply, which is reported elsewhere
	}
	return names
}

// blame returns the fixes that cause refusals, with the reasons: fixes that change the source of the refused object or
// mention the symbol, and fixes that may depend on these.
func blame(fixes []deb.Fix, images []ImageResult) map[string]string {
	blamed := map[string]string{}
	for i := range images {
		var refusals Refusals
		if !errors.As(images[i].Err, &refusals) {
			continue
		}
		for _, r := range refusals {
			for _, f := range causes(fixes, r) {
				text := fmt.Sprintf("%s: [%s] %s", cmp.Or(strings.TrimPrefix(r.File+": "+r.Symbol, ": "), images[i].Paths[0]), r.Code, r.Text)
				blamed[f.Name] = cmp.Or(blamed[f.Name], text)
			}
		}
	}
	var out []deb.Fix
	for _, f := range fixes {
		if blamed[f.Name] == "" {
			if below := standsUpon(f, out); below != "" {
				blamed[f.Name] = upon(below)
			}
		}
		if blamed[f.Name] != "" {
			out = append(out, f)
		}
	}
	return blamed
}

// causes returns the fixes that a refusal may concern: those that change the source of the object and mention the symbol, if
// there are any; otherwise those that do either, such as a change of a structure in a header.
func causes(fixes []deb.Fix, r Refusal) []deb.Fix {
	if r.Code == codes.FixIncomplete {
		return nil
	}
	var touch, both, name []deb.Fix
	for _, f := range fixes {
		touches := slices.ContainsFunc(compiledFiles(f), func(file string) bool { return isObjectOf(r.File, file) })
		names := r.Symbol != "" && f.Mentions(r.Symbol)
		switch {
		case touches && names:
			both = append(both, f)
		case touches:
			touch = append(touch, f)
		case names:
			name = append(name, f)
		}
	}
	for _, list := range [][]deb.Fix{both, append(name, touch...)} {
		if len(list) > 0 {
			return list
		}
	}
	return nil
}

// isObjectOf reports whether an object may be made from a source file according to their names. Build systems prepend the
// name of the program or of the directory.
func isObjectOf(object, source string) bool {
	stem := func(s string) string { return strings.SplitN(filepath.Base(s), ".", 2)[0] }
	o, s := stem(object), stem(source)
	return !strings.Contains(filepath.Ext(source), "h") && s != "" && (o == s || strings.HasSuffix(o, "-"+s) || strings.HasSuffix(o, "_"+s))
}

// unfit returns the refusal of a file whose objects cannot be compared at all. Other files of the package are not affected.
func unfit(file string, err error) Refusals {
	return Refusals{diff.Refusal{Code: codes.TargetUnfit, File: file, Text: fmt.Sprintf("lpctl cannot read what is needed of this file, and the others of the package are not concerned: %v", err)}}
}
