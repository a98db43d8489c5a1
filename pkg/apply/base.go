// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"fmt"
	"slices"

	"lpatch/pkg/boot"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
)

// A patch is made for the image as it is in the file. Upon another patch it may not do: that one replaces a function of which
// the new code has a copy, or which it calls as the compiler knew it to be.

// checkBase refuses a patch in a target where another one is applied that does not go with it. One that takes the others off
// meets the image. It finds those of which it takes the place: they are restored in the same stop.
func (a *attempt) checkBase() error {
	if a.spec == nil || a.options.Replace || a.verb != lpnl.VerbApply && a.verb != lpnl.VerbCheck {
		return nil
	}
	// Where nothing is mapped there is nothing to ask the kernel.
	if some, err := mapsPatch(a.view); err != nil || !some {
		return err
	}
	list, err := a.session.applied(a.view, a.hash)
	if err != nil {
		return err
	}
	layers, err := a.session.mapped(a.view, list)
	if err != nil {
		return err
	}
	out, others := splitSuperseded(a.spec, layers)
	if err := checkSuperseded(a.spec, a.view, out, others); err != nil {
		return err
	}
	a.others = out
	return a.checkOthers(others)
}

// checkOthers refuses a patch beside those that stay.
func (a *attempt) checkOthers(others []layer) error {
	for _, other := range others {
		name := other.Spec.Name
		if a.spec.IsUpon(other.buildID) {
			continue
		}
		clash, function := patch.Collision(a.spec, other.Spec)
		if clash == "" {
			continue
		}
		if state, err := a.session.stateNow(a.view, other.report); err != nil {
			return err
		} else if effective(state) {
			return &Refusal{Code: lpnl.RefusalSiteTaken, Function: function, Message: fmt.Sprintf("%s, and %s is applied already; "+
				"build one patch of both fixes and apply it with --replace, or revert %s first", clash, name, name)}
		}
	}
	return nil
}

// BootBase refuses a patch beside the boot entries of other names that it does not go with: a program that starts would get
// both, one after the other. An entry of which it takes the place is replaced, and one that takes its place is not.
func BootBase(r boot.Registry, added *PatchFile) error {
	spec := added.Spec
	entries, _ := r.List() // of what cannot be read nothing is applied, and lpctl boot list says so
	for _, e := range entries {
		if namesEntry(spec, e) {
			continue
		}
		kept, err := r.Patch(e)
		if err != nil {
			continue
		}
		f, err := OpenFile(kept)
		if err != nil {
			return fmt.Errorf("cannot tell whether %s conflicts with the boot entry %s: %w; remove the entry with \"lpctl boot remove %s\", or add it again",
				spec.Name, e.Name, err, e.Name)
		}
		_ = f.Close()
		if f.Spec.About.TakesPlaceOf(spec.Name, added.sum) {
			return &Refusal{Code: lpnl.RefusalSiteTaken,
				Message: fmt.Sprintf("the boot entry %s takes the place of patch %s; to have that one again, take the entry out with \"lpctl boot remove %s\"",
					e.Name, spec.Name, e.Name)}
		}
		if isMitigated(spec, f.Spec) {
			continue
		}
		if clash, function := patch.Collision(spec, f.Spec); clash != "" {
			return &Refusal{Code: lpnl.RefusalSiteTaken, Function: function,
				Message: fmt.Sprintf("%s, and %s is a boot entry already; build one patch of both fixes, or take that one out with \"lpctl boot remove %s\"",
					clash, e.Name, e.Name)}
		}
	}
	return nil
}

// mapsPatch tells whether a target maps a patch, or a file that may be one.
func mapsPatch(v *view) (bool, error) {
	list, err := v.files()
	return slices.ContainsFunc(list, candidate.mayBePatch), err
}

// covers tells whether a patch replaces all functions that another one does.
func covers(a, b *patch.Spec) bool {
	return !slices.ContainsFunc(b.Functions, func(f patch.Function) bool {
		return !slices.ContainsFunc(a.Functions, func(own patch.Function) bool {
			return patch.SameImage(&a.Images[own.Image], &b.Images[f.Image]) && own.Bodies[0].Start == f.Bodies[0].Start
		})
	})
}
