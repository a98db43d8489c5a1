// SPDX-License-Identifier: GPL-2.0

// Package image says what a linked file is: its symbols (its own, or those of its unstripped twin or debug file), where its
// code and data are and what is there, and how the dynamic linker sees it. It knows nothing of objects.
package image

import (
	"bytes"
	"debug/elf"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/lpelf"
)

// Image is the program or shared object that is patched, with the symbols that are known of it.
type Image struct {
	*lpelf.File
	Slots *lpelf.Slots
	// Named tells whether there is a full symbol table (the target's own or that of --symbols).
	Named bool
	// LTO tells that the file, or the one that has its symbols, says that it was linked with link-time optimisation.
	LTO bool

	global map[string][]*lpelf.Symbol // by name: global and weak, then those a linker made local (hidden)
	local  map[int]map[string][]*lpelf.Symbol
	// unnumbered is filled by lateNames.
	unnumbered map[int]map[string][]string
	blocks     map[string][]int           // STT_FILE name -> its blocks
	dyn        map[string][]*lpelf.Symbol // what the dynamic symbol table defines, all versions
	starts     []uint64                   // sorted addresses of functions
	names      map[uint64][]string        // of the functions at an address
	dataAt     map[uint64][]string        // of the variables at an address
	// namesLocals tells of the symbol table that it has local functions: linkers make local variables themselves.
	namesLocals bool
	// symbols is the debug file that the symbol table was found in, "" for none.
	symbols string
	// NotFolded tells that the link is known, and was not asked to fold what is the same (--icf).
	NotFolded bool
	table     []*lpelf.Symbol // what SetSymbols was given
	carrying  *carrying       // nil for the image as it is in the file
	// refsOfCode is nil until it is asked for, by codeRefs.
	refsOfCode []codeRef
}

// Open reads the target and, if symbols is not empty, takes the symbol table of that unstripped twin.
func Open(target, symbols string) (*Image, error) {
	f, err := lpelf.Open(target)
	if err != nil {
		return nil, err
	}
	var twin *lpelf.File
	if symbols != "" {
		if twin, err = lpelf.Open(symbols); err != nil {
			return nil, err
		}
	}
	return New(f, twin)
}

// New prepares a target; twin may be nil.
func New(f, twin *lpelf.File) (*Image, error) {
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return nil, fmt.Errorf("%s: %s, not a program or shared object that runs; name the file that is mapped in the process", f.Path, f.Kind())
	}
	if slices.ContainsFunc(f.Sections, func(s *lpelf.Section) bool { return s.Flags&elf.SHF_EXECINSTR != 0 && s.Type == elf.SHT_NOBITS }) {
		return nil, fmt.Errorf("%s: a separate debug file, which has no code; name the program or library that it is for, and this file with --symbols", f.Path)
	}
	table := f.Symbols
	if twin != nil {
		if err := sameProgram(f, twin); err != nil {
			return nil, err
		}
		if table = twin.Symbols; len(table) == 0 {
			return nil, fmt.Errorf("%s: no symbol table either; --symbols needs the unstripped build of the target or its debug file", twin.Path)
		}
	}
	slots, err := f.ReadSlots()
	if err != nil {
		return nil, err
	}
	im := &Image{File: f, Slots: slots, Named: isFull(table, f), LTO: f.LinkedWithLTO() || twin != nil && twin.LinkedWithLTO()}
	im.SetSymbols(table)
	return im, nil
}

// isFull tells a symbol table that names what the program has from one that a stripped file got with a patch (pkg/bake).
func isFull(table []*lpelf.Symbol, f *lpelf.File) bool {
	return slices.ContainsFunc(table, func(s *lpelf.Symbol) bool {
		sec := f.SectionOf(s)
		return s.Defined() && s.Type != elf.STT_FILE && (sec == nil || !strings.HasPrefix(sec.Name, ".lpatch."))
	})
}

// sameProgram accepts a twin of the same build-id, or with the same bytes in every executable and read-only section.
func sameProgram(f, twin *lpelf.File) error {
	if id := f.BuildID(); id != nil && bytes.Equal(id, twin.BuildID()) {
		return nil
	}
	other := map[string]*lpelf.Section{}
	for _, s := range twin.Sections {
		other[s.Name] = s
	}
	if t := twin.Section(".text"); t != nil && t.Type == elf.SHT_NOBITS {
		return fmt.Errorf("%s: a debug file of another build than %s (%x, not %x); name the debug file of this build-id or an unstripped build of exactly the target",
			twin.Path, f.Path, twin.BuildID(), f.BuildID())
	}
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Flags&elf.SHF_WRITE != 0 || s.Name == ".note.gnu.build-id" {
			continue
		}
		t := other[s.Name]
		switch {
		case t == nil:
			return fmt.Errorf("%s: not the same program as %s: it has no section %s; name an unstripped build of exactly the target", twin.Path, f.Path, s.Name)
		case t.Addr != s.Addr || t.Size != s.Size || !bytes.Equal(t.Data, s.Data):
			return fmt.Errorf("%s: not the same program as %s: section %s differs; name an unstripped build of exactly the target", twin.Path, f.Path, s.Name)
		}
	}
	return nil
}

// SetSymbols makes a table the one that names are looked up in, beside the dynamic one.
func (im *Image) SetSymbols(table []*lpelf.Symbol) {
	im.global = map[string][]*lpelf.Symbol{}
	im.table = table
	im.local, im.unnumbered = map[int]map[string][]*lpelf.Symbol{}, nil
	im.blocks = map[string][]int{}
	im.dyn = map[string][]*lpelf.Symbol{}
	im.starts = nil
	for _, s := range table {
		im.addSymbol(s)
	}
	for _, s := range im.DynSymbols {
		if s.Name == "" || !s.Defined() {
			continue
		}
		im.dyn[s.Name] = append(im.dyn[s.Name], s)
		if len(im.global[s.Name]) == 0 {
			im.global[s.Name] = append(im.global[s.Name], s)
		}
	}
	im.sortStarts(table)
}

func (im *Image) addSymbol(s *lpelf.Symbol) {
	switch {
	case s.Type == elf.STT_FILE:
		im.blocks[s.Name] = append(im.blocks[s.Name], s.Block)
	case s.Name == "" || !s.Defined() || s.Type == elf.STT_SECTION:
	case s.Bind != elf.STB_LOCAL:
		im.global[s.Name] = append([]*lpelf.Symbol{s}, im.global[s.Name]...)
	default:
		im.namesLocals = im.namesLocals || s.Type == elf.STT_FUNC
		if s.File == "" || s.Vis == elf.STV_HIDDEN { // lld leaves it with its file
			im.global[s.Name] = append(im.global[s.Name], s)
		}
		if im.local[s.Block] == nil {
			im.local[s.Block] = map[string][]*lpelf.Symbol{}
		}
		im.local[s.Block][s.Name] = append(im.local[s.Block][s.Name], s)
	}
}

// Blocks returns the numbers of the symbol table's parts for a source file of that name.
func (im *Image) Blocks(source string) []int { return im.blocks[source] }

// SourceBlocks lists the parts of the symbol table that may be a source file's; 0 is the table without locals.
func (im *Image) SourceBlocks(source string) []int {
	if !im.NamesSources() {
		return []int{0}
	}
	if b := im.blocks[source]; len(b) > 0 {
		return b
	}
	var out []int
	for name, b := range im.blocks {
		if name != "" && filepath.Base(name) == filepath.Base(source) {
			out = append(out, b...)
		}
	}
	return out
}

// NamesSources tells whether the symbol table says which source file its local symbols are from.
func (im *Image) NamesSources() bool { return len(im.blocks) > 0 }

// Global returns the definition of a global (or hidden) symbol, or nil.
func (im *Image) Global(name string) *lpelf.Symbol {
	if syms := im.global[name]; len(syms) > 0 {
		return syms[0]
	}
	return nil
}

// Globals returns all definitions of a global (or hidden) symbol, the one that counts first.
func (im *Image) Globals(name string) []*lpelf.Symbol { return im.global[name] }

// Local returns the definitions of a local symbol in a block of the symbol table. Block 0 is a table without STT_FILE
// symbols, as some debug files have: there a name may stand for the statics of several sources.
func (im *Image) Local(block int, name string) []*lpelf.Symbol { return im.local[block][name] }

// Locals returns all definitions of local symbols in a block of the symbol table, by name.
func (im *Image) Locals(block int) []*lpelf.Symbol {
	var out []*lpelf.Symbol
	for _, name := range slices.Sorted(maps.Keys(im.local[block])) {
		out = append(out, im.local[block][name]...)
	}
	return out
}

// NamesLocals tells whether the symbol table has names of static functions and variables: a linker or strip may have left
// those out (-x). That one is not named then says nothing.
func (im *Image) NamesLocals() bool { return im.namesLocals }

// FunctionNames returns the names of all functions in the symbol table.
func (im *Image) FunctionNames() []string {
	var out []string
	for _, names := range im.names {
		out = append(out, names...)
	}
	return out
}

// LocalFunctions returns the names of the static functions in a part of the symbol table, sorted.
func (im *Image) LocalFunctions(block int) []string {
	var out []string
	for name, list := range im.local[block] {
		if slices.ContainsFunc(list, func(s *lpelf.Symbol) bool { return s.Type == elf.STT_FUNC }) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Knows tells whether the image defines or imports a symbol.
func (im *Image) Knows(name string) bool {
	return im.Global(name) != nil || slices.ContainsFunc(im.DynSymbols, func(s *lpelf.Symbol) bool { return s.Name == name })
}

// LocalSources returns the names of the sources (STT_FILE) of which the symbol table has a local symbol of that name.
func (im *Image) LocalSources(name string) []string {
	var out []string
	for source, blocks := range im.blocks {
		if slices.ContainsFunc(blocks, func(b int) bool { return len(im.local[b][name]) > 0 }) {
			out = append(out, source)
		}
	}
	return out
}
