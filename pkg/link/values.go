// SPDX-License-Identifier: GPL-2.0

package link

import (
	"bytes"
	"debug/elf"
	"fmt"
	"sort"
	"strings"

	"lpatch/pkg/arch"
	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/image"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

// Value is a variable of the image that gets a new value.
type Value struct {
	Name     string
	File     string // source file, if the symbol table has it
	Vaddr    uint64
	From, To []byte // the whole variable: content in the file, and new content
	Linked   []bool // bytes that the dynamic linker fills in, which are left unchanged; nil if there are none
}

// Variable finds the variable that a user named as NAME or, for a static one whose name is not unique, as SOURCE:NAME, and
// returns a Value that sets it to data. The error is diff.Refusals.
func Variable(im *image.Image, name string, data []byte) (*Value, error) {
	refuse := func(code codes.Code, format string, args ...any) (*Value, error) {
		return nil, diff.Refusals{{Code: code, File: im.Path, Symbol: name, Text: fmt.Sprintf(format, args...)}}
	}
	found := im.Variables(name)
	switch {
	case len(found) == 0 && !im.Named:
		return refuse(codes.NeedsSymbols, "the target is stripped and does not export it: name an unstripped build of exactly the target with --symbols")
	case len(found) == 0:
		return refuse(codes.NoSuchVariable, `the target has no variable of this name; "nm -S" lists them (a static one inside a function has a number behind its name, as in count.0)`)
	case len(found) > 1:
		var names []string
		for _, s := range found {
			names = append(names, s.File+":"+s.Name)
		}
		return refuse(codes.VariableAmbiguous, "the target has %d variables of this name; say which one, if their sources tell: %s",
			len(found), strings.Join(names, ", "))
	}
	s := found[0]
	if code, text := unsettable(im, s); code != "" {
		return refuse(code, "%s", text)
	}
	from, ok := im.Content(s.Value, uint64(len(data)))
	if uint64(len(data)) != s.Size || !ok {
		return refuse(codes.SizeDiffers, "the variable has %d bytes, the file has %d", s.Size, len(data))
	}
	return &Value{Name: s.Name, File: s.File, Vaddr: s.Value, From: from, To: data}, nil
}

// unsettable returns the reason why a symbol cannot be given any new value, or "".
func unsettable(im *image.Image, s *lpelf.Symbol) (code codes.Code, text string) {
	slot, linked := im.SlotIn(s.Value, s.Value+s.Size)
	switch {
	case s.Type == elf.STT_TLS:
		return codes.ThreadLocal, "the variable is thread-local, and each thread has a copy of its own; set it in code that runs after the patch"
	case s.Type != elf.STT_OBJECT:
		return codes.NotAVariable, "this is no variable; --set takes variables only"
	case linked && slot.Type.Meaning == arch.Copy:
		return codes.VariableCopied, "the program copies its initial value from a shared object when it starts; set it in code that runs after the patch"
	case linked:
		return codes.VariableHasPointers, "the dynamic linker fills in pointers in it, which are not the same in each process; " +
			"change what else it holds in the source and build with --data, or set it in code that runs after the patch"
	case im.Constant(s.Value):
		return codes.VariableConstant, "the variable is constant, and compilers copy such values into code; change it in the source and build with --data"
	}
	return "", ""
}

// collectValues adds the changed initial values of the inputs to the values that were requested by name. The image must have
// their old values.
func (l *linker) collectValues() {
	for _, in := range l.inputs {
		for _, v := range in.Diff.Values {
			if out := l.changedValue(in, v); out != nil {
				l.values = append(l.values, out)
			}
		}
	}
	sort.SliceStable(l.values, func(i, j int) bool { return l.values[i].Vaddr < l.values[j].Vaddr })
	for i := 1; i < len(l.values); i++ {
		a, b := l.values[i-1], l.values[i]
		if b.Vaddr-a.Vaddr < uint64(len(a.To)) {
			l.refusals = append(l.refusals, diff.Refusal{Code: codes.VariableSetTwice, File: l.im.Path, Symbol: b.Name,
				Text: fmt.Sprintf("the variable (also known as %s) would get two new values; ask for one of them", a.Name)})
		}
	}
}

// changedValue finds a variable of an old object in the image. It returns nil after a refusal.
func (l *linker) changedValue(in *Input, v diff.Value) *Value {
	addr, found, err := in.Loc.Address(v.Old)
	switch {
	case err != nil:
		l.refuse(in, v.New.Name, codes.SymbolAmbiguous, "%v; no patch can tell them apart", err)
		return nil
	case !found:
		l.refuse(in, v.New.Name, codes.NeedsSymbols, "%s is stripped and does not export the variable: name an unstripped build of exactly the target with --symbols", l.im.Path)
		return nil
	}
	out := &Value{Name: v.Old.Name, File: in.Diff.Old.Source, Vaddr: addr, From: v.From, To: v.To, Linked: v.Linked}
	if !l.im.Holds(addr, v.From, v.Linked) {
		l.refuse(in, v.New.Name, codes.TargetDiffers, "the initial value of the variable in the old object is not what %s has at %#x; "+
			"the old objects must be built from the target's source with its compiler and flags", l.im.Path, addr)
		return nil
	}
	if l.sharedValue(in, v.Old, addr) {
		return nil
	}
	return out
}

// addValueSites adds the sites of all values. If several values share a name, the name of the source file is prepended,
// because names must be unique within a patch.
func (l *linker) addValueSites(spec *patch.Spec) {
	count := map[string]int{}
	for _, v := range l.values {
		count[v.Name]++
	}
	for _, v := range l.values {
		name := v.Name
		if count[name] > 1 {
			name = v.File + ":" + name
		}
		spec.Sites = append(spec.Sites, v.sites(name[:min(len(name), patch.MaxNameLen)])...)
	}
}

// sites splits the differing bytes into pieces of at most 16 bytes that start at multiples of 16 or at the start of the
// variable. A scalar is therefore never composed of bytes from the program and bytes from the patch. Bytes that the dynamic
// linker fills in are omitted.
func (v *Value) sites(name string) []patch.Site {
	var out []patch.Site
	linked := func(i int) bool { return v.Linked != nil && v.Linked[i] }
	for start := 0; start < len(v.To); {
		end := start + 1
		for end < len(v.To) && (v.Vaddr+uint64(end))%patch.MaxSiteLen != 0 && linked(end) == linked(start) {
			end++
		}
		if !linked(start) && !bytes.Equal(v.From[start:end], v.To[start:end]) {
			out = append(out, patch.Site{Kind: patch.SiteBytes, Symbol: name, Vaddr: v.Vaddr + uint64(start),
				Old: bytes.Clone(v.From[start:end]), New: bytes.Clone(v.To[start:end])})
		}
		start = end
	}
	return out
}
