// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"bytes"
	"fmt"
	"slices"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
)

// A patch that was built upon others refers to them where a target has them mapped, and is made for what they make of its code.
// The kernel knows that they are mapped, and takes none of them off while this one covers it; that they are applied, and that
// their code stays while this one is mapped, is looked at here.

// checkUpon refuses a patch where those that it was built upon are not applied, and to take one of those away from under it.
func (s *Session) checkUpon(verb Verb, p Patch, v *view, o lpnl.Options) error {
	switch verb {
	case Revert, lpnl.VerbUnload:
		return s.checkNoneUpon(p, v)
	case lpnl.VerbApply, lpnl.VerbCheck, lpnl.VerbLoad:
	default:
		return nil
	}
	f := p.File
	if f == nil {
		if some, err := mapsPatch(v); err != nil || !some {
			return err
		}
		f = s.fileOf(p, v)
	}
	if f == nil || len(f.Spec.Upon) == 0 {
		return nil
	}
	refuse := func(u patch.Upon, code lpnl.Refusal, format string, args ...any) error {
		return &Refusal{Code: code, Message: fmt.Sprintf("patch %s is built upon patch %s, ", f.Spec.Name, u.Name) + fmt.Sprintf(format, args...)}
	}
	first := f.Spec.Upon[0]
	switch {
	case o.Replace:
		return refuse(first, lpnl.RefusalNotApplied, "which --replace takes off; apply it without --replace")
	case verb == lpnl.VerbLoad:
		return refuse(first, lpnl.RefusalImageMoved, "whose address may change before this one is applied; apply it instead of loading it")
	}
	return s.checkBelow(f, v, refuse)
}

func (s *Session) checkBelow(f *File, v *view, refuse func(patch.Upon, lpnl.Refusal, string, ...any) error) error {
	var layers []layer
	if some, err := mapsPatch(v); err != nil {
		return err
	} else if some {
		if layers, err = s.layers(v); err != nil {
			return err
		}
	}
	for _, u := range f.Spec.Upon {
		id := f.Spec.Images[u.Image].BuildID
		i := slices.IndexFunc(layers, func(l layer) bool { return bytes.Equal(l.buildID, id) })
		if i < 0 {
			return refuse(u, lpnl.RefusalImageMissing, "which %v does not have (build-id %x); apply that first, or build one patch of all the fixes", v, []byte(id))
		}
		if state, err := s.stateNow(v, layers[i].report); err != nil {
			return err
		} else if state != lpnl.StateApplied {
			return refuse(u, lpnl.RefusalNotApplied, "which is %s in %v and not applied; apply that first", state, v)
		}
	}
	i := slices.IndexFunc(layers, func(l layer) bool { return bytes.Equal(l.buildID, f.buildID) })
	if i < 0 {
		return nil
	}
	state, err := s.stateNow(v, layers[i].report)
	if err == nil && (state == lpnl.StateLoaded || state == lpnl.StateRestored) {
		return refuse(f.Spec.Upon[0], lpnl.RefusalImageMoved, "which need not be where it was when this one was mapped, and it is still %s in %v; unload it first, then apply it", state, v)
	}
	return err
}

// checkNoneUpon refuses to unmap a patch that another one refers to.
func (s *Session) checkNoneUpon(p Patch, v *view) error {
	list, err := v.files()
	if Gone(err) {
		return nil // the kernel says so
	}
	if err != nil {
		return err
	}
	patches := 0
	for _, c := range list {
		if c.mayBePatch() {
			patches++
		}
	}
	if patches < 2 {
		return nil
	}
	f := s.fileOf(p, v)
	if f == nil {
		return nil
	}
	layers, err := s.layers(v)
	if err != nil {
		return err
	}
	for _, l := range layers {
		if l.Spec.IsUpon(f.buildID) {
			return &Refusal{Code: lpnl.RefusalCovered,
				Message: fmt.Sprintf("patch %s is built upon patch %s, and is %s in %v; revert that one first", l.Spec.Name, f.Spec.Name, l.report.State, v)}
		}
	}
	return nil
}
