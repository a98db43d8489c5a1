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

// An image may carry patches: then it is what a process has that has them applied. Each is laid at an address behind the image,
// far enough away from all else that an address says what it belongs to, whatever a compiler adds to it or subtracts.
const (
	carryFirst              = 768 << 20 // of the first patch, behind the image
	carryStep               = 64 << 20
	carryMargin             = 16 << 20 // in front of a patch, that is its own
	carryLargest, carryMost = 32 << 20, 8
	carryReach              = 256 << 20 // of the image: all is within reach of a 32-bit distance, and of an address in 31 bits
)

// anySection is the section of the symbols of carried patches: one that no image has.
const anySection elf.SectionIndex = 0xfe00

// Carried is a patch that an image carries.
type Carried struct {
	Path string
	File *patch.File
	Self *Image // the patch as an image
	Base uint64 // where its address 0 is laid
}

// carrying is what an image is with patches.
type carrying struct {
	below   *lpelf.File // the image as it is in the file
	patches []*Carried
	code    map[uint64]uint64 // of a replaced function's start: where its code is now
	ends    map[uint64]uint64 // of a replaced function's start: where the code in the image ends
	entry   map[uint64]uint64 // of a place of patches: the start in the image that leads there
	tops    map[uint64]uint64 // of a site: where it leads
	doubt   map[string]bool   // names that an image and a patch have, of different things
}

// Below is the file of the image, without the patches that it carries.
func (im *Image) Below() *lpelf.File {
	if im.carrying == nil {
		return im.File
	}
	return im.carrying.below
}

// Patches are those that the image carries, from the lowest on.
func (im *Image) Patches() []*Carried {
	if im.carrying == nil {
		return nil
	}
	return im.carrying.patches
}

// InPatch returns which of the carried patches an address belongs to, and the address there.
func (im *Image) InPatch(addr uint64) (n int, at int64, ok bool) {
	for i, c := range im.Patches() {
		if low := c.Base - carryMargin; addr >= low && addr-low < carryStep {
			return i, int64(addr - c.Base), true
		}
	}
	return 0, 0, false
}

// CodeOf returns where the code of the function is that starts at an address of the image: a patch may have replaced it.
func (im *Image) CodeOf(start uint64) uint64 {
	if im.carrying != nil {
		if at, ok := im.carrying.code[start]; ok {
			return at
		}
	}
	return start
}

// EndOf returns where the code in the image ends of a function that a patch has replaced.
func (im *Image) EndOf(start uint64) uint64 { return im.carrying.ends[start] }

// EntryOf returns the address by which code is called that is at an address, which may be that of a patch.
func (im *Image) EntryOf(addr uint64) uint64 {
	if im.carrying != nil {
		if at, ok := im.carrying.entry[addr]; ok {
			return at
		}
	}
	return addr
}

// Top is where a site of the carried patches leads, that of the last one.
func (im *Image) Top(site uint64) uint64 { return im.carrying.tops[site] }

// Doubted tells whether both the image and a patch that it carries have something of a name, of which only code says which is meant.
func (im *Image) Doubted(name string) bool { return im.carrying != nil && im.carrying.doubt[name] }

// Carry lays a patch upon the image. The sentence says why it cannot.
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

// span is where the loaded parts of the file begin and end, page aligned.
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

// refuseToCarry looks at the form of a patch.
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

// ofLinker tells whether a symbol of a patch is of what lpctl makes.
func ofLinker(name string) bool {
	return strings.Contains(name, "@") || strings.HasSuffix(name, patch.FirstCallSuffix) || strings.HasSuffix(name, patch.PassSuffix)
}

// layMemory adds the segments of a patch with their fix-ups, and overwrites values.
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

// layFixup does what the kernel does. What a word of the patch holds of a library is not known here.
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

// baseOf returns where the address 0 of an image of a carried patch is. That of a library is not known.
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

// layStubs notes the jumps of a patch through words of the image, and through its own words to what the image does not import.
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

// layFunctions notes which functions the patch replaces, and by what.
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

// SiteOf is where a function of a patch is overwritten: at its start, or behind endbr64 there.
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

// Replacement finds the new function that a site leads to, at once or by way of what is done at the first call.
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

// laySymbols adds what only the patch has to the symbol table.
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
