// SPDX-License-Identifier: GPL-2.0

package link

import (
	"debug/elf"
	"slices"
	"sort"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/ehframe"
	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/match"
	"lpatch/pkg/patch"
)

// addSites adds one jump per old function and records the old bodies. Aliases, with one address, count as one function.
func (l *linker) addSites(spec *patch.Spec) {
	seen := map[uint64]bool{}
	for _, in := range l.inputs {
		for _, ch := range in.changes() {
			m := ch.Loc.Match(ch.Old)
			if m == nil || seen[m.Start] {
				continue
			}
			seen[m.Start] = true
			site, ok := l.site(in, ch.Change, m)
			if !ok || l.folded(in, ch, m) {
				continue
			}
			site.Target = l.target(in, ch.Change)
			spec.Sites = append(spec.Sites, site)
			fn := patch.Function{Symbol: site.Symbol, Why: ch.Why, Bodies: []patch.Range{{Start: m.Start, End: m.End}}}
			if cold := ch.Loc.Obj.Lookup(ch.Old.Name + ".cold"); cold != nil {
				if cm := ch.Loc.Match(cold); cm != nil {
					fn.Bodies = append(fn.Bodies, patch.Range{Start: cm.Start, End: cm.End})
				}
			}
			fn.MayBeActive = !isClone(site.Symbol) && l.runsOn(fn.Bodies, site)
			spec.Functions = append(spec.Functions, fn)
		}
	}
	l.addRelies(spec)
	sort.Slice(spec.Sites, func(i, j int) bool { return spec.Sites[i].Vaddr < spec.Sites[j].Vaddr })
	sort.SliceStable(spec.Functions, func(i, j int) bool { return spec.Functions[i].Bodies[0].Start < spec.Functions[j].Bodies[0].Start })
}

// cloneMark matches the suffix of compiler-generated clones, whose signature may differ from that of the original function.
var cloneMark = lazyregexp.New(`\.(isra|constprop|part|lto_priv)\b`)

func isClone(name string) bool { return cloneMark().MatchString(name) }

// runsOn reports whether threads that execute the old bodies are proven never to branch to the overwritten bytes of a site,
// except to the first one, which is equivalent to a call. An indirect jump prevents the proof.
func (l *linker) runsOn(bodies []patch.Range, site patch.Site) bool {
	return !slices.ContainsFunc(bodies, func(b patch.Range) bool {
		return !l.im.RunsOn(ehframe.Range(b), site.Vaddr, site.Vaddr+uint64(len(site.Old)))
	})
}

// publicFirst sorts names that are visible to other files before hidden aliases, so that messages use the former.
func publicFirst(changes []diff.Change) []diff.Change {
	out := append([]diff.Change{}, changes...)
	sort.SliceStable(out, func(i, j int) bool {
		return out[i].Old.Vis == elf.STV_DEFAULT && out[j].Old.Vis != elf.STV_DEFAULT
	})
	return out
}

// site determines the bytes to overwrite.
func (l *linker) site(in *Input, ch diff.Change, m *match.Match) (patch.Site, bool) {
	name := ch.Old.Name
	if len(name) > patch.MaxNameLen {
		name = name[:patch.MaxNameLen]
	}
	at, old, ok := l.im.Site(m.Start, m.End)
	if !ok {
		l.refuse(in, ch.Old.Name, codes.FunctionTooShort,
			"the function has %d bytes in the target and no padding behind it, a jump needs %d; change its caller instead", m.End-at, l.im.JumpSize())
		return patch.Site{}, false
	}
	return patch.Site{Kind: patch.SiteJump, Symbol: name, Vaddr: at, Old: old}, true
}
