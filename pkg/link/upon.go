// SPDX-License-Identifier: GPL-2.0

package link

import (
	"debug/elf"
	"fmt"
	"slices"

	"lpatch/pkg/arch"
	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/image"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

// A patch that is built upon others is linked to an image that carries them. Its references to a lower patch refer to the
// file of that patch, which is listed as one of its images because targets map it. All its sites are in the target image,
// where the kernel module keeps them on a stack together with those of the lower patches. It has at least one site in common
// with each lower patch, so that no lower patch can be removed while this one is applied.

// pass is a site of a lower patch that redirects a function which this patch does not replace.
type pass struct {
	site patch.Site
	code *chunk
}

// addPasses adds a pass site for each lower patch of which this patch replaces no function.
func (l *linker) addPasses() {
	if !l.changes() {
		return
	}
	for _, c := range l.im.Patches() {
		covered := func(f patch.Function) bool {
			return l.covers(f.Bodies[0].Start) || slices.ContainsFunc(l.passes, func(p pass) bool {
				s, _ := c.SiteOf(&f)
				return p.site.Vaddr == s.Vaddr
			})
		}
		if slices.ContainsFunc(c.File.Spec.Functions, covered) {
			continue
		}
		i := slices.IndexFunc(c.File.Spec.Sites, func(s patch.Site) bool { return s.Kind == patch.SiteJump })
		site := c.File.Spec.Sites[i]
		code, at := l.im.Arch.Jump()
		through := &chunk{kind: kindText, name: site.Symbol[:min(len(site.Symbol), patch.MaxNameLen-len(patch.PassSuffix))] + patch.PassSuffix, data: code, align: 16}
		l.chunks = append(l.chunks, through)
		l.fixupsPC = append(l.fixupsPC, pcFix{c: through, off: at, to: l.im.Top(site.Vaddr), end: 4})
		l.passes = append(l.passes, pass{site, through})
	}
}

// changes reports whether the patch has any effect.
func (l *linker) changes() bool {
	return len(l.values) > 0 || slices.ContainsFunc(l.inputs, func(in *Input) bool {
		return slices.ContainsFunc(in.changes(), func(ch Moved) bool { return ch.Loc.Match(ch.Old) != nil })
	})
}

// covers reports whether the patch replaces the function at address start of the image.
func (l *linker) covers(start uint64) bool {
	for _, in := range l.inputs {
		for _, ch := range in.changes() {
			if m := ch.Loc.Match(ch.Old); m != nil && m.Start == start {
				return true
			}
		}
	}
	return false
}

// checkUpon refuses changes to functions and values that a lower patch has added or set.
func (l *linker) checkUpon() {
	for _, in := range l.inputs {
		for _, ch := range in.changes() {
			m := ch.Loc.Match(ch.Old)
			if m == nil {
				continue
			}
			if n, _, inside := l.im.InPatch(m.Start); inside {
				l.refuse(in, ch.Old.Name, codes.OnAdded, "only the patch %s has this function, and what a patch has itself cannot be replaced; build one patch of all the fixes and apply it with --replace", l.name(n))
			} else if n, held := l.held(m.Start); held {
				l.refuse(in, ch.Old.Name, codes.OnPointer, "the patch %s has the address of its own code for this function, which pointers in the program may hold, and they would lead there still; "+
					"build one patch of all the fixes and apply it with --replace", l.name(n))
			}
		}
	}
	for _, v := range l.values {
		l.checkValueUpon(v)
	}
}

func (l *linker) name(patch int) string { return l.im.Patches()[patch].File.Spec.Name }

func (l *linker) checkValueUpon(v *Value) {
	refuse := func(n int) {
		l.refusals = append(l.refusals, diff.Refusal{Code: codes.OnValue, File: l.im.Path, Symbol: v.Name,
			Text: fmt.Sprintf("the patch %s has set this variable, or is alone to have it; build one patch of all the fixes and apply it with --replace", l.name(n))})
	}
	end := v.Vaddr + uint64(len(v.To))
	if n, _, inside := l.im.InPatch(v.Vaddr); inside {
		refuse(n)
		return
	}
	for n, c := range l.im.Patches() {
		if slices.ContainsFunc(c.File.Spec.Sites, func(s patch.Site) bool {
			return s.Kind == patch.SiteBytes && s.Vaddr < end && v.Vaddr < s.Vaddr+uint64(len(s.New))
		}) {
			refuse(n)
			return
		}
	}
}

// held reports whether a lower patch stores or computes the address of its own code for the function at start, other than by
// branching to it. n is the index of the patch.
func (l *linker) held(start uint64) (n int, held bool) {
	for n, c := range l.im.Patches() {
		for _, f := range c.File.Spec.Functions {
			site, ok := c.SiteOf(&f)
			if f.Bodies[0].Start == start && ok && holds(c, site) {
				return n, true
			}
		}
	}
	return 0, false
}

// holds reports whether the patch has a word with the address of the new function that a site leads to, or an instruction
// that computes it.
func holds(c *image.Carried, site patch.Site) bool {
	at := c.Replacement(site).Addr
	for _, x := range c.File.Spec.Fixups {
		if x.Image == patch.SelfImage && x.Kind != patch.FixupPC32 && uint64(x.Addend) == at {
			return true
		}
	}
	for _, s := range c.File.Segments() {
		if s.Prot != patch.ProtRX {
			continue
		}
		code := c.File.Data[s.Offset : s.Offset+s.Size]
		for pos, in := range arch.Instructions(c.Self.Arch, code) {
			if in.PCRel == 4 && !in.IsBranch() && s.Vaddr+uint64(pos+in.Len)+uint64(in.Disp(code[pos:])) == at {
				return true
			}
		}
	}
	return false
}

// finishUpon converts addresses of the image that are in carried patches to addresses relative to these patches.
func (l *linker) finishUpon(spec *patch.Spec) {
	first := len(spec.Images)
	for _, c := range l.im.Patches() {
		spec.Upon = append(spec.Upon, patch.Upon{Name: c.File.Spec.Name, Image: len(spec.Images)})
		spec.Images = append(spec.Images, image.Describe(c.Self))
	}
	if len(spec.Upon) == 0 {
		return
	}
	l.referUpon(spec, first)
	for i := range spec.Relies {
		if n, at, inside := l.im.InPatch(spec.Relies[i].Start); inside {
			spec.Relies[i].Image, spec.Relies[i].Start = first+n, uint64(at)
		}
	}
	for i := range spec.Functions {
		f := &spec.Functions[i]
		f.MayBeActive = false // a thread that stays in the old body would require the lower patches to stay, too
		for _, c := range l.im.Patches() {
			for _, below := range c.File.Spec.Functions {
				if below.Bodies[0].Start == f.Bodies[0].Start {
					f.Bodies = below.Bodies
				}
			}
		}
	}
	for _, p := range l.passes {
		p.site.Target = p.code.vaddr
		spec.Sites = append(spec.Sites, p.site)
	}
	slices.SortFunc(spec.Sites, func(a, b patch.Site) int { return int(int64(a.Vaddr - b.Vaddr)) })
}

// referUpon redirects fixups to the lower patches that they refer to. It refuses references to code of a patch that registers
// its unwind tables at the first call, because they would bypass the entry stub.
func (l *linker) referUpon(spec *patch.Spec, first int) {
	for i := range spec.Fixups {
		x := &spec.Fixups[i]
		if x.Image != 0 {
			continue
		}
		n, at, inside := l.im.InPatch(uint64(x.Addend))
		if !inside {
			continue
		}
		x.Image, x.Addend = first+n, at
		c := l.im.Patches()[n]
		passes := slices.ContainsFunc(l.passes, func(p pass) bool { return x.Place >= p.code.vaddr && x.Place < p.code.vaddr+uint64(len(p.code.data)) })
		if code := c.Self.Code(uint64(at)); code != nil && c.File.Spec.Pin != 0 && !passes {
			l.refusals = append(l.refusals, diff.Refusal{Code: codes.OnUnwind, File: l.im.Path,
				Text: fmt.Sprintf("the new code calls a function that only the patch %s has, and exceptions may pass through that before its unwind tables are known; "+
					"build one patch of all the fixes and apply it with --replace", c.File.Spec.Name)})
			return
		}
	}
}

// inPatch reports whether an address of the image is in a carried patch.
func (l *linker) inPatch(addr uint64) bool {
	_, _, inside := l.im.InPatch(addr)
	return inside
}

// unsaid refuses a global symbol of the target that no old object names. The source that includes the earlier fixes may have
// removed it; a symbol of the same name in the new source would then be unrelated.
func (l *linker) unsaid(in *Input, g *lpelf.Symbol) bool {
	if len(l.im.Patches()) == 0 || l.inPatch(g.Value) {
		return false
	}
	if l.saidByOld == nil {
		l.saidByOld = map[string]bool{}
		for _, o := range l.opts.Olds() {
			for _, s := range o.Symbols {
				l.saidByOld[s.Name] = l.saidByOld[s.Name] || s.Bind != elf.STB_LOCAL
			}
		}
	}
	if l.saidByOld[g.Name] {
		return false
	}
	l.refuse(in, g.Name, codes.OnUnnamed, "the target has this, but no old object names it, so a patch that is applied may have removed it and this may be another one; "+
		"give all objects of the source with the fixes before, or give what is new another name")
	return true
}
