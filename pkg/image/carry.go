// SPDX-License-Identifier: GPL-2.0

package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"lpatch/pkg/arch"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

// An Image may carry patches; it then describes the memory of a process in which these patches are applied. Each patch is
// placed above the image, at such a distance from everything else that an address identifies its patch even after the
// compiler has added an offset to it or subtracted one.
const (
	carryFirst              = 768 << 20 // distance of the first patch from the end of the image
	carryStep               = 64 << 20
	carryMargin             = 16 << 20 // room below each patch that belongs to the patch
	carryLargest, carryMost = 32 << 20, 8
	carryReach              = 256 << 20 // maximum size of the image, so that everything is within reach of a 32-bit displacement and of a 31-bit address
)

// anySection is the section index of the symbols of carried patches. No image has a section with this index.
const anySection elf.SectionIndex = 0xfe00

// Carried is a patch that an image carries.
type Carried struct {
	Path string
	File *patch.File
	Self *Image // the patch file as an image of its own
	Base uint64 // address at which address 0 of the patch is placed
}

// carrying is the state of an image that carries patches.
type carrying struct {
	below   *lpelf.File // the file without patches
	patches []*Carried
	code    map[uint64]uint64 // start of a replaced function -> its current code
	ends    map[uint64]uint64 // start of a replaced function -> end of its body in the image
	entry   map[uint64]uint64 // address in a patch -> start of the function in the image that is redirected to it
	tops    map[uint64]uint64 // site -> target of its jump
	doubt   map[string]bool   // names that the image and a patch define differently
}

// Below returns the ELF file of the image without the patches that it carries.
func (im *Image) Below() *lpelf.File {
	if im.carrying == nil {
		return im.File
	}
	return im.carrying.below
}

// Patches returns the patches that the image carries, lowest first.
func (im *Image) Patches() []*Carried {
	if im.carrying == nil {
		return nil
	}
	return im.carrying.patches
}

// InPatch returns the index of the carried patch that addr belongs to, and the address relative to the patch. The latter may
// be negative.
func (im *Image) InPatch(addr uint64) (n int, at int64, ok bool) {
	for i, c := range im.Patches() {
		if low := c.Base - carryMargin; addr >= low && addr-low < carryStep {
			return i, int64(addr - c.Base), true
		}
	}
	return 0, 0, false
}

// CodeOf returns the address of the current code of the function that starts at start: that of its replacement if a carried
// patch replaces it, else start.
func (im *Image) CodeOf(start uint64) uint64 {
	if im.carrying != nil {
		if at, ok := im.carrying.code[start]; ok {
			return at
		}
	}
	return start
}

// EndOf returns the end address in the image of the body of the function at start, which a carried patch replaces.
func (im *Image) EndOf(start uint64) uint64 { return im.carrying.ends[start] }

// EntryOf returns the address through which the code at addr is called: for a replacement in a carried patch this is the
// start of the replaced function.
func (im *Image) EntryOf(addr uint64) uint64 {
	if im.carrying != nil {
		if at, ok := im.carrying.entry[addr]; ok {
			return at
		}
	}
	return addr
}

// Top returns the target of the jump that the topmost carried patch wrote to site.
func (im *Image) Top(site uint64) uint64 { return im.carrying.tops[site] }

// Doubted reports whether the image and a carried patch define name differently, so that only the referring code can tell
// which definition is meant.
func (im *Image) Doubted(name string) bool { return im.carrying != nil && im.carrying.doubt[name] }

// Carry adds a patch on top of the image. A nonempty why is a sentence that explains why this is not possible.
func (im *Image) Carry(path string, p *patch.File) (why string, err error) {
	f, err := lpelf.Parse(path, p.Data)
	if err != nil {
		return "", err
	}
	self, err := New(f, nil)
	if err != nil {
		return "", err
	}
	if why := im.refuseToCarry(p); why != "" {
		return why, nil
	}
	if im.carrying == nil {
		im.carrying = &carrying{below: im.File, code: map[uint64]uint64{}, ends: map[uint64]uint64{}, entry: map[uint64]uint64{}, tops: map[uint64]uint64{}, doubt: map[string]bool{}}
		own := *im.File
		own.Data, own.Progs = bytes.Clone(own.Data), slices.Clone(own.Progs)
		im.File = &own
	}
	c := &Carried{Path: path, File: p, Self: self}
	_, end := im.span()
	c.Base = end + carryFirst + uint64(len(im.carrying.patches))*carryStep
	im.carrying.patches = append(im.carrying.patches, c)
	im.layMemory(c)
	im.layStubs(c)
	if why := im.layFunctions(c); why != "" {
		return why, nil
	}
	return im.laySymbols(c), nil
}

// span returns the start and the end of all loadable segments of the file, page aligned.
func (im *Image) span() (start, end uint64) {
	start = ^uint64(0)
	for _, p := range im.Below().Progs {
		if p.Type == elf.PT_LOAD {
			start = min(start, p.Vaddr&^(arch.PageSize-1))
			end = max(end, (p.Vaddr+p.Memsz+arch.PageSize-1)&^(arch.PageSize-1))
		}
	}
	return start, end
}

// refuseToCarry returns a sentence if a patch of this form cannot be carried, else "".
func (im *Image) refuseToCarry(p *patch.File) string {
	start, end := im.span()
	switch {
	case len(im.Patches()) == carryMost:
		return fmt.Sprintf("more than %d patches under one are too many", carryMost)
	case p.Span() > carryLargest || end-start > carryReach:
		return "it, or the target, is too large to build upon"
	case !slices.ContainsFunc(p.Segments(), func(s patch.Segment) bool { return s.Prot == patch.ProtRX }):
		return "it has values only, and no code by which the kernel could tell that it is there"
	case slices.ContainsFunc(p.Spec.Sites, func(s patch.Site) bool { return s.Image != 0 }):
		return "it changes several files"
	}
	for _, s := range p.Symbols() {
		if s.Local && s.File == "" && !ofLinker(s.Name) {
			return "it was made by an lpctl that did not note the sources of its static functions and variables; build it again"
		}
	}
	return ""
}

// ofLinker reports whether name is that of a stub or trampoline generated by lpctl.
func ofLinker(name string) bool {
	return strings.Contains(name, "@") || strings.HasSuffix(name, patch.FirstCallSuffix) || strings.HasSuffix(name, patch.PassSuffix)
}

// layMemory adds the segments of a patch with their fixups applied, and writes the new values of variables to the image.
func (im *Image) layMemory(c *Carried) {
	memory := make([]byte, c.File.Span())
	for _, s := range c.File.Segments() {
		copy(memory[s.Vaddr:s.Vaddr+s.Size], c.File.Data[s.Offset:])
	}
	for i := range c.File.Spec.Fixups {
		im.layFixup(c, memory, &c.File.Spec.Fixups[i])
	}
	for _, s := range c.File.Segments() {
		flags := elf.PF_R
		switch s.Prot {
		case patch.ProtRX:
			flags |= elf.PF_X
		case patch.ProtRW:
			flags |= elf.PF_W
		}
		im.Progs = append(im.Progs, lpelf.Prog{Type: elf.PT_LOAD, Flags: flags, Off: uint64(len(im.Data)) + s.Vaddr, Vaddr: c.Base + s.Vaddr, Filesz: s.Size, Memsz: s.Size, Align: arch.PageSize})
	}
	im.Data = append(im.Data, memory...)
	for _, s := range c.File.Spec.Sites {
		if at := im.BytesAt(s.Vaddr); s.Kind == patch.SiteBytes && len(at) >= len(s.New) {
			copy(at, s.New)
		}
	}
}

// layFixup applies a fixup as the kernel module does. A word that refers to a library has no known value here; its slot gets
// the symbol "?".
func (im *Image) layFixup(c *Carried, memory []byte, x *patch.Fixup) {
	base, known := im.baseOf(c, x.Image)
	to, at := base+uint64(x.Addend), memory[x.Place:]
	switch {
	case x.Kind == patch.FixupAbs64 && !known:
		im.Slots.ByVaddr[c.Base+x.Place] = lpelf.Slot{Vaddr: c.Base + x.Place, Symbol: "?"}
	case x.Kind == patch.FixupAbs64:
		im.Slots.ByVaddr[c.Base+x.Place] = lpelf.Slot{Vaddr: c.Base + x.Place, Type: arch.Reloc{Meaning: arch.Relative}, Addend: int64(to)}
		binary.LittleEndian.PutUint64(at, to)
	case !known:
	case x.Kind == patch.FixupAbs32:
		binary.LittleEndian.PutUint32(at, uint32(to))
	case x.Kind == patch.FixupPC32:
		binary.LittleEndian.PutUint32(at, uint32(to-(c.Base+x.Place)))
	}
}

// baseOf returns the address of image number image of a carried patch. ok is false for libraries, whose address is not known.
func (im *Image) baseOf(c *Carried, image int) (uint64, bool) {
	switch {
	case image == patch.SelfImage:
		return c.Base, true
	case image == 0:
		return 0, true
	}
	for _, other := range im.carrying.patches {
		if other != c && bytes.Equal(other.File.BuildID, c.File.Spec.Images[image].BuildID) {
			return other.Base, true
		}
	}
	return 0, false
}

// layStubs records the PLT stubs of a patch: those that jump through a GOT word of the image, and those that jump through a
// word of the patch to a symbol which the image does not import.
func (im *Image) layStubs(c *Carried) {
	names := map[uint64]string{}
	for _, s := range c.File.Symbols() {
		if name, _, stub := strings.Cut(s.Name, "@"); stub {
			names[c.Base+s.Addr] = name
		}
	}
	for _, s := range c.File.Segments() {
		if s.Prot != patch.ProtRX {
			continue
		}
		for at := c.Base + s.Vaddr; at < c.Base+s.Vaddr+s.Size; at += 16 {
			for _, twice := range []bool{false, true} {
				im.layStub(at, names[at], twice)
			}
		}
	}
}

func (im *Image) layStub(at uint64, name string, twice bool) {
	want, field := im.Arch.Through(twice)
	have := bytes.Clone(im.Code(at))
	if len(have) < len(want) {
		return
	}
	have = have[:len(want)]
	word := at + field + 4 + uint64(int64(int32(binary.LittleEndian.Uint32(have[field:]))))
	clear(have[field : field+4])
	slot, ok := im.Slots.ByVaddr[word]
	if !bytes.Equal(have, want) || !ok && !twice {
		return
	}
	if slot.Symbol == "?" || twice {
		if name == "" {
			return
		}
		im.Slots.ByVaddr[word] = lpelf.Slot{Vaddr: word, Symbol: name}
	}
	im.Slots.PLT[at] = word
}

// layFunctions records which functions the patch replaces, and the addresses of their replacements.
func (im *Image) layFunctions(c *Carried) string {
	y := im.carrying
	for _, s := range c.File.Spec.Sites {
		if s.Kind == patch.SiteJump {
			y.tops[s.Vaddr] = c.Base + s.Target
		}
	}
	for i := range c.File.Spec.Functions {
		f := &c.File.Spec.Functions[i]
		site, ok := c.SiteOf(f)
		now := c.Replacement(site)
		if f.Image != 0 || !ok || now == nil {
			return fmt.Sprintf("what it has in place of %s is not known; build it again", f.Symbol)
		}
		im.layCode(c, f.Bodies[0], now.Addr)
		if len(f.Bodies) > 1 {
			if cold := c.coldOf(now); cold != nil {
				im.layCode(c, f.Bodies[1], cold.Addr)
			}
		}
	}
	return ""
}

func (im *Image) layCode(c *Carried, body patch.Range, at uint64) {
	y := im.carrying
	y.code[body.Start], y.ends[body.Start], y.entry[c.Base+at] = c.Base+at, body.End, body.Start
}

// SiteOf returns the site at which function f is redirected: at its start, or after the endbr64 there.
func (c *Carried) SiteOf(f *patch.Function) (patch.Site, bool) {
	const endbr = 4
	i := slices.IndexFunc(c.File.Spec.Sites, func(s patch.Site) bool {
		return s.Kind == patch.SiteJump && s.Image == f.Image && s.Vaddr >= f.Bodies[0].Start && s.Vaddr <= f.Bodies[0].Start+endbr
	})
	if i < 0 {
		return patch.Site{}, false
	}
	return c.File.Spec.Sites[i], true
}

// Replacement returns the symbol of the new function that site redirects to, either directly or through a first-call
// trampoline; nil if unknown.
func (c *Carried) Replacement(site patch.Site) *patch.Symbol {
	all := c.File.Symbols()
	at := func(addr uint64) *patch.Symbol {
		i := slices.IndexFunc(all, func(s patch.Symbol) bool { return s.Func && s.Addr == addr && !ofLinker(s.Name) })
		if i < 0 {
			return nil
		}
		return &all[i]
	}
	if s := at(site.Target); s != nil {
		return s
	}
	i := slices.IndexFunc(all, func(s patch.Symbol) bool {
		return s.Addr == site.Target && strings.HasSuffix(s.Name, patch.FirstCallSuffix)
	})
	if i < 0 {
		return nil
	}
	code := c.File.BytesAt(site.Target)
	code = code[:min(uint64(len(code)), all[i].Size)]
	for pos, in := range arch.Instructions(c.Self.Arch, code) {
		if to := site.Target + uint64(pos+in.Len) + uint64(in.Disp(code[pos:])); in.IsBranch() && in.PCRel == 4 {
			if s := at(to); s != nil && s.Name+patch.FirstCallSuffix == all[i].Name {
				return s
			}
		}
	}
	return nil
}

func (c *Carried) coldOf(f *patch.Symbol) *patch.Symbol {
	var found *patch.Symbol
	for _, s := range c.File.Symbols() {
		if s.Name == f.Name+".cold" && (!f.Local || s.File == f.File) {
			if found != nil {
				return nil
			}
			found = &s
		}
	}
	return found
}

// laySymbols adds the symbols that only the patch defines to the symbol table of the image.
func (im *Image) laySymbols(c *Carried) string {
	table := slices.Clone(im.table)
	last := 0
	for _, s := range table {
		last = max(last, s.Block)
	}
	for _, s := range c.File.Symbols() {
		if ofLinker(s.Name) {
			continue
		}
		addr := c.Base + s.Addr
		at := im.EntryOf(addr)
		if at != addr && slices.Contains(im.FunctionsAt(at), s.Name) {
			continue
		}
		sym := &lpelf.Symbol{Name: s.Name, Type: elf.STT_OBJECT, Bind: elf.STB_GLOBAL, Section: anySection, Value: at, Size: s.Size}
		if s.Func {
			sym.Type = elf.STT_FUNC
		}
		if !s.Local {
			if im.Global(s.Name) != nil {
				im.carrying.doubt[s.Name] = true
				continue
			}
			table = append(table, sym)
			continue
		}
		sym.Bind = elf.STB_LOCAL
		if !im.NamesSources() {
			table = append(table, sym)
			continue
		}
		switch blocks := im.SourceBlocks(s.File); len(blocks) {
		case 0:
			i := slices.IndexFunc(table, func(t *lpelf.Symbol) bool { return t.Type == elf.STT_FILE && t.Name == s.File })
			if i < 0 {
				last++
				table = append(table, &lpelf.Symbol{Name: s.File, Type: elf.STT_FILE, Section: elf.SHN_ABS, Block: last})
				i = len(table) - 1
			}
			sym.File, sym.Block = s.File, table[i].Block
		case 1:
			sym.File, sym.Block = s.File, blocks[0]
		default:
			return fmt.Sprintf("of which of the sources %s in the target its %s is, is not known", s.File, s.Name)
		}
		table = append(table, sym)
	}
	im.SetSymbols(table)
	return ""
}
