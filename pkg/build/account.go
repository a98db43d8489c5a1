// SPDX-License-Identifier: GPL-2.0

package build

import (
	"cmp"
	"debug/elf"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/link"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

// An object that differs and was not found in the target may not be linked into it, which is harmless, or may have escaped
// recognition: because the target was linked with -flto, from a different variant of the objects, or compiled with different
// flags. The former has to be proved, either by the links of the build, or by showing that other objects account for all code
// of the target. The user may also assert it (Options.NotPartOf).

// leaveOut records that an object is not part of the target.
func (b *builder) leaveOut(object, why string) {
	if why == notLinked && strings.HasPrefix(object, outside) {
		return // output of a configuration test, in a directory of its own
	}
	b.res.LeftOut = append(b.res.LeftOut, patch.LeftOut{Object: object, Why: why})
}

// compareLinks refuses a target if its link changed between the two builds in a way that no pair of objects shows.
func (b *builder) compareLinks() {
	refuse := func(code codes.Code, file, format string, args ...any) {
		b.refusals = append(b.refusals, diff.Refusal{Code: code, File: file, Text: fmt.Sprintf(format, args...)})
	}
	if why := cmp.Or(b.oldIn.unsure, b.newIn.unsure); why != "" {
		refuse(codes.ObjectUnseen, b.im.Path, "it is not known what it was made of: %s", why)
	}
	if !b.oldIn.known || !b.newIn.known {
		return
	}
	b.changedLinks()
	foreign := maps.Clone(b.oldIn.foreign)
	maps.Copy(foreign, b.newIn.foreign)
	for _, name := range slices.Sorted(maps.Keys(foreign)) {
		if b.oldIn.foreign[name] != b.newIn.foreign[name] {
			refuse(codes.ObjectUnseen, name, "%s", b.foreignText(name))
		}
	}
	for _, name := range b.old.names() {
		switch {
		case b.notPartOf[name]:
		case b.oldIn.objects[name] && !b.newIn.objects[name]:
			refuse(codes.ObjectGone, name, "%s was linked from it, and with the fix it is not, so it is not known what became of what it has", b.im.Path)
		case !b.oldIn.objects[name] && b.newIn.objects[name]:
			refuse(codes.ObjectGone, name, "%s was not linked from it, and with the fix it is; lpctl cannot bring that in", b.im.Path)
		}
	}
}

// unlinked reports whether the links of the builds prove that an object is not part of the target, with and without the fix.
// For an object that only the new source has, only the new links count.
func (b *builder) unlinked(object string) bool {
	if b.old.raw[object] == nil {
		return b.newIn.excludes(object)
	}
	return b.oldIn.excludes(object) && (!b.newIn.known || b.newIn.excludes(object))
}

// notLinked is the reason given if the links prove that an object is not part of the target.
const notLinked = "not linked into it"

// excluded returns the reason why an object cannot be part of the target, independent of its content, or "".
func (b *builder) excluded(object string) string {
	switch {
	case b.unlinked(object):
		return notLinked
	case b.notPartOf[object]:
		return "no part of the target, by --not-part-of"
	}
	return ""
}

// account handles an object that differs and was not found in the target.
func (b *builder) account(res *diff.Result) error {
	name := res.New.Name
	why, err := b.absence(res.Old)
	if err != nil {
		return err
	}
	// libtool compiles each source file twice; the variant that is linked has the same functions.
	other := slices.ContainsFunc(b.inputs, func(in *link.Input) bool { return hasFunctions(in.Diff.Old, oldFunctions(res)) })
	if why == notLinked && !other && b.isThere(res.Old) {
		b.refusals = append(b.refusals, b.strangeLink(name))
		return nil
	}
	if why == "" {
		var refusals diff.Refusals
		if why, refusals, err = b.leftOutByLinker(res); err != nil || len(refusals) > 0 {
			b.refusals = append(b.refusals, refusals...)
			return err
		}
	}
	if why != "" {
		b.leaveOut(name, why)
		return nil
	}
	b.unknown = append(b.unknown, b.notFound(res))
	return nil
}

// strangeLink refuses an object that the target seems to contain although the links of the build did not use it.
func (b *builder) strangeLink(name string) diff.Refusal {
	for _, input := range slices.Sorted(maps.Keys(b.oldIn.foreign)) {
		if !filepath.IsAbs(input) { // absolute paths belong to the system
			return diff.Refusal{Code: codes.ObjectNotFound, File: name,
				Text: fmt.Sprintf("it differs, and %s has something of it, perhaps by %s, which is linked and was made out of sight; have that made by %s", b.im.Path, input, seenCompilers(b.untraced))}
		}
	}
	return diff.Refusal{Code: codes.ObjectNotFound, File: name,
		Text: fmt.Sprintf("it differs, and %s has something of its names or code, though the build does not link it into a file of that name; have the build make exactly the target, and give the target the name that the build gives it", b.im.Path)}
}

// notFound refuses an object that may be part of the target.
func (b *builder) notFound(res *diff.Result) diff.Refusal {
	name := res.New.Name
	if !b.im.Named && len(res.Old.Functions()) == 0 {
		return diff.Refusal{Code: codes.NeedsSymbols, File: name,
			Text: fmt.Sprintf("%s is stripped, and this object has no code by which it could be found: name an unstripped build of exactly the target with --symbols, "+
				"or say --not-part-of %s if it is no part of it", b.im.Path, name)}
	}
	if !b.im.Named && len(res.Old.Frames()) == 0 {
		return diff.Refusal{Code: codes.NeedsSymbols, File: name,
			Text: b.im.Path + " is stripped, and this object has no unwind tables by which its code could be found there: name an unstripped build of exactly the target with --symbols"}
	}
	if b.im.Unlike() {
		return diff.Refusal{Code: codes.TargetDiffers, File: name,
			Text: b.im.Path + " is stripped, and it has nothing of the code of the old objects; they must be built from the target's source with its compiler and flags"}
	}
	return diff.Refusal{Code: codes.ObjectNotFound, File: name,
		Text: fmt.Sprintf("it differs, and neither was its old code found in %s, nor is it proved to be no part of it%s; a target that was linked with -flto, or built with "+
			"other flags or from other files, looks like this. Give the objects that it was linked from, name an unstripped build of it with --symbols, or say --not-part-of %s if it is none",
			b.im.Path, b.whyUnsure(), name)}
}

// whyUnsure returns the reason why the links of the build, if there are any, prove nothing.
func (b *builder) whyUnsure() string {
	switch {
	case b.o.Links == nil:
		return ""
	case !b.oldIn.known:
		return " (no link of the build makes this file)"
	case b.oldIn.unsure != "":
		return " (" + b.oldIn.unsure + ")"
	}
	return ""
}

// leftOutByLinker proves that the linker discarded the changed parts of an object. This requires that the object was linked,
// or that all objects of the target are known. For an object that was linked, it returns the refusals if the proof fails.
func (b *builder) leftOutByLinker(res *diff.Result) (string, diff.Refusals, error) {
	if !b.im.Named {
		return "", nil, nil
	}
	linked := b.oldIn.objects[res.New.Name]
	if complete, err := b.complete(); err != nil || !linked && !complete {
		return "", nil, err
	}
	refusals, err := b.checkMissing(res)
	switch {
	case err != nil:
		return "", nil, err
	case len(refusals) == 0:
		return "what changed in it was left out by the linker", nil, nil
	case !linked:
		return "", nil, nil
	}
	return "", refusals, nil
}

// checkMissing handles an object that was linked, but of which the target contains nothing that changed. The linker discarded
// these parts (--gc-sections, or because all calls of an inline function were inlined) only if nothing in the target refers
// to them.
func (b *builder) checkMissing(res *diff.Result) (diff.Refusals, error) {
	var out diff.Refusals
	symbols := oldFunctions(res)
	for _, v := range res.Values {
		symbols = append(symbols, v.Old)
	}
	for _, s := range symbols {
		if r := b.checkAbsent(res.Old, s); r != nil {
			out = append(out, *r)
			continue
		}
		refusals, err := b.checkUsers(res.Old, s, 0)
		if err != nil {
			return nil, err
		}
		out = append(out, refusals...)
	}
	return append(out, res.Refusals...), nil
}

// checkAbsent refuses a changed symbol of an object that was not found in the target, if the target contains a symbol of this
// name, or a compiler-generated clone, that is not known to belong to another object.
func (b *builder) checkAbsent(obj *diff.Object, s *lpelf.Symbol) *diff.Refusal {
	is, _ := b.present(use{obj: obj, sym: s})
	if is == isAbsent && s.IsFunc() && !b.claimed(obj, s) {
		for _, name := range b.im.FunctionNames() {
			if name != s.Name && baseOf(name) == baseOf(s.Name) && obj.Lookup(name) == nil {
				is = isOther
			}
		}
	}
	if is == isAbsent {
		return nil
	}
	return &diff.Refusal{Code: codes.ObjectNotFound, File: obj.Name, Symbol: s.Name,
		Text: fmt.Sprintf("it changes, and %s has one of this name, of which it is not known that it is another one; a target that was linked with -flto, or built as one unit, looks like this", b.im.Path)}
}

// absence proves that an object is not part of the target. It returns the reason, or "" if it cannot.
func (b *builder) absence(old *diff.Object) (string, error) {
	if why := b.excluded(old.Name); why != "" {
		return why, nil
	}
	if !b.im.Named || b.oldIn.objects[old.Name] {
		return "", nil
	}
	if why, err := b.rival(old); err != nil || why != "" {
		return why, err
	}
	return b.unused(old)
}

// rival looks for a function that both this and another object define and that the target contains in the version of the
// other object. Two definitions of one name cannot be linked together unless the linker is told to allow it, in which case
// the target contains further functions of the object.
func (b *builder) rival(obj *diff.Object) (string, error) {
	found := ""
	for _, f := range obj.Functions() {
		if f.Bind != elf.STB_GLOBAL || b.im.Global(f.Name) == nil {
			continue
		}
		owner, err := b.owner(obj, f, func(_ *diff.Object, def *lpelf.Symbol) bool { return def.Bind == elf.STB_GLOBAL })
		if err != nil || owner == "" {
			return "", err
		}
		found = fmt.Sprintf("the target has %s of %s", f.Name, owner)
	}
	return found, nil
}

// unused proves, using the names in the target's symbol table, that the target is made of other objects and that nothing in
// it refers to this one.
func (b *builder) unused(obj *diff.Object) (string, error) {
	if complete, err := b.complete(); err != nil || !complete {
		return "", err
	}
	for _, f := range obj.Functions() {
		if base := baseOf(f.Name); b.functions[base] && b.definers[base] == 1 {
			return "", nil
		}
	}
	for _, s := range slices.Concat(obj.Functions(), obj.Variables()) {
		if s.Bind == elf.STB_LOCAL || obj.Shared(s) {
			continue
		}
		if b.im.Global(s.Name) != nil {
			return "", nil
		}
		if refusals, err := b.checkUsers(obj, s, 0); err != nil || len(refusals) > 0 {
			return "", err
		}
	}
	return "nothing in the target refers to it", nil
}

// linkerMade lists functions that come with the compiler and are part of every program or library.
var linkerMade = map[string]bool{
	"_start": true, "_init": true, "_fini": true, "deregister_tm_clones": true, "register_tm_clones": true, "__do_global_dtors_aux": true,
	"frame_dummy": true, "_dl_relocate_static_pie": true, "__libc_csu_init": true, "__libc_csu_fini": true, "atexit": true, "at_quick_exit": true,
}

// complete reports whether the old objects contain every function that the target's symbol table names, and everything that
// those of them which are in the target refer to. It sets definers, the number of objects that define each symbol, and
// functions, the names of the target's functions.
func (b *builder) complete() (bool, error) {
	if !b.im.Named || !b.im.NamesLocals() {
		return false, nil
	}
	if b.definers != nil {
		return b.isComplete, nil
	}
	b.definers = map[string]int{}
	var objs []*diff.Object
	for _, name := range b.old.names() {
		if b.excluded(name) != "" {
			continue
		}
		obj, err := b.old.get(name)
		if err != nil {
			return false, err
		}
		objs = append(objs, obj)
		own := map[string]bool{}
		for _, s := range obj.Symbols {
			if base := baseOf(s.Name); s.Section != elf.SHN_UNDEF && s.Type != elf.STT_FILE && s.Type != elf.STT_SECTION && !own[base] {
				own[base] = true
				b.definers[base]++
			}
		}
	}
	b.isComplete = b.definesAll(objs)
	return b.isComplete, nil
}

func (b *builder) definesAll(objs []*diff.Object) bool {
	b.functions = map[string]bool{}
	for _, name := range b.im.FunctionNames() {
		b.functions[baseOf(name)] = true
	}
	for base := range b.functions {
		if b.definers[base] == 0 && !linkerMade[base] {
			return false
		}
	}
	for _, obj := range objs {
		if !slices.ContainsFunc(obj.Functions(), func(f *lpelf.Symbol) bool { return b.functions[baseOf(f.Name)] }) {
			continue
		}
		for _, s := range obj.Symbols {
			// a weak symbol may remain undefined
			if s.Section == elf.SHN_UNDEF && s.Name != "" && s.Bind != elf.STB_WEAK && b.definers[baseOf(s.Name)] == 0 && !b.im.Knows(s.Name) {
				return false
			}
		}
	}
	return true
}

// accountGone handles an object that only the old source has. The new source may contain its code in another object, in a
// changed form.
func (b *builder) accountGone(name string) error {
	old, err := b.old.get(name)
	if err != nil {
		return err
	}
	why, err := b.absence(old)
	switch {
	case err != nil:
		return err
	case why != "" && (why != notLinked || !b.isThere(old)):
		b.leaveOut(name, why)
	default:
		b.unknown = append(b.unknown, diff.Refusal{Code: codes.ObjectGone, File: name,
			Text: fmt.Sprintf("there is no new object of this name, so it is not known what became of what it has; give the new one, or say --not-part-of %s if it is no part of %s", name, b.im.Path)})
	}
	return nil
}

// takeNotPartOf reads Options.NotPartOf, a list of object names or of path suffixes that follow a slash.
func (b *builder) takeNotPartOf(olds, news map[string][]byte) error {
	for _, want := range b.o.NotPartOf {
		found := false
		for _, side := range []map[string][]byte{olds, news} {
			for name := range side {
				if name == want || strings.HasSuffix(name, "/"+want) {
					b.notPartOf[name], found = true, true
				}
			}
		}
		if !found {
			return fmt.Errorf("--not-part-of %s: there is no such object among the old and the new ones; they are named as refusals name them", want)
		}
	}
	return nil
}
