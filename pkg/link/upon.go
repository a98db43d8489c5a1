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

// A patch upon others is linked to an image that carries them. What it refers to in one of them, it refers to in the file of that
// patch, which is one of its images: targets map it. All its sites are in the target, where the kernel keeps them in a stack
// with those of the others: one at least of each, so that no patch can be taken from under this one.

// pass is a site of a patch below, of a function that stays as that patch has it.
type pass struct {
	site patch.Site
	code *chunk
}

// addPasses covers the patches of which this one replaces no function.
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

// changes tells whether the patch has anything to do.
func (l *linker) changes() bool {
	return len(l.values) > 0 || slices.ContainsFunc(l.inputs, func(in *Input) bool {
		return slices.ContainsFunc(in.changes(), func(ch Moved) bool { return ch.Loc.Match(ch.Old) != nil })
	})
}

// covers tells whether the patch replaces the function that starts at an address of the image.
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

// checkUpon refuses what would change a patch below itself.
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

// held tells whether a patch below has the address of the code that it has for a function of the image, otherwise than to branch there.
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

// holds looks for a word with the address of the code that a site leads to, and for an instruction that computes it.
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

// finishUpon makes, of addresses in the image that carries patches, those of the patches.
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
		f.MayBeActive = false // a thread that stays in it would need the patches below as long
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

// referUpon leads fix-ups to the patches that they mean. Code of a patch that has yet to make its unwind tables known is not
// to be reached past the entry that does so.
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

// inPatch tells whether an address of the image is that of a patch that it carries.
func (l *linker) inPatch(addr uint64) bool {
	_, _, inside := l.im.InPatch(addr)
	return inside
}

// unsaid refuses a global symbol of the target that no old object names. The source with the fixes before may not have it any
// more, and then what has the name in the new source is another thing.
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
