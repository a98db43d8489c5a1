// SPDX-License-Identifier: GPL-2.0

// Package mitigate creates a patch that disables a function until a fix is available: the patch returns a constant, counts
// calls, or terminates the program. It only needs the linked file, neither compiler nor source.
package mitigate

import (
	"fmt"
	"slices"
	"strings"

	"lpatch/pkg/build"
	"lpatch/pkg/codes"
	"lpatch/pkg/debuginfo"
	"lpatch/pkg/ehframe"
	"lpatch/pkg/image"
	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/names"
	"lpatch/pkg/patch"
)

// Options select the function and the action.
type Options struct {
	Target    string   // ELF file that the process runs
	Symbols   string   // unstripped build of it, or its debug file, or ""
	DebugDirs []string // directories of separate debug files, searched before /usr/lib/debug if the target is stripped
	Function  string   // symbol or source name; SOURCE:NAME, NAME@VERSION; or "" if Address is set
	Address   string   // link-time address of the function, as a number
	Return    string   // constant to return, or "void" for none; "" if Log or Trap is set
	Returns   string   // return type according to the author: one of Types, or ""
	Log       bool     // count the calls without further effect
	Trap      bool     // terminate the program
	Name      string   // name of the patch
	Tool      string   // name and version of the builder, for the descriptor
}

// Make builds the patch. The error is build.Refusals, or concerns the options or the reading of files.
func Make(o Options) (*build.Result, error) {
	act, err := parse(&o)
	if err != nil {
		return nil, err
	}
	if err := build.CheckRuntime(o.Target); err != nil {
		return nil, err
	}
	im, err := image.Open(o.Target, o.Symbols)
	if err != nil {
		return nil, err
	}
	debugFile := im.AddDebugFile(append(slices.Clone(o.DebugDirs), image.DebugDirectory))
	m := &maker{im: im, o: o, act: act}
	if m.fn, err = m.find(); err != nil {
		return nil, err
	}
	if err := m.readDebug(o.Symbols, debugFile); err != nil {
		return nil, err
	}
	return m.make()
}

// maker is the state of one build.
type maker struct {
	im       *image.Image
	o        Options
	act      action
	fn       function
	debug    *debuginfo.Linked // nil if no debug information describes the function
	warnings []string
}

func (m *maker) make() (*build.Result, error) {
	site, old, ok := m.im.Site(m.fn.start, m.fn.end)
	if !ok {
		return nil, m.refuse(codes.FunctionTooShort, "the function has %d bytes and no padding behind it, a jump needs %d; choose one that calls it",
			m.fn.end-site, m.im.JumpSize())
	}
	if err := m.checkShared(); err != nil {
		return nil, err
	}
	if err := m.checkReturn(); err != nil {
		return nil, err
	}
	if err := m.checkInto(site); err != nil {
		return nil, err
	}
	b, err := m.body(site)
	if err != nil {
		return nil, err
	}
	m.warnCopies()
	if m.act.kind == trap {
		m.warn("each process that calls it is ended by SIGILL, or goes into the handler that it has for that, and never on")
	}
	spec := m.spec(site, old)
	data, err := patch.Encode(b.content(spec))
	if err != nil {
		return nil, err
	}
	return &build.Result{Data: data, Spec: spec, Warnings: m.warnings}, nil
}

// spec returns the descriptor, without the fields that depend on the layout.
func (m *maker) spec(site uint64, old []byte) *patch.Spec {
	name := m.fn.name[:min(len(m.fn.name), patch.MaxNameLen)]
	body := patch.Range{Start: m.fn.start, End: m.fn.end}
	mayBeActive := m.act.kind != count && !isClone(m.fn.name) && m.im.RunsOn(ehframe.Range(body), site, site+uint64(len(old)))
	if m.act.kind == count { // the rest of the old code remains in use
		body.End = site + uint64(len(old))
	}
	return &patch.Spec{
		Format: patch.FormatVersion, Name: m.o.Name, Tool: m.o.Tool, Description: m.act.description(name),
		Images:     []patch.Image{image.Describe(m.im)},
		Sites:      []patch.Site{{Kind: patch.SiteJump, Symbol: name, Vaddr: site, Old: old}},
		Functions:  []patch.Function{{Symbol: name, Bodies: []patch.Range{body}, Why: m.act.why(), MayBeActive: mayBeActive}},
		Relies:     []patch.Reliance{{Symbol: name, Start: m.fn.start}},
		Mitigation: &patch.Mitigation{Action: m.act.text},
	}
}

func (m *maker) refuse(code codes.Code, format string, args ...any) error {
	return build.Refusals{{Code: code, File: m.im.Path, Symbol: m.named(), Text: fmt.Sprintf(format, args...)}}
}

// named returns the name of the function for messages.
func (m *maker) named() string {
	if m.fn.name != "" {
		return m.fn.name
	}
	return m.o.Function + m.o.Address
}

func (m *maker) warn(format string, args ...any) {
	m.warnings = append(m.warnings, m.named()+": "+fmt.Sprintf(format, args...))
}

// readDebug looks up the function in the debug information of the target or of the file with its symbols.
func (m *maker) readDebug(paths ...string) error {
	files := []*lpelf.File{m.im.File}
	for _, path := range paths {
		if path == "" {
			continue
		}
		f, err := lpelf.Open(path)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	for _, f := range files {
		found, err := debuginfo.ReadLinked(f, m.fn.start)
		if err == nil && found != nil {
			m.debug = found
		}
	}
	return nil
}

// cloneMark matches the suffix of compiler-generated clones and parts of functions.
var cloneMark = lazyregexp.New(`\.(isra|constprop|part)\b`)

func isClone(name string) bool { return cloneMark().MatchString(name) }

// checkShared handles other names at the same address. If the linker supports code folding, folded functions cannot be
// distinguished from aliases.
func (m *maker) checkShared() error {
	var others []string
	for _, name := range m.im.FunctionsAt(m.fn.start) {
		if name != m.fn.name && names.Readable(name) != names.Readable(m.fn.name) && strings.TrimSuffix(name, ".localalias") != m.fn.name {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	others = slices.Compact(others)
	switch {
	case len(others) == 0:
	case m.im.Folds():
		return m.refuse(codes.SharedCode, "%s is at the same place, and the linker can have made one of functions with the same code (--icf); choose one that calls it", strings.Join(others, ", "))
	default:
		m.warn("it is also called %s, which changes with it", strings.Join(others, ", "))
	}
	return nil
}

// warnCopies warns about inlined copies and clones, which are not changed.
func (m *maker) warnCopies() {
	switch d := m.debug; {
	case d == nil || d.Inlined == 0 && d.InlinedUnknown:
		m.warn("no debug information tells whether compilers have put copies of it into its callers, which would not be changed")
	case d.InlinedUnknown:
		m.warn("its callers have %d copies of it (inlined) or more, which are not changed: in %s", d.Inlined, strings.Join(d.In, ", "))
	case d.Inlined > 0:
		m.warn("its callers have %d copies of it (inlined), which are not changed: in %s", d.Inlined, strings.Join(d.In, ", "))
	}
	var clones []string
	for _, name := range m.im.FunctionNames() {
		if base, _, ok := strings.Cut(name, "."); ok && base == m.fn.name && isClone(name) {
			clones = append(clones, name)
		}
	}
	if len(clones) > 0 {
		slices.Sort(clones)
		m.warn("callers may use %s, which the compiler made of it and which is not changed; make a patch of each", strings.Join(slices.Compact(clones), ", "))
	}
}
