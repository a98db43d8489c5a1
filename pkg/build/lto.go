// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"cmp"
	"fmt"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// ltoAdvice is the end of messages about link-time optimisation.
const ltoAdvice = "what runs was made by the linker out of all objects at once, so these do not tell it; have lpctl build source or lpctl build deb build it, which keep what the linker makes"

func isBitcode(data []byte) bool { return bytes.HasPrefix(data, []byte("BC\xc0\xde")) }

// withoutLTO removes objects that contain intermediate code for link-time optimisation. If the builds kept the objects
// generated from them, these are used instead. Otherwise the objects that may be part of the target are refused if they
// differ or if anything else does, and so is a target linked in this way.
func (b *builder) withoutLTO(pairs []pair) []pair {
	var out []pair
	var inputs []string
	differ := false
	for _, p := range pairs {
		why := b.excluded(p.name)
		same := bytes.Equal(p.old, p.new)
		differ = differ || !same && why == ""
		switch {
		case !holdsLTO(p.name, p.old) && !holdsLTO(p.name, p.new), b.linkedAsCode(p):
			out = append(out, p)
			continue
		case why == "":
			inputs = append(inputs, p.name)
		case !same && !b.oldIn.early[p.name] && !b.newIn.early[p.name]:
			b.leaveOut(p.name, why)
		}
		delete(b.old.raw, p.name)
	}
	if differ {
		switch {
		case cmp.Or(b.oldIn.lto, b.newIn.lto) != "":
			b.refuseLTO(cmp.Or(b.oldIn.lto, b.newIn.lto), cmp.Or(b.oldIn.whyLTO, b.newIn.whyLTO))
		case len(inputs) > 0:
			b.refuseInputs(inputs)
		case b.im.LTO && len(b.oldIn.early) == 0:
			b.refuseLTO(b.im.Path, "its symbol table or debug information says that it was linked with -flto: "+ltoAdvice)
		}
	}
	return out
}

// refuseInputs adds one refusal for all objects with intermediate code.
func (b *builder) refuseInputs(names []string) {
	if len(names) == 0 {
		return
	}
	text := "it was compiled with -flto"
	if n := len(names) - 1; n > 0 {
		text += fmt.Sprintf(", as were %s", plural(n, "other object"))
	}
	b.refuseLTO(names[0], text+". If the target was linked with -flto, "+ltoAdvice+"; if it was not, give objects that were compiled without, too")
}

func (b *builder) refuseLTO(file, text string) {
	b.refusals = append(b.refusals, diff.Refusal{Code: codes.LTO, File: file, Text: text})
}

// linkedAsCode reports whether the builds are known to have linked the machine code of a pair of "fat" objects, which also
// contain intermediate code.
func (b *builder) linkedAsCode(p pair) bool {
	slim := func(data []byte) bool { return isBitcode(data) || bytes.Contains(data, []byte("__gnu_lto_slim")) }
	linked := func(in inputs) bool { return in.known && in.unsure == "" && in.lto == "" && in.objects[p.name] }
	return !slim(p.old) && !slim(p.new) && linked(b.oldIn) && linked(b.newIn)
}

// holdsLTO reports whether an object contains intermediate code for link-time optimisation.
func holdsLTO(name string, data []byte) bool {
	if isBitcode(data) {
		return true
	}
	if !bytes.Contains(data, []byte(".gnu.lto_")) && !bytes.Contains(data, []byte(".llvm.lto")) {
		return false
	}
	f, err := lpelf.Parse(name, data)
	return err == nil && f.HoldsLTO()
}
