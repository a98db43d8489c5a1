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
func (a *attempt) checkUpon() error {
	switch a.verb {
	case Revert, lpnl.VerbUnload:
		return a.checkNoneUpon()
	case lpnl.VerbApply, lpnl.VerbCheck, lpnl.VerbLoad:
	default:
		return nil
	}
	f := a.patch.File
	if f == nil {
		if some, err := mapsPatch(a.view); err != nil || !some {
			return err
		}
		f = a.file()
	}
	if f == nil || len(f.Spec.Upon) == 0 {
		return nil
	}
	refuse := func(u patch.Upon, code lpnl.Refusal, format string, args ...any) error {
		return &Refusal{Code: code, Message: fmt.Sprintf("patch %s is built upon patch %s, ", f.Spec.Name, u.Name) + fmt.Sprintf(format, args...)}
	}
	first := f.Spec.Upon[0]
	switch {
	case a.options.Replace:
		return refuse(first, lpnl.RefusalNotApplied, "which --replace takes off; apply it without --replace")
	case a.verb == lpnl.VerbLoad:
		return refuse(first, lpnl.RefusalImageMoved, "whose address may change before this one is applied; apply it instead of loading it")
	}
	return a.checkBelow(f, refuse)
}

func (a *attempt) checkBelow(f *PatchFile, refuse func(patch.Upon, lpnl.Refusal, string, ...any) error) error {
	s, v := a.session, a.view
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
func (a *attempt) checkNoneUpon() error {
	list, err := a.view.files()
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
	f := a.file()
	if f == nil {
		return nil
	}
	layers, err := a.session.layers(a.view)
	if err != nil {
		return err
	}
	for _, l := range layers {
		if l.Spec.IsUpon(f.buildID) {
			return &Refusal{Code: lpnl.RefusalCovered,
				Message: fmt.Sprintf("patch %s is built upon patch %s, and is %s in %v; revert that one first", l.Spec.Name, f.Spec.Name, l.report.State, a.view)}
		}
	}
	return nil
}
