package build

import (
	"bytes"
	"fmt"

	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// ltoAdvice ends what is said about link-time optimisation.
const ltoAdvice = "what runs was made by the linker out of all objects at once, so no object tells it; lpctl cannot patch that yet"

func isBitcode(data []byte) bool { return bytes.HasPrefix(data, []byte("BC\xc0\xde")) }

// withoutLTO takes out the objects that are input for link-time optimisation. Those that may be part of the target are
// refused if they differ, or if anything else does; so is a target that was linked so.
func (b *builder) withoutLTO(pairs []pair) ([]pair, error) {
	var out []pair
	var inputs []string
	differ := false
	for _, p := range pairs {
		lto, err := p.holdsLTO()
		if err != nil {
			return nil, err
		}
		why := b.excluded(p.name)
		same := bytes.Equal(p.old, p.new)
		differ = differ || !same && why == ""
		switch {
		case !lto:
			out = append(out, p)
			continue
		case why == "":
			inputs = append(inputs, p.name)
		case !same:
			b.leaveOut(p.name, why)
		}
		delete(b.old.raw, p.name)
	}
	if differ {
		b.refuseInputs(inputs)
		switch {
		case b.oldIn.lto != "":
			b.refuseLTO(b.im.Path, "the build links it with -flto: "+ltoAdvice)
		case b.im.LTO:
			b.refuseLTO(b.im.Path, "its symbol table or debug information says that it was linked with -flto: "+ltoAdvice)
		}
	}
	return out, nil
}

// refuseInputs gives one reason for all objects that are input for link-time optimisation.
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
	b.refusals = append(b.refusals, diff.Refusal{Code: "lto", File: file, Text: text})
}

// holdsLTO tells whether either side of a pair is input for link-time optimisation.
func (p pair) holdsLTO() (bool, error) {
	for _, data := range [][]byte{p.old, p.new} {
		if isBitcode(data) {
			return true, nil
		}
		if !bytes.Contains(data, []byte(".gnu.lto_")) && !bytes.Contains(data, []byte(".llvm.lto")) {
			continue
		}
		f, err := lpelf.Parse(p.name, data)
		if err != nil {
			return false, err
		}
		if f.HoldsLTO() {
			return true, nil
		}
	}
	return false, nil
}
