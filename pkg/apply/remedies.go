// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"slices"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
)

// Remedy is a patch that says to fix a CVE.
type Remedy struct {
	*patch.Spec
	Processes int // to which it is applied
}

// Remedies returns the patches that say to fix a CVE, of some, and of those that are applied; of one name one each. A session without
// a kernel is that of a machine on which none is applied.
func (s *Session) Remedies(cve string, patches []*ScanPatch) ([]*Remedy, error) {
	var list []*Remedy
	take := func(spec *patch.Spec) *Remedy {
		if spec.About == nil || !slices.Contains(spec.About.CVEs, cve) {
			return &Remedy{}
		}
		if i := slices.IndexFunc(list, func(r *Remedy) bool { return r.Name == spec.Name }); i >= 0 {
			return list[i]
		}
		list = append(list, &Remedy{Spec: spec})
		return list[len(list)-1]
	}
	for _, p := range patches {
		take(p.Spec)
	}
	if s.kernel == nil {
		return list, nil
	}
	status, err := s.kernel.Status()
	if err != nil {
		return nil, err
	}
	abouts := NewAbouts(s.proc)
	abouts.Learn(status)
	for _, r := range status {
		if r.State == lpnl.StateApplied {
			if f := abouts.known[r.Hash]; f != nil {
				take(f.Spec).Processes++
			}
		}
	}
	return list, nil
}
