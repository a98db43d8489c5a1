// Package build makes patch files: from the objects of the old and the new source (FromObjects), or from a source tree
// and a patch of it (FromSource).
package build

import (
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"

	"lpatch/pkg/diff"
	"lpatch/pkg/link"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

// Refusals are the reasons why no patch can be built, all at once; a build that is refused returns them as its error
// (errors.As). lpctl exits with 2.
type Refusals = diff.Refusals

// Refusal is one of them.
type Refusal = diff.Refusal

// ErrNothing means that old and new do not differ in code that the target runs. lpctl exits with 3.
var ErrNothing = diff.ErrNothing

// Options say what to build a patch from.
type Options struct {
	Target      string   // the ELF file that runs
	Symbols     string   // an unstripped build of it, or "" if the target has its symbols
	DebugDirs   []string // folders of separate debug files, searched before /usr/lib/debug if the target is stripped
	Libraries   []string // libraries that the target uses, and folders of them, for symbols that it does not import
	Old, New    []string // objects, archives or folders of objects; none for a patch of Set alone
	Data        bool     // bring in changed initial values, too
	LayoutOK    []string // structures whose layout may change, since new code sees none that old code has made
	Set         []Set
	NotPartOf   []string // objects that are no part of the target if they are not found there, whatever else is known
	Links       *Links   // what the builds of Old and New linked; nil if it is not known
	Name        string   // of the patch
	Description string
	Tool        string // name and version of the builder, for the descriptor
}

// Set is a variable with the file that holds its new bytes.
type Set struct {
	Variable string // NAME, or SOURCE:NAME for a static one whose name is not unique
	File     string
}

// Result is a patch with what is to be said about it.
type Result struct {
	Data     []byte // the patch file
	Spec     *patch.Spec
	Added    []string // functions that only the new objects have
	LineOnly []string // functions that differ by line numbers only and are left as they are
	LeftOut  []patch.LeftOut
	Warnings []string // sentences
}

// FromObjects builds a patch. Its error is ErrNothing, Refusals, or one about reading the files.
func FromObjects(o Options) (*Result, error) {
	b, err := prepare(o)
	if err != nil {
		return nil, err
	}
	return b.finish(nil)
}

// prepare compares the objects and looks for those that differ in the target.
func prepare(o Options) (*builder, error) {
	if err := patch.CheckName(o.Name); err != nil {
		return nil, err
	}
	im, err := link.OpenImage(o.Target, o.Symbols)
	if err != nil {
		return nil, err
	}
	im.AddDebugFile(append(slices.Clone(o.DebugDirs), link.DebugFolder))
	if err := im.SetLibraries(o.Libraries); err != nil {
		return nil, err
	}
	b := &builder{
		im: im, o: o, opts: diff.Options{Data: o.Data, LayoutOK: o.LayoutOK}, res: &Result{}, notPartOf: map[string]bool{},
		changed: map[string]bool{}, keepers: map[string]*diff.Result{}, strays: map[string]diff.Refusal{},
		instruments: map[string][2][]string{},
	}
	if len(o.Old)+len(o.New) > 0 || len(o.Set) == 0 {
		if err := b.compareAll(); err != nil {
			return nil, err
		}
	}
	return b, b.setValues(o.Set)
}

// compareAll reads all objects and compares them.
func (b *builder) compareAll() error {
	olds, err := collect(b.o.Old)
	if err != nil {
		return err
	}
	news, err := collect(b.o.New)
	if err != nil {
		return err
	}
	if err := b.takeNotPartOf(olds, news); err != nil {
		return err
	}
	pairs := pairUp(olds, news)
	b.old = oldOf(pairs)
	if l := b.o.Links; l != nil {
		target := identityOf(b.im.File)
		if twin, err := lpelf.Open(b.o.Symbols); err == nil && b.o.Symbols != "" {
			target.BuildID = hex.EncodeToString(twin.BuildID()) // of a rebuild that proved to be the same
		}
		b.oldIn, b.newIn = l.inputsOf(target)
		b.compareLinks()
	}
	pairs, err = b.withoutLTO(pairs)
	if err != nil || slices.ContainsFunc(b.refusals, func(r Refusal) bool { return r.Code == "lto" }) {
		return err
	}
	if err := b.recover(); err != nil {
		return err
	}
	if err := b.doubtLinks(); err != nil {
		return err
	}
	return b.compare(pairs)
}

type builder struct {
	im       *link.Image
	o        Options
	opts     diff.Options
	res      *Result
	inputs   []*link.Input
	values   []*link.Value // asked for by name
	refusals diff.Refusals
	unknown  diff.Refusals           // objects of which it is not known whether they are part of the target; one by one
	keepers  map[string]*diff.Result // of functions that several objects have: whose instance the target has
	strays   map[string]diff.Refusal // why an instance is not what the target has

	old          *oldObjects
	oldIn, newIn inputs          // of the target's links
	notPartOf    map[string]bool // objects, by Options.NotPartOf
	changed      map[string]bool // functions, as changeKey names them
	definers     map[string]int  // see complete
	functions    map[string]bool
	isComplete   bool
	// instruments are the options that an object was compiled with, old and new, and that add code and data to it.
	instruments map[string][2][]string
}

// doubtLinks forgets what the links say of a stripped target that lacks what they were made of: they are another program's, of
// the same name.
func (b *builder) doubtLinks() error {
	if b.im.Named || b.oldIn.identical {
		return nil
	}
	for name := range b.oldIn.objects {
		if b.old.raw[name] == nil {
			continue
		}
		obj, err := b.old.get(name)
		if err != nil {
			return err
		}
		if b.im.Refutes(obj) {
			b.oldIn, b.newIn = inputs{}, inputs{}
			return b.recover()
		}
	}
	return nil
}

// recover finds the symbols of the old objects in a target that has none.
func (b *builder) recover() error {
	if b.im.Named {
		return nil
	}
	var objs []*diff.Object
	for _, name := range b.old.names() {
		if b.excluded(name) != "" {
			continue
		}
		o, err := b.old.get(name)
		if err != nil {
			return err
		}
		objs = append(objs, o)
	}
	b.im.Recover(objs)
	return nil
}

// compare compares each pair of objects and keeps those that differ and are part of the image. Objects that only add
// something are kept too, for what the others may need of them.
func (b *builder) compare(pairs []pair) error {
	var changed, adding []*diff.Result
	for _, p := range pairs {
		if p.new == nil {
			if err := b.accountGone(p.name); err != nil {
				return err
			}
			continue
		}
		if string(p.old) == string(p.new) {
			continue
		}
		res, err := comparePair(p, b.opts)
		if err != nil && b.excluded(p.name) != "" {
			b.leaveOut(p.name, b.excluded(p.name)) // of another machine, say, for a helper of the build
			continue
		}
		if err != nil {
			return err
		}
		b.noteInstruments(res)
		if err := b.checkGone(res, pairs); err != nil {
			return err
		}
		switch {
		case p.old != nil && !res.Nothing():
			changed = append(changed, res)
		case len(res.Added) > 0 || p.old == nil:
			adding = append(adding, res)
		}
		b.res.LineOnly = append(b.res.LineOnly, res.LineOnly...)
	}
	for _, res := range changed {
		for _, ch := range res.Changed {
			b.changed[changeKey(res.Old, ch.Old)] = true
		}
	}
	if err := b.locate(changed); err != nil {
		return err
	}
	if err := b.settleInstances(pairs); err != nil {
		return err
	}
	b.locateAdding(adding)
	for _, in := range b.inputs {
		b.checkMoved(in.Diff)
	}
	return nil
}

// locateAdding takes up objects whose old code is the same, or that are new, for what the others need of them. They may also
// have what takes effect by itself, as a constructor does: that is refused.
func (b *builder) locateAdding(adding []*diff.Result) {
	changes := len(b.inputs) > 0
	for _, res := range adding {
		if len(res.Old.Functions()) > 0 {
			if in, err := b.locateData(res); err == nil {
				b.inputs = append(b.inputs, in)
			}
			continue
		}
		name := res.New.Name
		switch why := b.excluded(name); {
		case why != "":
			b.leaveOut(name, why)
			continue
		case changes:
			b.inputs = append(b.inputs, &link.Input{Diff: res})
		case len(res.Added) > 0 || b.newIn.objects[name]:
			b.unknown = append(b.unknown, diff.Refusal{Code: "object-not-found", File: name,
				Text: fmt.Sprintf("it is new, nothing that changes in %s refers to it, and it is not proved that it is no part of that; say --not-part-of %s if that is so", b.im.Path, name)})
		}
		b.refusals = append(b.refusals, res.Refusals...)
	}
}

// checkMoved refuses functions that came from another source file: whether they changed on the way is not known.
func (b *builder) checkMoved(res *diff.Result) {
	for _, name := range res.Added {
		n, g := res.New.Lookup(name), b.im.Global(name)
		if n.Bind != elf.STB_LOCAL && !res.New.Shared(n) && g != nil && g.Bind != elf.STB_LOCAL && diff.IsFunc(g) {
			b.refusals = append(b.refusals, diff.Refusal{Code: "function-moved", File: res.New.Name, Symbol: name,
				Text: "the function is new in this object, but the target has one of its name from another; leave it in its source file, or give the new one another name"})
		}
	}
}

func comparePair(p pair, opts diff.Options) (*diff.Result, error) {
	parse := func(path string, data []byte) (*diff.Object, error) {
		f, err := lpelf.Parse(path, data)
		if err != nil {
			return nil, err
		}
		return diff.NewObject(p.name, f)
	}
	old := diff.EmptyObject(p.name)
	if p.old != nil {
		var err error
		if old, err = parse("old "+p.oldName, p.old); err != nil {
			return nil, err
		}
	}
	new, err := parse("new "+p.name, p.new)
	if err != nil {
		return nil, err
	}
	return diff.Compare(old, new, opts), nil
}

// locate finds each changed object in the image. Of several builds of one source (a program's and a library's) only one
// fits; the others are left out.
func (b *builder) locate(changed []*diff.Result) error {
	var lost []*diff.Result
	failed := map[string]diff.Refusals{}
	for _, res := range changed {
		if b.unlinked(res.New.Name) {
			lost = append(lost, res)
			continue
		}
		in, err := b.locateOne(res)
		var refusals diff.Refusals
		switch {
		case errors.Is(err, link.ErrNotLinked):
			lost = append(lost, res)
		case errors.As(err, &refusals):
			failed[res.New.Name] = refusals
		case err != nil:
			return err
		case b.sameAs(in) != "":
			b.leaveOut(res.New.Name, "the same code as "+b.sameAs(in))
		default:
			b.inputs = append(b.inputs, in)
			b.accept(res)
			if b.notPartOf[res.New.Name] {
				b.refusals = append(b.refusals, diff.Refusal{Code: "part-of-target", File: res.New.Name, Text: "--not-part-of names it, and its old code is in " + b.im.Path})
			}
		}
	}
	for _, res := range changed {
		if refusals := failed[res.New.Name]; refusals != nil {
			b.reject(res, refusals)
		}
	}
	for _, res := range lost {
		if err := b.account(res); err != nil {
			return err
		}
	}
	return nil
}

// sameAs names the object whose changed functions are, in the target, those of another build of the same source, or "".
func (b *builder) sameAs(in *link.Input) string {
	for _, other := range b.inputs {
		if other.Loc == nil || other.Loc.Block != in.Loc.Block || !hasFunctions(other.Diff.Old, oldFunctions(in.Diff)) {
			continue
		}
		elsewhere := slices.ContainsFunc(in.Diff.Changed, func(ch diff.Change) bool {
			m, is := in.Loc.Match(ch.Old), other.Loc.Match(other.Diff.Old.Lookup(ch.Old.Name))
			return m == nil || is == nil || is.Start != m.Start
		}) || slices.ContainsFunc(in.Diff.Values, func(v diff.Value) bool {
			at, _, err := in.Loc.Address(v.Old)
			same := other.Diff.Old.Lookup(v.Old.Name)
			return err != nil || same == nil || !slices.ContainsFunc(other.Diff.Values, func(o diff.Value) bool {
				is, _, err := other.Loc.Address(o.Old)
				return o.Old == same && err == nil && is == at
			})
		})
		if !elsewhere {
			return other.Diff.New.Name
		}
	}
	return ""
}

// locateOne compares the old code of one object with the image.
func (b *builder) locateOne(res *diff.Result) (*link.Input, error) {
	if len(res.Changed) == 0 {
		return b.locateData(res)
	}
	loc, err := link.Locate(b.im, res.Old, oldFunctions(res))
	if errors.Is(err, link.ErrNotLinked) && onlyShared(res) {
		refusals, err := b.checkMissing(res)
		if err != nil {
			return nil, err
		}
		if refusals = slices.DeleteFunc(refusals, func(r Refusal) bool { return slices.Contains(res.Refusals, r) }); len(refusals) > 0 {
			return nil, refusals
		}
		in, err := b.locateData(res)
		if err == nil {
			res.Changed = nil
		}
		return in, err
	}
	if err != nil {
		return nil, err
	}
	if err := b.checkCopies(res, loc); err != nil {
		return nil, err
	}
	missing := map[string]bool{}
	for _, name := range loc.Missing {
		missing[name] = true
		if !res.Old.Shared(res.Old.Lookup(name)) {
			b.res.Warnings = append(b.res.Warnings, fmt.Sprintf("%s: %s: changed, but %s does not contain it", res.New.Name, name, b.im.Path))
		}
	}
	kept := res.Changed[:0:0]
	for _, ch := range res.Changed {
		if !missing[ch.Old.Name] && b.keeps(res, loc, ch) {
			kept = append(kept, ch)
		}
	}
	res.Changed = kept
	b.dropUnlinked(res, loc)
	return &link.Input{Diff: res, Loc: loc}, nil
}

// checkCopies refuses changed functions of which the target may have copies that are not seen: where their callers are not
// what the objects have.
func (b *builder) checkCopies(res *diff.Result, loc *link.Located) error {
	var all diff.Refusals
	for _, ch := range res.Changed {
		if _, another := loc.Others[ch.Old.Name]; another {
			continue // see keeps
		}
		at := uint64(0)
		if m := loc.Match(ch.Old); m != nil {
			at = m.Start
		}
		refusals, err := b.checkUsers(res.Old, ch.Old, at)
		if err != nil {
			return err
		}
		all = append(all, refusals...)
	}
	if len(all) > 0 {
		return all
	}
	return nil
}

func oldFunctions(res *diff.Result) []*lpelf.Symbol {
	var out []*lpelf.Symbol
	for _, ch := range res.Changed {
		out = append(out, ch.Old)
	}
	return out
}

// locateData places an object whose code is the same and whose data is not, by all of its functions.
func (b *builder) locateData(res *diff.Result) (*link.Input, error) {
	var funcs []*lpelf.Symbol
	for _, f := range res.Old.Functions() {
		if _, cold := diff.ColdParent(f.Name); !cold {
			funcs = append(funcs, f)
		}
	}
	loc, err := link.Locate(b.im, res.Old, funcs)
	if err != nil {
		return nil, err
	}
	b.dropUnlinked(res, loc)
	return &link.Input{Diff: res, Loc: loc}, nil
}

// dropUnlinked leaves out values of variables that the linker has left out of the image.
func (b *builder) dropUnlinked(res *diff.Result, loc *link.Located) {
	res.Values = slices.DeleteFunc(res.Values, func(v diff.Value) bool {
		_, ok, err := loc.Address(v.Old)
		gone := b.im.Named && !ok && err == nil
		if gone {
			b.res.Warnings = append(b.res.Warnings, fmt.Sprintf("%s: %s: changed, but %s does not contain it", res.New.Name, v.New.Name, b.im.Path))
		}
		return gone
	})
}

// setValues finds the variables that are asked for by name.
func (b *builder) setValues(sets []Set) error {
	for _, s := range sets {
		data, err := os.ReadFile(s.File)
		if err != nil {
			return err
		}
		v, err := b.im.Variable(s.Variable, data)
		var refusals diff.Refusals
		switch {
		case errors.As(err, &refusals):
			b.refusals = append(b.refusals, refusals...)
		case err != nil:
			return err
		default:
			b.values = append(b.values, v)
		}
	}
	return nil
}

// accept takes over what the comparison says about an object that is part of the image.
func (b *builder) accept(res *diff.Result) {
	b.refusals = append(b.refusals, res.Refusals...)
	b.res.Warnings = append(b.res.Warnings, res.Warnings...)
}

// reject notes that an object's old code is not what the target runs, unless another build of the same source is.
func (b *builder) reject(res *diff.Result, refusals diff.Refusals) {
	for _, in := range b.inputs {
		if in.Loc != nil && in.Diff.Old.Source == res.Old.Source && hasFunctions(in.Diff.Old, oldFunctions(res)) {
			b.res.Warnings = append(b.res.Warnings, fmt.Sprintf("%s: not the build of %s that is in %s; %s is", res.New.Name, res.Old.Source, b.im.Path, in.Diff.New.Name))
			return
		}
	}
	if !slices.ContainsFunc(res.Refusals, func(r Refusal) bool { return r.Code == "not-function-sections" }) {
		b.refusals = append(b.refusals, refusals...) // else of course the code was not found
	}
	b.refusals = append(b.refusals, res.Refusals...)
}

// hasFunctions tells whether an object has functions of all these names: another build of the same source does, and not
// just any source of the same name.
func hasFunctions(obj *diff.Object, functions []*lpelf.Symbol) bool {
	return !slices.ContainsFunc(functions, func(f *lpelf.Symbol) bool {
		own := obj.Lookup(f.Name)
		return own == nil || !diff.IsFunc(own)
	})
}

// finish makes the file from what has been found. elsewhere names, for an object, another target that it is part of.
func (b *builder) finish(elsewhere map[string]string) (*Result, error) {
	for _, r := range b.unknown {
		if other := elsewhere[r.File]; other != "" && !b.oldIn.objects[r.File] {
			b.leaveOut(r.File, "part of "+other)
		} else {
			b.refusals = append(b.refusals, r)
		}
	}
	sort.Slice(b.res.LeftOut, func(i, j int) bool { return b.res.LeftOut[i].Object < b.res.LeftOut[j].Object })
	content, err := link.Link(b.im, b.inputs, b.values, patch.Spec{Name: b.o.Name, Description: b.o.Description, Tool: b.o.Tool, LeftOut: b.res.LeftOut})
	var refusals diff.Refusals
	switch {
	case errors.As(err, &refusals):
		b.refusals = append(b.refusals, refusals...)
	case err != nil:
		return nil, err
	}
	nothing := content == nil || len(content.Spec.Sites) == 0
	if len(b.refusals) == 0 {
		if err := b.checkTarget(nothing); err != nil {
			return nil, err
		}
	}
	if len(b.refusals) > 0 {
		return nil, b.explain(b.refusals)
	}
	switch n := len(content.Spec.Sites); {
	case nothing:
		return nil, b.nothing()
	case n > patch.MaxSites:
		return nil, diff.Refusals{{Code: "too-many-sites", File: b.im.Path,
			Text: fmt.Sprintf("%d places would be overwritten, of up to %d bytes each, and a patch may have %d; leave some values out", n, patch.MaxSiteLen, patch.MaxSites)}}
	}
	b.warnExported(content.Spec.Sites)
	b.warnLasting()
	b.warnLayouts()
	b.res.Spec = content.Spec
	b.res.Added = b.addedIn(content)
	if b.res.Data, err = patch.Encode(content); err != nil {
		return nil, err
	}
	sort.Strings(b.res.LineOnly)
	return b.res, nil
}

// warnExported warns of values that a program may not look at.
func (b *builder) warnExported(sites []patch.Site) {
	for i := range sites {
		s := &sites[i]
		if s.Kind != patch.SiteBytes || i > 0 && sites[i-1].Symbol == s.Symbol || !b.im.Exported(s) {
			continue
		}
		b.res.Warnings = append(b.res.Warnings, fmt.Sprintf("%s: %s exports it; a program that defines it too, or copies it (readelf -r shows R_X86_64_COPY), uses its own, which is not changed",
			s.Symbol, b.im.Path))
	}
}

// warnLayouts says what became of each structure whose layout may change.
func (b *builder) warnLayouts() {
	for _, name := range b.opts.LayoutOK {
		used := slices.ContainsFunc(b.inputs, func(in *link.Input) bool { return slices.Contains(in.Diff.Layouts, name) })
		text := "changed; the patch relies on --layout-ok, that new code sees none that old code has made"
		if !used {
			text = "--layout-ok names it, but no structure of this name changed"
		}
		b.res.Warnings = append(b.res.Warnings, name+": "+text)
	}
}

// addedIn lists the functions of the patch that the old objects do not have.
func (b *builder) addedIn(content *patch.Content) []string {
	var out []string
	for _, in := range b.inputs {
		for _, name := range in.Diff.Added {
			if slices.ContainsFunc(content.Symbols, func(s patch.Symbol) bool { return s.Func && s.Name == name }) {
				out = append(out, name)
			}
		}
	}
	return out
}

// leftOutText says on a line why objects that differ are left out.
func leftOutText(list []patch.LeftOut) string {
	words := make([]string, len(list))
	for i, l := range list {
		words[i] = l.Object + ": " + l.Why
	}
	return strings.Join(words, "; ")
}

// nothing explains why there is nothing to do.
func (b *builder) nothing() error {
	switch {
	case len(b.values) > 0:
		return fmt.Errorf("%w; the variables to set have those bytes from the start", ErrNothing)
	case len(b.res.LeftOut) > 0:
		return fmt.Errorf("%w in %s (%s)", ErrNothing, b.im.Path, leftOutText(b.res.LeftOut))
	case len(b.res.LineOnly) > 0:
		return fmt.Errorf("%w but for line numbers in %d functions", ErrNothing, len(b.res.LineOnly))
	}
	return ErrNothing
}
