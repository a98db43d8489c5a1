// SPDX-License-Identifier: GPL-2.0

// Package build creates patch files: from the objects of the old and the new source (FromObjects), from a source tree and a
// change to it (FromSource), or from a Debian package (FromPackage).
package build

import (
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/image"
	"lpatch/pkg/link"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/match"
	"lpatch/pkg/patch"
)

// Refusals lists all reasons why a patch cannot be built. A build that is refused returns it as its error (errors.As). lpctl
// exits with status 2.
type Refusals = diff.Refusals

// Refusal is one reason why a patch cannot be built.
type Refusal = diff.Refusal

// ErrNothing is returned if old and new do not differ in code that the target contains. lpctl exits with status 3.
var ErrNothing = diff.ErrNothing

// Allowed contains assertions of the author that override checks.
type Allowed struct {
	LayoutOK      []string // structures whose layout may change, because new code never accesses instances made by old code
	NoDebugInfoOK bool     // accept objects without type information; no types changed in them
	CallerOK      []string // functions whose use of caller-dependent functions of the dynamic linker is accepted
	StartCodeOK   bool     // accept changes of code that only runs at program start, because the patch is written into the file
}

// Options are the inputs of a build from objects.
type Options struct {
	Target      string   // ELF file that the process runs
	Symbols     string   // unstripped build of Target, or "" if Target has a symbol table
	DebugDirs   []string // directories of separate debug files, searched before /usr/lib/debug if the target is stripped
	Libraries   []string // libraries of the target, or directories that contain them, for symbols that the target does not import
	Old, New    []string // objects, archives, or directories of objects; empty for a patch that consists of Set only
	Data        bool     // include changed initial values of variables
	Set         []Set
	On          []string // patch files that the target has applied, from the lowest on; Old is of the source with their fixes
	NotPartOf   []string // objects that are no part of the target if they are not found there, whatever else is known
	Links       *Links   // what the builds of Old and New linked; nil if it is not known
	Targets     []string // all files that patches are built for at once, if it is known; see warnBeside
	Name        string   // of the patch
	Description string
	About       *patch.About
	Tool        string // name and version of the builder, for the descriptor
	Allowed
}

// Set assigns the content of a file to a variable.
type Set struct {
	Variable string // NAME, or SOURCE:NAME for a static variable whose name is not unique
	File     string
}

// Result is a patch with information about it.
type Result struct {
	Data     []byte // content of the patch file
	Spec     *patch.Spec
	Added    []string // functions that only the new objects have
	LeftOut  []patch.LeftOut
	Warnings []string // complete sentences
}

// FromObjects builds a patch. The error is ErrNothing, Refusals, or an error from reading the files.
func FromObjects(o Options) (*Result, error) {
	b, err := prepare(o)
	if err != nil {
		return nil, err
	}
	return b.finish(nil)
}

// prepare compares the objects and locates those that differ in the target.
func prepare(o Options) (*builder, error) {
	if err := patch.CheckName(o.Name); err != nil {
		return nil, err
	}
	if err := CheckRuntime(o.Target); err != nil {
		return nil, err
	}
	im, err := match.Open(o.Target, o.Symbols)
	if err != nil {
		return nil, err
	}
	im.AddDebugFile(append(slices.Clone(o.DebugDirs), image.DebugDirectory))
	scope, err := link.NewScope(im.Image, o.Libraries)
	if err != nil {
		return nil, err
	}
	b := &builder{
		im: im, scope: scope, o: o, opts: diff.Options{Data: o.Data, LayoutOK: o.LayoutOK, NoDebugInfoOK: o.NoDebugInfoOK}, res: &Result{}, notPartOf: map[string]bool{},
		changed: map[string]bool{}, keepers: map[string]*diff.Result{}, strays: map[string]diff.Refusal{},
		instruments: map[string][2][]string{},
	}
	if err := b.carry(); err != nil {
		return nil, err
	}
	b.warnUntraced()
	if len(o.Old)+len(o.New) > 0 || len(o.Set) == 0 {
		if err := b.compareAll(); err != nil {
			return nil, err
		}
	}
	return b, b.setValues(o.Set)
}

// compareAll reads and compares all objects.
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
	if err := b.unifyModules(olds, news); err != nil {
		return err
	}
	pairs := pairUp(olds, news)
	b.old = oldOf(pairs)
	if l := b.o.Links; l != nil {
		target := identityOf(b.im.File)
		if twin, err := lpelf.Open(b.o.Symbols); err == nil && b.o.Symbols != "" {
			target.BuildID = hex.EncodeToString(twin.BuildID()) // that of a rebuild which proved to be equal
		}
		b.oldIn, b.newIn = l.inputsOf(target)
		b.images = l.images(target)
		b.compareLinks()
	}
	pairs = b.withoutLTO(pairs)
	if slices.ContainsFunc(b.refusals, func(r Refusal) bool { return r.Code == codes.LTO }) {
		return nil
	}
	if err := b.recover(); err != nil {
		return err
	}
	if err := b.doubtLinks(); err != nil {
		return err
	}
	b.im.NotFolded = b.oldIn.known && !b.oldIn.says("icf")
	return b.compare(pairs)
}

type builder struct {
	im       *match.Target
	scope    *link.Scope
	o        Options
	opts     diff.Options
	res      *Result
	inputs   []*link.Input
	values   []*link.Value // requested by name
	refusals diff.Refusals
	unknown  diff.Refusals           // objects of which it is not known whether they are part of the target; one by one
	keepers  map[string]*diff.Result // of functions that several objects have: whose instance the target has
	strays   map[string]diff.Refusal // why an instance is not what the target has
	layouts  []string                // of Options.LayoutOK, those that changed as other objects tell
	// newExports are refused if there is nothing else to do.
	newExports diff.Refusals

	old          *oldObjects
	oldIn, newIn inputs // inputs of the target's links
	images       []imagePair
	notCompared  string          // reason why there are none
	notPartOf    map[string]bool // objects listed in Options.NotPartOf
	changed      map[string]bool // functions, by changeKey
	definers     map[string]int  // result of complete
	functions    map[string]bool
	isComplete   bool
	// instruments maps each object to the instrumentation options it was compiled with, old and new.
	untraced    bool // the builds could not be traced
	instruments map[string][2][]string
}

// doubtLinks discards the information about links for a stripped target that lacks the linked objects: the links are those of
// another program of the same name.
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

// recover recovers the symbols of the old objects in a target without a symbol table.
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

// compare compares each pair of objects, and keeps those that differ and are part of the image. Objects with additions only
// are kept as well, because the others may need them.
func (b *builder) compare(pairs []pair) error {
	var all, changed, adding []*diff.Result
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
		if err := b.checkStart(res); err != nil {
			return err
		}
		all = append(all, res)
		switch {
		case p.old != nil && !res.Nothing():
			changed = append(changed, res)
		case len(res.Added) > 0 || p.old == nil:
			adding = append(adding, res)
		}
	}
	for _, res := range changed {
		for _, ch := range res.Changed {
			b.changed[changeKey(res.Old, ch.Old)] = true
		}
	}
	return b.settle(pairs, all, changed, adding)
}

// settle locates in the target what differs, and resolves what depends on several objects.
func (b *builder) settle(pairs []pair, all, changed, adding []*diff.Result) error {
	b.checkStaticsMoved(all)
	if err := b.locate(changed); err != nil {
		return err
	}
	if err := b.settleInstances(pairs); err != nil {
		return err
	}
	if err := b.settleNames(all, pairs); err != nil {
		return err
	}
	if err := b.checkExports(all); err != nil {
		return err
	}
	b.locateAdding(adding)
	for _, in := range b.inputs {
		b.checkMoved(in)
	}
	if err := b.checkClosures(pairs); err != nil {
		return err
	}
	return b.surveyTypes(pairs)
}

// locateAdding adds objects that are new, or whose old code is unchanged, for the symbols that other objects need from them.
// Content that takes effect by itself, such as a constructor, is refused.
func (b *builder) locateAdding(adding []*diff.Result) {
	changes := len(b.inputs) > 0
	for _, res := range adding {
		if slices.ContainsFunc(b.inputs, func(in *link.Input) bool { return in.Diff == res }) {
			continue
		}
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
			b.unknown = append(b.unknown, diff.Refusal{Code: codes.ObjectNotFound, File: name,
				Text: fmt.Sprintf("it is new, nothing that changes in %s refers to it, and it is not proved that it is no part of that; say --not-part-of %s if that is so", b.im.Path, name)})
		}
		b.refusals = append(b.refusals, res.Refusals...)
	}
}

// checkMoved refuses functions that the target contains from an object which is not among the old ones, because they may have
// changed when they were moved.
func (b *builder) checkMoved(in *link.Input) {
	res := in.Diff
	for _, name := range res.Added {
		if objs, err := b.old.naming(name); err == nil && slices.ContainsFunc(objs, func(o *diff.Object) bool { return b.excluded(o.Name) == "" && b.defined(o.Name, name) }) {
			continue // handled by settleNames
		}
		n, g := res.New.Lookup(name), b.im.Global(name)
		if n.Bind != elf.STB_LOCAL && !res.New.Shared(n) && g != nil && g.Bind != elf.STB_LOCAL && g.IsFunc() {
			b.refusals = append(b.refusals, diff.Refusal{Code: codes.FunctionMoved, File: res.New.Name, Symbol: name,
				Text: "the function is new in this object, but the target has one of its name from another; leave it in its source file, or give the new one another name"})
		}
	}
}

func comparePair(p pair, opts diff.Options) (*diff.Result, error) {
	old, new, err := parsePair(p)
	if err != nil {
		return nil, err
	}
	return diff.Compare(old, new, opts), nil
}

// setValues finds the variables that were requested by name.
func (b *builder) setValues(sets []Set) error {
	for _, s := range sets {
		data, err := os.ReadFile(s.File)
		if err != nil {
			return err
		}
		v, err := link.Variable(b.im.Image, s.Variable, data)
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

// hasFunctions reports whether an object defines all these functions. This distinguishes another build of the same source
// file from other files of the same name.
func hasFunctions(obj *diff.Object, functions []*lpelf.Symbol) bool {
	return !slices.ContainsFunc(functions, func(f *lpelf.Symbol) bool {
		own := obj.Lookup(f.Name)
		return own == nil || !own.IsFunc()
	})
}
