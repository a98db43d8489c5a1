// SPDX-License-Identifier: GPL-2.0

package link

import (
	_ "embed" // register.o

	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

// The names of the symbols by which the linker accesses register.S.
const (
	registerEntry  = "lpatch_entry"
	registerTarget = "lpatch_target"
	registerFrames = "lpatch_frames"
	registerState  = "lpatch_state"
)

//go:generate as --noexecstack -o register.o register.S
//go:generate strip --strip-debug --discard-all register.o

//go:embed register.o
var registerObject []byte

// registration is the registration code of register.S in a patch.
type registration struct {
	in      *Input
	entry   *lpelf.Section
	state   *chunk
	entries map[*lpelf.Symbol]*chunk // new function -> entry stub that leads to it
}

// addRegistration makes patched functions register the unwind tables of the patch at their first call, if exceptions are
// possible: the new code has cleanups or handlers, or the image uses the C++ runtime.
func (l *linker) addRegistration() error {
	if len(l.frames.entries) == 0 || !l.frames.personality && !l.im.Throws() {
		return nil
	}
	f, err := lpelf.Parse("register.o", registerObject)
	if err != nil {
		return err
	}
	obj, err := diff.NewObject("register.o", f)
	if err != nil {
		return err
	}
	in := &Input{Diff: &diff.Result{Old: diff.EmptyObject("register.o"), New: obj}}
	r := &registration{in: in, entry: obj.SectionOf(obj.Lookup(registerEntry)), entries: map[*lpelf.Symbol]*chunk{}}
	r.state = l.addSection(in, obj.SectionOf(obj.Lookup(registerState)))
	l.registration = r
	for _, user := range l.inputs {
		for _, ch := range user.changes() {
			l.addEntry(user, ch.Change)
		}
	}
	return nil
}

// addEntry adds the entry stub that the site of a function jumps to instead of the new body.
func (l *linker) addEntry(user *Input, ch diff.Change) {
	r := l.registration
	target := inPatch(l.bySection[user.Diff.New.SectionOf(ch.New)], int64(ch.New.Value))
	c := &chunk{kind: kindText, name: ch.New.Name + patch.FirstCallSuffix, in: r.in, data: append([]byte{}, r.entry.Data...), align: r.entry.Align}
	l.chunks = append(l.chunks, c)
	r.entries[ch.New] = c
	for _, ref := range r.in.Diff.New.Refs(r.entry) {
		if ref.Sym.Name == registerTarget {
			l.relocateTo(c, ref, target)
			continue
		}
		l.relocate(c, ref)
	}
	l.addFrames(c, r.in, r.entry)
}

// target returns the address in the patch to which the site of a changed function jumps.
func (l *linker) target(in *Input, ch diff.Change) uint64 {
	if l.registration != nil {
		return l.registration.entries[ch.New].vaddr
	}
	return l.bySection[in.Diff.New.SectionOf(ch.New)].vaddr + ch.New.Value
}

// pin records the word that is nonzero once the unwind tables are registered. The kernel module then refuses to unload the
// patch.
func (l *linker) pin(spec *patch.Spec) {
	if l.registration != nil {
		spec.Pin = l.registration.state.vaddr
	}
}
