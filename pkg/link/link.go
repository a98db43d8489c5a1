// SPDX-License-Identifier: GPL-2.0

// Package link builds a patch: it binds new code to the image and the libraries that the image uses, and lays it out as a
// loadable file.
package link

import (
	"cmp"
	"debug/elf"
	"sort"

	"lpatch/pkg/arch"
	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/image"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/match"
	"lpatch/pkg/patch"
)

// linker is a patch under construction. Everything is kept in the order of discovery, so that the output depends only on the
// input.
type linker struct {
	im        *match.Target
	scope     *Scope
	inputs    []*Input
	values    []*Value              // sorted by address
	defs      map[string]definition // global symbols that only the new objects define
	oldNames  map[string]bool       // symbols of the old objects, once asked for
	numbers   map[string]uint64     // of a stripped target, by name, once asked for
	saidByOld map[string]bool       // whether an old object has a global symbol of a name, or refers to one: unsaid
	opts      Options
	leads     map[*Input]match.Leads // cache of leadsIn
	others    []match.Leads          // cache of otherLeads
	chunks    []*chunk
	work      []*chunk // chunks whose relocations have not been applied yet
	refusals  diff.Refusals

	bySection map[*lpelf.Section]*chunk
	literals  map[literalKey]*chunk
	constants map[constantKey]*chunk
	slots     map[dest]*chunk
	stubs     map[uint64]*chunk
	farStubs  map[dest]*chunk
	trap      *chunk                // target of calls to undefined weak functions
	libs      []*image.Image        // libraries that the patch refers to: images 1 and up of the patch
	near      map[*image.Image]bool // images that must be within rel32 reach of the patch
	commons   map[string]*chunk

	fixups64 []pointerFix
	fixups32 []absFix
	fixupsPC []pcFix
	later    []func() // actions that compute fields after addresses have been assigned
	frames   *frames
	passes   []pass
	// registration is nil if the unwind tables of the patch need not be registered.
	registration *registration
}

// Options provide information about the assumptions of new code.
type Options struct {
	CallerOK []string              // functions whose use of caller-dependent functions of the dynamic linker is accepted
	Olds     func() []*diff.Object // returns all old objects
	Scope    *Scope                // nil: the libraries are searched in the directories of this machine
}

// Link returns the loadable content of a patch. It consists of the changed functions and values of the inputs, and of values
// that were requested by name. spec provides name, description and tool; Link fills in images, sites, functions and fixups.
// The error is diff.Refusals with all reasons.
func Link(im *match.Target, inputs []*Input, values []*Value, spec patch.Spec, opts Options) (*patch.Content, error) {
	l := newLinker(im, inputs)
	l.values, l.opts = values, opts
	if opts.Scope != nil {
		l.scope = opts.Scope
	}
	return l.link(spec)
}

func newLinker(im *match.Target, inputs []*Input) *linker {
	return &linker{
		im: im, scope: &Scope{im: im.Image}, inputs: inputs, defs: map[string]definition{}, bySection: map[*lpelf.Section]*chunk{},
		literals: map[literalKey]*chunk{}, slots: map[dest]*chunk{}, stubs: map[uint64]*chunk{}, commons: map[string]*chunk{},
		farStubs: map[dest]*chunk{}, near: map[*image.Image]bool{}, leads: map[*Input]match.Leads{},
		frames: newFrames(), constants: map[constantKey]*chunk{},
	}
}

func (l *linker) link(spec patch.Spec) (*patch.Content, error) {
	l.collectDefinitions()
	l.collectValues()
	for _, in := range l.inputs {
		for _, ch := range in.changes() {
			l.addSection(in, in.Diff.New.SectionOf(ch.New))
		}
	}
	l.followAll()
	if err := l.addRegistration(); err != nil {
		return nil, err
	}
	l.followAll()
	l.checkTextSets()
	l.checkUpon()
	l.addPasses()
	l.frames.finish()
	l.checkAlignment()
	if len(l.refusals) > 0 {
		return nil, l.refusals.Sorted()
	}
	content := &patch.Content{Spec: &spec}
	l.layout(content)
	for _, f := range l.later {
		f()
	}
	l.finish(content)
	if len(l.refusals) > 0 {
		return nil, l.refusals.Sorted()
	}
	return content, nil
}

// collectDefinitions records the global symbols that the new objects define for each other.
func (l *linker) collectDefinitions() {
	for _, in := range l.inputs {
		for _, s := range in.Diff.New.Symbols {
			if s.Bind == elf.STB_LOCAL || s.Name == "" || s.Section == elf.SHN_UNDEF || s.Section == elf.SHN_ABS {
				continue
			}
			if _, dup := l.defs[s.Name]; !dup {
				l.defs[s.Name] = definition{in, s}
			}
		}
	}
}

func (l *linker) followAll() {
	for len(l.work) > 0 {
		c := l.work[0]
		l.work = l.work[1:]
		l.follow(c)
	}
}

// follow applies the relocations of a chunk, which may add further chunks.
func (l *linker) follow(c *chunk) {
	obj := c.in.Diff.New
	if err := obj.DecodeError(c.sec); c.kind == kindText && err != nil {
		l.refuse(c.in, l.functionOf(c), codes.UndecodableCode, "the new code does not decode: %v; report it, or leave this function out", err)
		return
	}
	l.checkCaller(c)
	relaxed := false
	for _, r := range obj.Refs(c.sec) {
		if relaxed {
			relaxed = false
			continue
		}
		if r.Off+uint64(r.Type.Size) > uint64(len(c.data)) {
			l.refuse(c.in, l.functionOf(c), codes.DamagedObject, "a relocation at %#x reaches beyond the section; build the object again", r.Off)
			continue
		}
		if relaxed = c.kind == kindText && l.relaxTLS(c, r); !relaxed {
			l.relocate(c, r)
		}
	}
	if c.kind == kindText {
		l.addFrames(c, c.in, c.sec)
	}
}

// outSections lists the sections of the patch by kind.
var outSections = [kinds]struct {
	name  string
	flags elf.SectionFlag
}{
	kindROData: {".rodata", elf.SHF_ALLOC},
	kindGot:    {".got", elf.SHF_ALLOC},
	kindText:   {".text", elf.SHF_ALLOC | elf.SHF_EXECINSTR},
	kindData:   {".data", elf.SHF_ALLOC | elf.SHF_WRITE},
}

// layout assigns an address to every chunk. The order is: headers and frames, read-only data and .got; text; writable data.
// Each protection has pages of its own.
func (l *linker) layout(content *patch.Content) {
	at := uint64(patch.HeaderSize)
	l.frames.place(&at)
	for k := kind(0); k < kinds; k++ {
		if k == kindText || k == kindData {
			at = arch.AlignUp(at, arch.PageSize)
		}
		start, align, n := uint64(0), uint64(1), 0
		for _, c := range l.chunks {
			if c.kind != k {
				continue
			}
			at = arch.AlignUp(at, c.align)
			if n == 0 {
				start = at
			}
			c.vaddr = at
			at += uint64(len(c.data))
			align, n = max(align, c.align), n+1
		}
		if n > 0 {
			content.Sections = append(content.Sections, patch.Section{Name: outSections[k].name, Flags: outSections[k].flags, Addr: start, Align: align, Data: make([]byte, at-start)})
		}
	}
}

// finish copies the chunks into their sections and fills in the descriptor.
func (l *linker) finish(content *patch.Content) {
	spec := content.Spec
	spec.Format = patch.FormatVersion
	spec.Images = []patch.Image{image.Describe(l.im.Image)}
	for _, lib := range l.libs {
		d := image.Describe(lib)
		d.Near = l.near[lib]
		spec.Images = append(spec.Images, d)
	}
	l.pin(spec)
	l.addFixups(spec)
	for _, c := range l.chunks {
		for i := range content.Sections {
			s := &content.Sections[i]
			if s.Name == outSections[c.kind].name {
				copy(s.Data[c.vaddr-s.Addr:], c.data)
			}
		}
		content.Symbols = append(content.Symbols, c.symbols()...)
	}
	content.Sections = append(l.frames.sections(), content.Sections...)
	l.addValueSites(spec)
	l.addSites(spec)
	l.finishUpon(spec)
}

// addFixups emits a fixup for each relocation whose value depends on the load addresses.
func (l *linker) addFixups(spec *patch.Spec) {
	for _, f := range l.fixups64 {
		place := f.c.vaddr + f.off
		x := patch.Fixup{Kind: patch.FixupAbs64, Place: place, Addend: int64(f.to.vaddr)}
		switch {
		case f.to.chunk != nil:
			x.Image, x.Addend = patch.SelfImage, int64(f.to.chunk.vaddr)+f.to.off
		case f.to.abs || f.to.lib == 0 && l.im.Fixed() && !l.inPatch(f.to.vaddr):
			l.put(f.c, f.off+f.c.lo, 8, int64(f.to.vaddr))
			continue
		case f.to.lib > 0:
			x.Image = f.to.lib
		}
		spec.Fixups = append(spec.Fixups, x)
	}
	for _, f := range l.fixups32 {
		x := patch.Fixup{Kind: patch.FixupAbs32, Image: patch.SelfImage, Place: f.c.vaddr + f.off}
		if x.Addend = int64(f.to.vaddr); f.to.chunk != nil {
			x.Addend = int64(f.to.chunk.vaddr) + f.to.off
		} else {
			x.Image = 0
		}
		spec.Fixups = append(spec.Fixups, x)
	}
	for _, f := range l.fixupsPC {
		spec.Fixups = append(spec.Fixups, patch.Fixup{Kind: patch.FixupPC32, Image: f.lib, Place: f.c.vaddr + f.off, Addend: int64(f.to - f.end)})
	}
	sort.Slice(spec.Fixups, func(i, j int) bool { return spec.Fixups[i].Place < spec.Fixups[j].Place })
}

// symbols returns the named functions and variables of a chunk.
func (c *chunk) symbols() []patch.Symbol {
	if c.sec == nil {
		if c.name == "" {
			return nil
		}
		return []patch.Symbol{{Name: c.name, Addr: c.vaddr, Size: uint64(len(c.data)), Func: c.kind == kindText, Local: c.kind == kindText}}
	}
	var out []patch.Symbol
	for _, s := range c.in.Diff.New.SymbolsIn(c.sec) {
		sym := patch.Symbol{Name: s.Name, Addr: c.vaddr + s.Value, Size: s.Size, Func: s.IsFunc(), Local: s.Bind == elf.STB_LOCAL}
		if sym.Local {
			sym.File = cmp.Or(c.in.Diff.New.Source, c.in.Diff.New.Name)
		}
		out = append(out, sym)
	}
	return out
}
